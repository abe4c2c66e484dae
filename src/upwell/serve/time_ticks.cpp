#include "serve/time_ticks.hpp"

#include <array>
#include <cmath>

namespace upwell::serve {
namespace {

enum class TickUnit { kSecond, kMinute, kHour, kDay, kMonth, kYear };

struct TickStep {
  TickUnit unit;
  int64_t count;
  double seconds;  ///< about
};

constexpr double kDaySeconds = 86400;

TickStep step_for(double span_seconds, int wanted) {
  constexpr std::array<TickStep, 25> kSteps{{
      {TickUnit::kSecond, 1, 1},
      {TickUnit::kSecond, 2, 2},
      {TickUnit::kSecond, 5, 5},
      {TickUnit::kSecond, 10, 10},
      {TickUnit::kSecond, 15, 15},
      {TickUnit::kSecond, 30, 30},
      {TickUnit::kMinute, 1, 60},
      {TickUnit::kMinute, 2, 120},
      {TickUnit::kMinute, 5, 300},
      {TickUnit::kMinute, 10, 600},
      {TickUnit::kMinute, 15, 900},
      {TickUnit::kMinute, 30, 1800},
      {TickUnit::kHour, 1, 3600},
      {TickUnit::kHour, 2, 7200},
      {TickUnit::kHour, 3, 10800},
      {TickUnit::kHour, 6, 21600},
      {TickUnit::kHour, 12, 43200},
      {TickUnit::kDay, 1, kDaySeconds},
      {TickUnit::kDay, 2, 2 * kDaySeconds},
      {TickUnit::kDay, 5, 5 * kDaySeconds},
      {TickUnit::kDay, 10, 10 * kDaySeconds},
      {TickUnit::kMonth, 1, 30 * kDaySeconds},
      {TickUnit::kMonth, 2, 60 * kDaySeconds},
      {TickUnit::kMonth, 3, 91 * kDaySeconds},
      {TickUnit::kMonth, 6, 182 * kDaySeconds},
  }};
  for (const TickStep& step : kSteps)
    if (span_seconds <= step.seconds * wanted) return step;
  for (int64_t power = 1;; power *= 10) {
    for (const int64_t factor : {1, 2, 5}) {
      const auto years = static_cast<double>(factor * power);
      if (span_seconds <= years * 365 * kDaySeconds * wanted || power > 1'000'000)
        return {TickUnit::kYear, factor * power, years * 365 * kDaySeconds};
    }
  }
}

int64_t floor_to(int64_t n, int64_t step) { return n - ((n % step) + step) % step; }

/// The last tick at or before `time`.
cf::DateTime floor_time(cf::DateTime time, const TickStep& step) {
  const auto n = static_cast<int>(step.count);
  time.nanosecond = 0;
  switch (step.unit) {
    case TickUnit::kSecond:
      time.second -= time.second % n;
      return time;
    case TickUnit::kMinute:
      time.minute -= time.minute % n;
      break;
    case TickUnit::kHour:
      time.hour -= time.hour % n;
      time.minute = 0;
      break;
    case TickUnit::kDay:
      time.hour = time.minute = 0;
      break;
    case TickUnit::kMonth:
      return {time.year, time.month - (time.month - 1) % n, 1, 0, 0, 0, 0};
    case TickUnit::kYear:
      return {floor_to(time.year, step.count), 1, 1, 0, 0, 0, 0};
  }
  time.second = 0;
  return time;
}

std::string tick_words(const cf::DateTime& time, TickUnit unit) {
  std::string text = cf::format_time(time);  // "2001-03-15T06:00:00"
  const size_t date = text.find('T');
  const size_t length = unit == TickUnit::kYear     ? date - 6
                        : unit == TickUnit::kMonth  ? date - 3
                        : unit == TickUnit::kDay    ? date
                        : unit == TickUnit::kSecond ? date + 9
                                                    : date + 6;
  text[date] = ' ';
  return text.substr(0, length);
}

}  // namespace

std::vector<draw::Tick> time_ticks(const cf::TimeUnits& units, double low, double high,
                                   int wanted) {
  constexpr size_t kMost = 64;
  std::vector<draw::Tick> ticks;
  const auto first = cf::decode_time(units, low);
  if (!first || !std::isfinite(high) || !(high > low)) return ticks;
  const double unit_seconds = static_cast<double>(units.unit_ns) * 1e-9;
  const TickStep step = step_for((high - low) * unit_seconds, wanted);
  const bool even = step.unit != TickUnit::kMonth && step.unit != TickUnit::kYear;
  cf::DateTime at = floor_time(*first, step);
  const auto begin = cf::encode_time(units, at);
  for (int64_t k = 0; ticks.size() < kMost; ++k) {
    Result<double> value = begin;
    if (even && begin) {
      value = *begin + static_cast<double>(k) * step.seconds / unit_seconds;
      const auto time = cf::decode_time(units, *value);
      if (!time) break;
      at = *time;
    } else if (k > 0) {
      if (step.unit == TickUnit::kYear) at.year += step.count;
      if (step.unit == TickUnit::kMonth) {
        const int64_t month = at.month - 1 + step.count;
        at.year += month / 12;
        at.month = static_cast<int>(month % 12) + 1;
      }
      value = cf::encode_time(units, at);
    }
    if (!value && even) break;
    if (!value) {  // a year that the calendar has not
      if (k >= 2) break;
      continue;
    }
    if (*value > high) break;
    if (*value >= low) ticks.push_back({*value, tick_words(at, step.unit)});
  }
  return ticks;
}

}  // namespace upwell::serve
