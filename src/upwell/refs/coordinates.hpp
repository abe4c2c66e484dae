#pragma once
// The values along the concat dimension: one epoch, one type, one order.

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cube/cf.hpp"
#include "cube/dataset.hpp"
#include "refs/audit.hpp"

namespace upwell::refs {

/// Brings time values to another epoch, unit or calendar. Integers stay integers (int64) when every
/// value falls on a whole unit, else they become doubles. Missing values (`fill`, NaN) stay as they
/// are. kUnsupported when a value has no exact counterpart (calendars that disagree on that day; an
/// instant that a double in these units cannot resolve).
Result<Values> convert_time(const Values& values, const cf::TimeUnits& from,
                            const cf::TimeUnits& to, const std::vector<double>& fills = {});

/// One type for all parts: `preferred`, where it holds every value exactly; the one they share;
/// else int64 for integers, else double. kUnsupported when a value would change.
Result<DataType> common_type(const std::vector<const Values*>& parts,
                             const DataType* preferred = nullptr);
/// Exact by the check of common_type.
Result<Values> cast_numbers(const Values& values, const DataType& type);

/// First and last value of one granule along the concat dimension.
struct Extent {
  size_t granule = 0;          ///< its number among the sources
  std::vector<double> values;  ///< as numbers
  std::vector<int64_t> exact;  ///< the same, when they are integers; else empty
};

struct OrderResult {
  std::vector<size_t> order;  ///< sources in cube order; offenders are not in it
  bool descending = false;
};

/// Orders granules by their values and finds those that cannot stand in one line: not monotonic,
/// duplicate of or overlap with another. `reasons[granule]` gets why. `urls`: for the messages.
OrderResult order_granules(const std::vector<Extent>& extents, const std::string& path,
                           const std::vector<std::string>& urls,
                           std::vector<std::vector<Reason>>& reasons);

/// A step along the concat coordinate that is longer than one and a half of the median step.
struct Gap {
  uint64_t index = 0;  ///< of the last element before it
  double from = 0, to = 0;
  double steps = 0;  ///< length in median steps
};
std::vector<Gap> find_gaps(const std::vector<double>& values);

/// "2020-01-01T00:00:00" where units are CF time, else the number.
std::string show_coordinate(double value, const std::optional<cf::TimeUnits>& units);

}  // namespace upwell::refs
