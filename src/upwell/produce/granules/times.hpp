#pragma once
// The times of a granule.

#include <cstdint>
#include <vector>

#include "cube/cf.hpp"
#include "produce/tasks/task.hpp"

namespace upwell::produce {

/// Seconds since 1970-01-01T00:00:00.
struct Times {
  std::vector<int64_t> centers;  ///< one a step
  std::vector<int64_t> bounds;   ///< two a step; empty: none
};

/// Those of a granule of one step, which its task names. kInvalidData: they are not there, or no
/// times.
Result<Times> times_of(const DynamicMetadata& task);

/// Seconds since 1970 of a time in the proleptic Gregorian calendar, fractions rounded.
Result<int64_t> seconds_of(const cf::DateTime& time);

}  // namespace upwell::produce
