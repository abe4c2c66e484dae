// Time coordinates in every CF calendar.

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cmath>

#include "base/text.hpp"
#include "cube/cf.hpp"

namespace upwell::cf {
namespace {

using Wide = __int128;
constexpr int64_t kSecond = 1'000'000'000;
constexpr int64_t kDay = 86'400 * kSecond;
constexpr int64_t kMaxYear = 10'000'000;  // far beyond any use, and nothing overflows

constexpr std::array<int, 12> kMonthDays{31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

int64_t floor_div(int64_t a, int64_t b) {
  return a / b - (a % b != 0 && (a < 0) != (b < 0) ? 1 : 0);
}

bool gregorian_leap(int64_t y) { return (y % 4 == 0 && y % 100 != 0) || y % 400 == 0; }

/// The mixed calendar runs Julian through 1582-10-04; the next day is 1582-10-15.
bool before_gregorian_reform(int64_t year, int month, int day) {
  if (year != 1582) return year < 1582;
  return month != 10 ? month < 10 : day < 15;
}

bool is_leap(Calendar calendar, int64_t year) {
  switch (calendar) {
    case Calendar::kProlepticGregorian:
      return gregorian_leap(year);
    case Calendar::kStandard:
      return year > 1582 ? gregorian_leap(year) : year % 4 == 0;
    case Calendar::kJulian:
      return year % 4 == 0;
    case Calendar::kAllLeap:
      return true;
    default:
      return false;
  }
}

int month_length(Calendar calendar, int64_t year, int month) {
  if (calendar == Calendar::k360Day) return 30;
  return kMonthDays[static_cast<size_t>(month - 1)] +
         (month == 2 && is_leap(calendar, year) ? 1 : 0);
}

// Days since 1970-01-01 of that very calendar family (Gregorian and Julian share one count of
// days).
int64_t days_gregorian(int64_t y, int m, int d) {
  y -= m <= 2 ? 1 : 0;
  int64_t era = floor_div(y, 400);
  int64_t year_of_era = y - era * 400;
  int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return era * 146097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year -
         719468;
}

int64_t days_julian(int64_t y, int m, int d) {
  y -= m <= 2 ? 1 : 0;
  int64_t day_of_year = (153 * (m + (m > 2 ? -3 : 9)) + 2) / 5 + d - 1;
  return floor_div(y * 1461, 4) + day_of_year - 719470;
}

int64_t day_number(Calendar calendar, int64_t y, int m, int d) {
  switch (calendar) {
    case Calendar::kStandard:
      return before_gregorian_reform(y, m, d) ? days_julian(y, m, d) : days_gregorian(y, m, d);
    case Calendar::kProlepticGregorian:
    case Calendar::kNone:
      return days_gregorian(y, m, d);
    case Calendar::kJulian:
      return days_julian(y, m, d);
    case Calendar::k360Day:
      return (y - 1970) * 360 + (m - 1) * 30 + d - 1;
    case Calendar::kNoLeap:
    case Calendar::kAllLeap: {
      int64_t days = (y - 1970) * (calendar == Calendar::kAllLeap ? 366 : 365);
      for (int k = 1; k < m; ++k) days += month_length(calendar, y, k);
      return days + d - 1;
    }
  }
  return 0;
}

struct Date {
  int64_t year;
  int month, day;
};

/// From a count of days in which March 1 starts the year (Hinnant's shape of the algorithm).
Date from_march_year(int64_t year, int64_t day_of_year) {
  auto mp = static_cast<int>((5 * day_of_year + 2) / 153);
  int day = static_cast<int>(day_of_year) - (153 * mp + 2) / 5 + 1;
  int month = mp + (mp < 10 ? 3 : -9);
  return {year + (month <= 2 ? 1 : 0), month, day};
}

Date date_gregorian(int64_t days) {
  days += 719468;
  int64_t era = floor_div(days, 146097);
  int64_t doe = days - era * 146097;
  int64_t yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
  return from_march_year(yoe + era * 400, doe - (365 * yoe + yoe / 4 - yoe / 100));
}

Date date_julian(int64_t days) {
  days += 719470;
  int64_t era = floor_div(days, 1461);
  int64_t doe = days - era * 1461;
  int64_t yoe = std::min<int64_t>(doe / 365, 3);
  return from_march_year(yoe + era * 4, doe - 365 * yoe);
}

Date date_of(Calendar calendar, int64_t days) {
  switch (calendar) {
    case Calendar::kStandard:
      return days < days_gregorian(1582, 10, 15) ? date_julian(days) : date_gregorian(days);
    case Calendar::kProlepticGregorian:
    case Calendar::kNone:
      return date_gregorian(days);
    case Calendar::kJulian:
      return date_julian(days);
    case Calendar::k360Day: {
      int64_t year = floor_div(days, 360);
      auto rest = static_cast<int>(days - year * 360);
      return {year + 1970, rest / 30 + 1, rest % 30 + 1};
    }
    case Calendar::kNoLeap:
    case Calendar::kAllLeap: {
      int64_t length = calendar == Calendar::kAllLeap ? 366 : 365;
      int64_t year = floor_div(days, length);
      auto rest = static_cast<int>(days - year * length);
      int month = 1;
      while (rest >= month_length(calendar, year + 1970, month))
        rest -= month_length(calendar, year + 1970, month++);
      return {year + 1970, month, rest + 1};
    }
  }
  return {1970, 1, 1};
}

Wide instant(Calendar calendar, const DateTime& t) {
  int64_t in_day =
      (static_cast<int64_t>(t.hour) * 3600 + t.minute * 60 + t.second) * kSecond + t.nanosecond;
  return static_cast<Wide>(day_number(calendar, t.year, t.month, t.day)) * kDay + in_day;
}

Result<DateTime> from_instant(Calendar calendar, Wide ns) {
  Wide days = ns / kDay;
  if (ns % kDay < 0) --days;
  if (days > kMaxYear * 366 || days < -kMaxYear * 366)
    return fail(Code::kInvalidData, "a time lies beyond every calendar");
  auto rest = static_cast<int64_t>(ns - days * kDay);
  Date date = date_of(calendar, static_cast<int64_t>(days));
  DateTime t;
  t.year = date.year;
  t.month = date.month;
  t.day = date.day;
  t.nanosecond = rest % kSecond;
  int64_t seconds = rest / kSecond;
  t.hour = static_cast<int>(seconds / 3600);
  t.minute = static_cast<int>(seconds / 60 % 60);
  t.second = static_cast<int>(seconds % 60);
  return t;
}

std::string trimmed(const std::string& text) {
  size_t first = text.find_first_not_of(" \t\n");
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_last_not_of(" \t\n") - first + 1);
}

/// Nanoseconds of a unit; 0 when unknown. Months and years have a length only where the calendar
/// gives them one.
int64_t unit_length(const std::string& name, Calendar calendar) {
  struct Row {
    std::array<const char*, 6> names;
    int64_t ns;
  };
  static constexpr std::array<Row, 8> kUnits{{
      {{"days", "day", "d", nullptr}, kDay},
      {{"hours", "hour", "hrs", "hr", "h", nullptr}, 3600 * kSecond},
      {{"minutes", "minute", "mins", "min", nullptr}, 60 * kSecond},
      {{"seconds", "second", "secs", "sec", "s", nullptr}, kSecond},
      {{"milliseconds", "millisecond", "millisecs", "msecs", "msec", "ms"}, 1'000'000},
      {{"microseconds", "microsecond", "microsecs", "microsec", "us", nullptr}, 1'000},
      {{"nanoseconds", "nanosecond", "nanosecs", "nsec", "ns", nullptr}, 1},
      {{"weeks", "week", nullptr}, 7 * kDay},
  }};
  for (const Row& row : kUnits) {
    for (const char* known : row.names) {
      if (known != nullptr && name == known) return row.ns;
    }
  }
  if ((name == "months" || name == "month") && calendar == Calendar::k360Day) return 30 * kDay;
  if ((name == "common_years" || name == "common_year") && calendar == Calendar::kNoLeap)
    return 365 * kDay;
  return 0;
}

/// Reads a date with as many parts as are there: Y-M-D[(T| )h[:m[:s[.f]]]] and a zone.
class DateParser {
 public:
  explicit DateParser(const std::string& text) : text_(text) {}

  /// How many of year, month, day, hour, minute, second were given; 0: not a date.
  int parse(DateTime& t, int64_t& zone_ns) {
    bool negative = take('-');
    if (!negative) take('+');
    int parts = 0;
    int64_t v = 0;
    if (!number(v)) return 0;
    t.year = negative ? -v : v;
    parts = 1;
    if (take('-')) {
      if (!field(t.month)) return 0;
      parts = 2;
      if (take('-')) {
        if (!field(t.day)) return 0;
        parts = 3;
        parts = time_of_day(t, parts);
        if (parts == 0) return 0;
      }
    }
    if (!zone(zone_ns)) return 0;
    return at_ == text_.size() ? parts : 0;
  }

 private:
  bool take(char c) {
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  bool digit_next() const {
    return at_ < text_.size() && std::isdigit(static_cast<unsigned char>(text_[at_])) != 0;
  }
  bool number(int64_t& v) {
    size_t first = at_;
    for (v = 0; digit_next() && at_ - first < 9; ++at_) v = v * 10 + (text_[at_] - '0');
    return at_ > first;
  }
  bool field(int& v) {
    int64_t wide = 0;
    if (!number(wide)) return false;
    v = static_cast<int>(wide);
    return true;
  }
  void spaces() {
    while (take(' ')) {
    }
  }
  int time_of_day(DateTime& t, int parts) {
    size_t before = at_;
    bool separated = take('T') || take('t');
    if (!separated && take(' ')) {
      spaces();
      separated = digit_next();
    }
    if (!separated) {
      at_ = before;
      return parts;
    }
    if (!field(t.hour)) return 0;
    parts = 4;
    if (!take(':')) return parts;
    if (!field(t.minute)) return 0;
    parts = 5;
    if (!take(':')) return parts;
    if (!field(t.second)) return 0;
    if (take('.')) fraction(t.nanosecond);
    return 6;
  }
  void fraction(int64_t& ns) {
    int64_t scale = kSecond / 10;
    for (ns = 0; digit_next(); ++at_, scale /= 10) ns += (text_[at_] - '0') * scale;
  }
  bool zone(int64_t& ns) {
    spaces();
    ns = 0;
    if (at_ == text_.size()) return true;
    std::string rest = lower_case(text_.substr(at_));
    if (rest == "z" || rest == "utc" || rest == "gmt") {
      at_ = text_.size();
      return true;
    }
    bool negative = take('-');
    if (!negative && !take('+') && !digit_next()) return false;
    size_t first = at_;
    int64_t hours = 0, minutes = 0;
    if (!number(hours)) return false;
    if (at_ - first == 4) {
      minutes = hours % 100;
      hours /= 100;
    } else if (take(':') && !number(minutes)) {
      return false;
    }
    if (hours >= 24 || minutes >= 60) return false;
    ns = (hours * 60 + minutes) * 60 * kSecond * (negative ? -1 : 1);
    return true;
  }

  const std::string& text_;
  size_t at_ = 0;
};

bool valid_date(Calendar calendar, const DateTime& t) {
  if (t.month < 1 || t.month > 12 || t.day < 1 || std::abs(t.year) > kMaxYear) return false;
  if (t.hour > 24 || t.minute > 59 || t.second > 60) return false;
  return t.day <= month_length(calendar, t.year, t.month);
}

Result<DateTime> shift(Calendar calendar, const DateTime& t, int64_t ns) {
  return from_instant(calendar, instant(calendar, t) + ns);
}

}  // namespace

Result<Calendar> parse_calendar(const std::string& name) {
  std::string n = lower_case(trimmed(name));
  if (n.empty() || n == "standard" || n == "gregorian") return Calendar::kStandard;
  if (n == "proleptic_gregorian") return Calendar::kProlepticGregorian;
  if (n == "julian") return Calendar::kJulian;
  if (n == "noleap" || n == "365_day") return Calendar::kNoLeap;
  if (n == "all_leap" || n == "366_day") return Calendar::kAllLeap;
  if (n == "360_day") return Calendar::k360Day;
  if (n == "none") return Calendar::kNone;
  return fail(Code::kUnsupported, fmt::format("calendar '{}' is not one of CF's", name));
}

std::string to_string(Calendar calendar) {
  constexpr std::array<const char*, 7> kNames{
      "standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day", "none"};
  return kNames[static_cast<size_t>(calendar)];
}

Result<TimeUnits> parse_time_units(const std::string& units, const std::string& calendar) {
  TimeUnits parsed;
  parsed.text = units;
  UPWELL_TRY(parsed.calendar, parse_calendar(calendar));
  std::string low = lower_case(units);
  size_t since = low.find(" since ");
  if (since == std::string::npos)
    return fail(Code::kInvalidData, fmt::format("'{}' is not a time unit with an epoch", units));
  parsed.unit_ns = unit_length(trimmed(low.substr(0, since)), parsed.calendar);
  if (parsed.unit_ns == 0) {
    return fail(Code::kUnsupported,
                fmt::format("'{}': a time unit without a fixed length in calendar {}", units,
                            to_string(parsed.calendar)));
  }
  int64_t zone_ns = 0;
  std::string epoch = trimmed(units.substr(since + 7));
  if (DateParser(epoch).parse(parsed.epoch, zone_ns) < 1 ||
      !valid_date(parsed.calendar, parsed.epoch)) {
    return fail(Code::kInvalidData, fmt::format("'{}' has no valid epoch in calendar {}", units,
                                                to_string(parsed.calendar)));
  }
  UPWELL_TRY(parsed.epoch, shift(parsed.calendar, parsed.epoch, -zone_ns));
  return parsed;
}

namespace {

/// The instant with the fewest digits of a second that lies within `half` nanoseconds.
Wide roundest(Wide ns, int64_t half) {
  for (int64_t step = kSecond; step > 1; step /= 10) {
    Wide rest = ns % step;
    if (rest < 0) rest += step;
    if (rest <= half) return ns - rest;
    if (step - rest <= half) return ns + (step - rest);
  }
  return ns;
}

}  // namespace

Result<DateTime> decode_time(const TimeUnits& units, int64_t value) {
  return from_instant(units.calendar, instant(units.calendar, units.epoch) +
                                          static_cast<Wide>(value) * units.unit_ns);
}

Result<DateTime> decode_time(const TimeUnits& units, double value) {
  if (!std::isfinite(value)) return fail(Code::kInvalidData, "a time that is not a number");
  const double whole = std::floor(value);
  if (std::abs(whole) > 9e18) return fail(Code::kInvalidData, "a time lies beyond every calendar");
  const auto unit = static_cast<long double>(units.unit_ns);
  const auto fraction =
      static_cast<int64_t>(std::llround(static_cast<long double>(value - whole) * unit));
  // Half the distance to the next double: 7/24 of a day is a few nanoseconds off its hour.
  const double next = std::nextafter(value, INFINITY);
  const auto half = std::llround(std::min<long double>(
      static_cast<long double>(next - value) * unit / 2, static_cast<long double>(kSecond) / 2));
  const Wide since = static_cast<Wide>(static_cast<int64_t>(whole)) * units.unit_ns + fraction;
  return from_instant(units.calendar, roundest(instant(units.calendar, units.epoch) + since, half));
}

std::optional<int64_t> encode_time_exact(const TimeUnits& units, const DateTime& time) {
  Wide ns = instant(units.calendar, time) - instant(units.calendar, units.epoch);
  if (ns % units.unit_ns != 0) return {};
  Wide count = ns / units.unit_ns;
  if (count > INT64_MAX || count < INT64_MIN) return {};
  return static_cast<int64_t>(count);
}

Result<double> encode_time(const TimeUnits& units, const DateTime& time) {
  if (!valid_date(units.calendar, time))
    return fail(Code::kInvalidArgument,
                format_time(time) + " is not a date of calendar " + to_string(units.calendar));
  Wide ns = instant(units.calendar, time) - instant(units.calendar, units.epoch);
  Wide count = ns / units.unit_ns;
  Wide rest = ns % units.unit_ns;
  return static_cast<double>(static_cast<long double>(count) +
                             static_cast<long double>(rest) /
                                 static_cast<long double>(units.unit_ns));
}

Result<std::pair<DateTime, DateTime>> parse_time_span(const std::string& text, Calendar calendar) {
  DateTime first;
  first.month = first.day = 1;
  int64_t zone_ns = 0;
  int parts = DateParser(text).parse(first, zone_ns);
  if (parts == 0 || !valid_date(calendar, first)) {
    return fail(Code::kInvalidArgument,
                fmt::format("'{}' is not a date of calendar {} (write 2020, 2020-01, 2020-01-31 or "
                            "2020-01-31T12:30:00)",
                            text, to_string(calendar)));
  }
  DateTime last = first;
  if (parts < 2) last.month = 12;
  if (parts < 3) last.day = month_length(calendar, last.year, last.month);
  if (parts < 4) last.hour = 23;
  if (parts < 5) last.minute = 59;
  if (parts < 6) last.second = 59;
  if (parts < 6) last.nanosecond = kSecond - 1;
  UPWELL_TRY(DateTime low, shift(calendar, first, -zone_ns));
  UPWELL_TRY(DateTime high, shift(calendar, last, -zone_ns));
  return std::pair(low, high);
}

std::string format_time(const DateTime& t) {
  std::string year = t.year < 0 ? fmt::format("-{:04}", -t.year) : fmt::format("{:04}", t.year);
  std::string text = fmt::format("{}-{:02}-{:02}T{:02}:{:02}:{:02}", year, t.month, t.day, t.hour,
                                 t.minute, t.second);
  if (t.nanosecond == 0) return text;
  std::string fraction = fmt::format(".{:09}", t.nanosecond);
  return text + fraction.substr(0, fraction.find_last_not_of('0') + 1);
}

int compare(const DateTime& a, const DateTime& b) {
  auto key = [](const DateTime& t) {
    return std::tuple(t.year, t.month, t.day, t.hour, t.minute, t.second, t.nanosecond);
  };
  return key(a) < key(b) ? -1 : key(b) < key(a) ? 1 : 0;
}

}  // namespace upwell::cf
