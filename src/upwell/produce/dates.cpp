#include "produce/dates.hpp"

#include <fmt/core.h>

#include "cube/cf.hpp"

namespace upwell::produce {
namespace {

constexpr cf::Calendar kCalendar = cf::Calendar::kProlepticGregorian;

const cf::TimeUnits& units() {
  static const cf::TimeUnits seconds{1'000'000'000, {}, kCalendar, "seconds since 1970-01-01"};
  return seconds;
}

cf::DateTime date_of(int64_t seconds) {
  // 64 bits of seconds lie beyond what the calendar takes; no caller comes near.
  return cf::decode_time(units(), seconds).value_or(cf::DateTime{});
}

int64_t seconds_of(const cf::DateTime& date) {
  return cf::encode_time_exact(units(), date).value_or(0);
}

bool four_digits(const cf::DateTime& date) { return date.year >= 1 && date.year <= 9999; }

int64_t floor_div(int64_t a, int64_t b) { return a / b - (a % b < 0 ? 1 : 0); }

}  // namespace

Result<TimeSpan> parse_time_span(const std::string& text) {
  auto span = cf::parse_time_span(text, kCalendar);
  if (!span || !four_digits(span->first))
    return fail(Code::kInvalidArgument,
                "'" + text + "' is not a date: YYYY, YYYY-MM, YYYY-MM-DD or YYYY-MM-DDThh:mm:ss");
  span->second.nanosecond = 0;
  return TimeSpan{seconds_of(span->first), seconds_of(span->second) + 1};
}

Result<std::string> format_time(int64_t seconds) {
  auto date = cf::decode_time(units(), seconds);
  if (!date || !four_digits(*date))
    return fail(Code::kInvalidData, "a time outside of the years 1 to 9999");
  return cf::format_time(*date);
}

int64_t day_of(int64_t seconds) { return floor_div(seconds, kDaySeconds); }

int64_t month_begin(int64_t month) {
  cf::DateTime date;
  date.year = 1970 + floor_div(month, 12);
  date.month = static_cast<int>(month - floor_div(month, 12) * 12) + 1;
  return seconds_of(date);
}

int64_t month_of(int64_t seconds) {
  const cf::DateTime date = date_of(seconds);
  return (date.year - 1970) * 12 + date.month - 1;
}

int64_t month_before(int64_t seconds) {
  const int64_t month = month_of(seconds);
  const int64_t into = seconds - month_begin(month);  // so far into its month
  const int64_t begin = month_begin(month - 1), length = month_begin(month) - begin;
  return begin + (into < length ? into : length - kDaySeconds + into % kDaySeconds);
}

std::string month_name(int64_t month) {
  const cf::DateTime date = date_of(month_begin(month));
  return fmt::format("{:04}-{:02}", date.year, date.month);
}

std::string day_name(int64_t day) {
  const cf::DateTime date = date_of(day * kDaySeconds);
  return fmt::format("{:04}-{:02}-{:02}", date.year, date.month, date.day);
}

}  // namespace upwell::produce
