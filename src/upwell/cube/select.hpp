#pragma once
// Selections as people write them: by index ("time=0:3") or by coordinate value
// ("lat=40:50,time=2020-01").

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cube/read.hpp"

namespace upwell {

/// One axis as written, after "name=".
struct AxisRequest {
  std::string dimension;
  std::string
      text;  ///< "3", "0:10", "0:10:2", "-1"; by label "40:50", "2020-01", "2020-01:2020-03"
  bool by_label = false;
};

/// Splits "lat=40:50,time=2020-01" into axes. kInvalidArgument for anything else.
Result<std::vector<AxisRequest>> parse_axes(const std::string& text, bool by_label);

/// The axis of `array` that a request names: by its dimension or, by index, by its number
/// ("0=0:3").
std::optional<size_t> axis_of(const Array& array, const AxisRequest& request);

/// A selection, and which axes it takes a single element of ("lat=40.5"), so that they can be
/// dropped as numpy does.
struct NamedSelection {
  Selection selection;
  std::vector<bool> single;  ///< by axis
};

/// Resolves requests against an array at `path`. Index ranges are Python's: end exclusive, negative
/// from the end. Label ranges include both ends, as xarray's slices do; a single label must be
/// there exactly unless `nearest`, which among longitudes is so around the globe (359.9 is near 0,
/// and -10 is 350); a partial date ("2020-01") covers all instants in it. Labels
/// that select nothing are an error, an empty range of indexes is not. Reads the coordinate arrays
/// it needs. kInvalidArgument names the dimension and what there is, times as dates.
Result<NamedSelection> resolve_selection(io::Session& session, const Dataset& dataset,
                                         const std::string& path, const Array& array,
                                         const std::vector<AxisRequest>& requests, bool nearest);

struct NamedArray {
  std::string path;  ///< with its groups, "/a/v"
  const Array* array = nullptr;
};

/// The array that an attribute of the one at `array_path` names (CF 2.7.1): by path, absolute or
/// from its group; a bare name in its group or the nearest one above. Null where there is none.
NamedArray find_named(const Dataset& dataset, const std::string& array_path,
                      const std::string& name);

/// The coordinate variable of a dimension: a 1-D array of the same name in the array's group or the
/// nearest one above.
NamedArray find_coordinate(const Dataset& dataset, const std::string& array_path,
                           const std::string& dimension);

}  // namespace upwell
