#include "produce/tasks/model_time.hpp"

#include <fmt/core.h>

#include "produce/dates.hpp"

namespace upwell::produce {
namespace {

int64_t seconds_of_unit(const std::string& unit) {
  if (unit == "W") return 7 * kDaySeconds;
  if (unit == "D") return kDaySeconds;
  if (unit == "h") return 3600;
  if (unit == "m") return 60;
  if (unit == "s") return 1;
  return 0;
}

}  // namespace

Result<ModelClock> model_clock(const Config& config) {
  ModelClock clock;
  UPWELL_TRY(clock.start, config.time("model_start_time"));
  UPWELL_TRY(clock.end, config.time("model_end_time"));
  if (clock.end < clock.start)
    return fail(config.wrong("model_end_time", "earlier than model_start_time"));
  UPWELL_TRY(const int64_t count, config.integer("model_timestep"));
  UPWELL_TRY(const std::string unit, config.text("model_timestep_units"));
  const int64_t unit_s = seconds_of_unit(unit);
  if (unit_s == 0)
    return fail(
        config.wrong("model_timestep_units", "'" + unit + "' is none of 'W', 'D', 'h', 'm', 's'"));
  if (count < 1 || count > 1'000'000'000)
    return fail(config.wrong("model_timestep", fmt::format("{} is out of range", count)));
  clock.step_s = count * unit_s;
  return clock;
}

Result<Coverage> coverage_of(const ModelClock& clock, int64_t step, Frequency frequency) {
  int64_t since_start = 0;
  Coverage coverage;
  if (__builtin_mul_overflow(step, clock.step_s, &since_start) ||
      __builtin_add_overflow(clock.start, since_start, &coverage.end) || !format_time(coverage.end))
    return fail(Code::kInvalidData, fmt::format("time step {} is beyond the year 9999", step));
  if (frequency == Frequency::kSnapshot) {
    coverage.start = coverage.center = coverage.end;
    return coverage;
  }
  coverage.start =
      frequency == Frequency::kDaily ? coverage.end - kDaySeconds : month_before(coverage.end);
  const bool ends_within_a_day = coverage.end != day_of(coverage.end) * kDaySeconds;
  if (day_of(coverage.start) == day_of(clock.start)) {
    coverage.start = clock.start;
  } else if (ends_within_a_day && day_of(coverage.end) == day_of(clock.end)) {
    coverage.start += kDaySeconds - (clock.end - day_of(clock.end) * kDaySeconds);
  }
  coverage.center = coverage.start + (coverage.end - coverage.start) / 2;
  if (!format_time(coverage.start))
    return fail(Code::kInvalidData, fmt::format("time step {} is before the year 1", step));
  return coverage;
}

}  // namespace upwell::produce
