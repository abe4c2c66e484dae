#pragma once
// Times of the model as seconds since 1970-01-01T00:00:00 in the proleptic Gregorian calendar,
// without zones and leap seconds: what EDP's configuration and NumPy's datetime64 mean.

#include <cstdint>
#include <string>

#include "base/result.hpp"

namespace upwell::produce {

inline constexpr int64_t kDaySeconds = 86'400;

/// A half-open span of seconds.
struct TimeSpan {
  int64_t begin = 0, end = 0;
  bool operator==(const TimeSpan&) const = default;
};

/// What "1992", "1992-01", "1992-01-31" or "1992-01-31T12:00:00" covers. kInvalidArgument: not a
/// date, or not in the years 1 to 9999.
Result<TimeSpan> parse_time_span(const std::string& text);
/// "1992-01-31T12:00:00". kInvalidData: not in the years 1 to 9999.
Result<std::string> format_time(int64_t seconds);

/// Days since 1970-01-01, rounded down.
int64_t day_of(int64_t seconds);
/// Months since 1970-01, rounded down.
int64_t month_of(int64_t seconds);
/// Where a month since 1970-01 begins.
int64_t month_begin(int64_t month);
/// The same day and time a month earlier; a day that the month does not have becomes its last.
int64_t month_before(int64_t seconds);
/// "1992-01" of months, "1992-01-31" of days since 1970.
std::string month_name(int64_t month);
std::string day_name(int64_t day);

}  // namespace upwell::produce
