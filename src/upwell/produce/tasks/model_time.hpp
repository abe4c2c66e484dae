#pragma once
// From the time step in a file's name to the period that its fields are about.

#include <cstdint>
#include <string>

#include "base/result.hpp"
#include "produce/config.hpp"
#include "produce/tasks/job_file.hpp"

namespace upwell::produce {

/// The model's clock, of the keys model_start_time, model_end_time, model_timestep and
/// model_timestep_units (weeks W, days D, hours h, minutes m, seconds s, as NumPy writes them).
struct ModelClock {
  int64_t start = 0, end = 0;  ///< seconds since 1970
  int64_t step_s = 0;          ///< seconds from one time step to the next
};
Result<ModelClock> model_clock(const Config& config);

/// Seconds since 1970.
struct Coverage {
  int64_t start = 0, end = 0, center = 0;
  bool operator==(const Coverage&) const = default;
};

/// The instant of a snapshot (start = end = center), or the day or month that ends at the step, of
/// which the model's first and last have only their part: the first begins when the model does, and
/// the last, ended by the model within a day, begins on the boundary of a day, as EDP's ecco_time
/// has it. EDP shortens the period that ends at the beginning of that last day too, though it is
/// whole; this does not. kInvalidData: the step lies outside of the years 1 to 9999.
Result<Coverage> coverage_of(const ModelClock& clock, int64_t step, Frequency frequency);

}  // namespace upwell::produce
