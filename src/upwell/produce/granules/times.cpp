#include "produce/granules/times.hpp"

#include <cmath>

#include "produce/dates.hpp"

namespace upwell::produce {
namespace {

Result<int64_t> time_in(const std::optional<std::string>& text, const char* what) {
  if (!text) return fail(Code::kInvalidData, std::string("the task has no ") + what);
  const auto span = parse_time_span(*text);
  if (!span) return fail(Code::kInvalidData, std::string(what) + ": " + span.error().message);
  return span->begin;
}

}  // namespace

Result<Times> times_of(const DynamicMetadata& task) {
  UPWELL_TRY(const int64_t center, time_in(task.center, "time_coverage_center"));
  UPWELL_TRY(const int64_t start, time_in(task.start, "time_coverage_start"));
  UPWELL_TRY(const int64_t end, time_in(task.end, "time_coverage_end"));
  return Times{{center}, {start, end}};
}

Result<int64_t> seconds_of(const cf::DateTime& time) {
  static const auto kSeconds =
      cf::parse_time_units("seconds since 1970-01-01", "proleptic_gregorian");
  if (!kSeconds) return fail(kSeconds.error());
  UPWELL_TRY(const double seconds, cf::encode_time(*kSeconds, time));
  return static_cast<int64_t>(std::llround(seconds));
}

}  // namespace upwell::produce
