#pragma once
// Values of search parameters: checked, and as CMR takes them. Errors (kInvalidArgument) say what
// is wrong and what to write, without the parameter's name.

#include <string>
#include <utility>
#include <vector>

#include "base/result.hpp"

namespace upwell::access {

/// "FROM,TO" of dates that may lack parts, either side empty.
Result<std::string> cmr_dates(const std::string& text);
/// One date; the first instant that it covers.
Result<std::string> cmr_instant(const std::string& text);

enum class RangeForm {
  kInterval,       ///< MIN,MAX, either may be empty
  kOneOrInterval,  ///< N as well
  kAround,         ///< on a circle: the first may be greater
};
Result<std::string> cmr_range(const std::string& text, double low, double high, RangeForm form);
Result<std::string> cmr_integer(const std::string& text);
/// "40:1L,2R": {"40", "1L,2R"}
Result<std::pair<std::string, std::string>> cmr_pass(const std::string& text);
Result<std::string> cmr_day_night(const std::string& text);

/// "W,S,E,N" in degrees. A box that goes around more than half the Earth across the antimeridian
/// is a warning: its sides are likely swapped.
Result<std::string> cmr_box(const std::string& text, std::vector<std::string>& warnings);
/// At least `least` and (0: any number) at most `most` longitudes and latitudes.
Result<std::string> cmr_positions(const std::string& text, size_t least, size_t most);
/// Closed, counter-clockwise.
Result<std::string> cmr_polygon(const std::string& text);
Result<std::string> cmr_circle(const std::string& text);

/// "C1234-PROVIDER" and the like.
bool is_concept_id(const std::string& text);

}  // namespace upwell::access
