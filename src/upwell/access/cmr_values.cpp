#include "access/cmr_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <string_view>

#include "access/cmr_parameters.hpp"
#include "access/umm.hpp"
#include "cube/cf.hpp"

namespace upwell::access {
namespace {

tl::unexpected<Error> bad_value(std::string why) {
  return fail(Code::kInvalidArgument, std::move(why));
}

/// The parts, without spaces around them.
std::vector<std::string> split_at(const std::string& text, char separator) {
  std::vector<std::string> parts;
  for (size_t at = 0; at <= text.size();) {
    const size_t end = std::min(text.find(separator, at), text.size());
    std::string part = text.substr(at, end - at);
    part.erase(0, part.find_first_not_of(' '));
    part.erase(part.find_last_not_of(' ') + 1);
    parts.push_back(std::move(part));
    at = end + 1;
  }
  return parts;
}

std::optional<double> number_in(const std::string& text) {
  double value = 0;
  const char* begin = text.data();
  const char* end = begin + text.size();
  if (begin != end && *begin == '+') ++begin;
  const auto [stop, error] = std::from_chars(begin, end, value);
  if (error != std::errc{} || stop != end || !std::isfinite(value)) return {};
  return value;
}

Result<std::vector<double>> numbers_in(const std::string& text) {
  std::vector<double> numbers;
  for (const std::string& part : split_at(text, ',')) {
    const auto number = number_in(part);
    if (!number) return bad_value(fmt::format("'{}' is not a number", part));
    numbers.push_back(*number);
  }
  return numbers;
}

/// The shortest text that reads back as the number.
std::string shown(double value) { return fmt::format("{}", value == 0 ? 0.0 : value); }

std::string shown(const std::vector<Position>& positions) {
  std::string out;
  for (const Position& p : positions)
    out += fmt::format("{}{},{}", out.empty() ? "" : ",", shown(p.longitude), shown(p.latitude));
  return out;
}

Result<> check_longitude(double value) {
  if (value >= -180 && value <= 180) return {};
  std::string hint;
  if (value > 180 && value <= 360)
    hint = fmt::format("; {} is {}", shown(value), shown(value - 360));
  return bad_value(fmt::format("longitude {} is not between -180 and 180{}", shown(value), hint));
}

Result<> check_latitude(double value) {
  if (value >= -90 && value <= 90) return {};
  return bad_value(
      fmt::format("latitude {} is not between -90 and 90; longitude comes first", shown(value)));
}

Result<std::vector<Position>> positions_in(const std::string& text) {
  UPWELL_TRY(const std::vector<double> numbers, numbers_in(text));
  if (numbers.size() % 2 != 0)
    return bad_value(
        fmt::format("{} numbers are no pairs of longitude and latitude", numbers.size()));
  std::vector<Position> positions;
  for (size_t i = 0; i + 1 < numbers.size(); i += 2) {
    UPWELL_CHECK(check_longitude(numbers[i]));
    UPWELL_CHECK(check_latitude(numbers[i + 1]));
    positions.push_back({numbers[i], numbers[i + 1]});
  }
  return positions;
}

// --- Times -----------------------------------------------------------------------------------

using Span = std::pair<cf::DateTime, cf::DateTime>;

/// CMR takes milliseconds. The last instant of a day is 23:59:59.999.
std::string cmr_time(const cf::DateTime& t) {
  std::string fraction;
  if (t.nanosecond > 0) fraction = fmt::format(".{:03}", t.nanosecond / 1'000'000);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}Z", t.year, t.month, t.day, t.hour,
                     t.minute, t.second, fraction);
}

Result<Span> span_of(const std::string& text) {
  auto span = cf::parse_time_span(text, cf::Calendar::kProlepticGregorian);
  if (span) return span;
  return bad_value(fmt::format(
      "'{}' is not a date; write 2013, 2013-12, 2013-12-24 or 2013-12-24T12:30:00Z", text));
}

Result<std::string> interval_of(const std::string& from, const std::string& to) {
  if (from.empty() && to.empty()) return bad_value("has neither beginning nor end");
  std::string first, last;
  std::optional<Span> begin, end;
  if (!from.empty()) {
    UPWELL_TRY(begin, span_of(from));
    first = cmr_time(begin->first);
  }
  if (!to.empty()) {
    UPWELL_TRY(end, span_of(to));
    last = cmr_time(end->second);
  }
  if (begin && end && cf::compare(begin->first, end->second) > 0)
    return bad_value(fmt::format("begins after it ends; write {},{}", to, from));
  return first + "," + last;
}

bool is_duration(const std::string& text) { return text.starts_with('P'); }

}  // namespace

Result<std::string> cmr_temporal(const std::string& text) {
  if (const size_t slash = text.find('/'); slash != std::string::npos) {
    const std::string from = text.substr(0, slash), to = text.substr(slash + 1);
    if (is_duration(from) && is_duration(to)) return bad_value("has two durations and no date");
    if (!is_duration(from) && !is_duration(to)) return interval_of(from, to);
    // CMR knows how long a month is; the date must be whole.
    UPWELL_TRY(const Span date, span_of(is_duration(from) ? to : from));
    return is_duration(from) ? from + "/" + cmr_time(date.second) : cmr_time(date.first) + "/" + to;
  }
  const std::vector<std::string> parts = split_at(text, ',');
  if (parts.size() == 1) return interval_of(parts[0], parts[0]);
  if (parts.size() == 3 || parts.size() > 4)
    return bad_value("write FROM,TO or FROM,TO,STARTDAY,ENDDAY");
  UPWELL_TRY(std::string interval, interval_of(parts[0], parts[1]));
  for (size_t i = 2; i < parts.size(); ++i) {
    const auto day = number_in(parts[i]);
    if (!day || *day < 1 || *day > 366 || *day != std::floor(*day))
      return bad_value(fmt::format("'{}' is not a day of the year, 1 to 366", parts[i]));
    interval += "," + parts[i];
  }
  return interval;
}

Result<std::string> cmr_dates(const std::string& text) {
  const std::vector<std::string> parts = split_at(text, ',');
  if (parts.size() > 2) return bad_value("write FROM,TO");
  return interval_of(parts[0], parts.back());
}

Result<std::string> cmr_instant(const std::string& text) {
  UPWELL_TRY(const Span date, span_of(text));
  return cmr_time(date.first);
}

Result<std::string> cmr_range(const std::string& text, double low, double high, RangeForm form) {
  const std::vector<std::string> parts = split_at(text, ',');
  const bool one = parts.size() == 1;
  if (parts.size() > 2 || (one && form != RangeForm::kOneOrInterval))
    return bad_value(one ? fmt::format("write MIN,MAX; {0},{0} is exactly that, ,{0} at most, {0}, "
                                       "at least",
                                       text)
                         : "write MIN,MAX");
  std::optional<double> ends[2];
  for (size_t i = 0; i < parts.size(); ++i) {
    if (parts[i].empty() && !one) continue;
    ends[i] = number_in(parts[i]);
    if (!ends[i]) return bad_value(fmt::format("'{}' is not a number", parts[i]));
    if (*ends[i] < low || *ends[i] > high)
      return bad_value(
          fmt::format("{} is not between {} and {}", parts[i], shown(low), shown(high)));
  }
  if (!ends[0] && !ends[1]) return bad_value("has neither minimum nor maximum");
  if (form != RangeForm::kAround && ends[0] && ends[1] && *ends[0] > *ends[1])
    return bad_value(fmt::format("the first is greater; write {},{}", parts[1], parts[0]));
  return one ? parts[0] : parts[0] + "," + parts[1];
}

Result<std::string> cmr_integer(const std::string& text) {
  int value = 0;
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || stop != text.data() + text.size() || value < 0)
    return bad_value("is not a whole number");
  return std::to_string(value);
}

Result<std::pair<std::string, std::string>> cmr_pass(const std::string& text) {
  const size_t colon = text.find(':');
  UPWELL_TRY(std::string pass, cmr_integer(text.substr(0, colon)));
  if (colon == std::string::npos) return std::pair(std::move(pass), std::string());
  std::string tiles;
  for (const std::string& tile : split_at(text.substr(colon + 1), ',')) {
    const size_t digits = tile.find_first_not_of("0123456789");
    const bool right = digits != std::string::npos && digits > 0 && digits + 1 == tile.size() &&
                       std::string_view("LRF").find(tile.back()) != std::string_view::npos;
    if (!right)
      return bad_value(
          fmt::format("'{}' is not a tile; write 1L, 2R or 3F (left, right, full)", tile));
    tiles += (tiles.empty() ? "" : ",") + tile;
  }
  return std::pair(std::move(pass), std::move(tiles));
}

Result<std::string> cmr_day_night(const std::string& text) {
  std::string flag = text;
  for (char& c : flag)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  for (const std::string_view known : {"day", "night", "both", "unspecified"})
    if (flag == known) return flag;
  return bad_value("write day, night, both or unspecified");
}

Result<std::string> cmr_box(const std::string& text, std::vector<std::string>& warnings) {
  UPWELL_TRY(const std::vector<double> box, numbers_in(text));
  if (box.size() != 4)
    return bad_value(fmt::format("has {} numbers; write W,S,E,N in degrees", box.size()));
  const double west = box[0], south = box[1], east = box[2], north = box[3];
  if (std::abs(south) > 90 || std::abs(north) > 90)
    return bad_value(
        fmt::format("latitudes {} and {} are not between -90 and 90; the order is W,S,E,N{}",
                    shown(south), shown(north),
                    std::abs(west) <= 90 && std::abs(east) <= 90
                        ? fmt::format(": perhaps {},{},{},{}", shown(south), shown(west),
                                      shown(north), shown(east))
                        : ""));
  UPWELL_CHECK(check_longitude(west));
  UPWELL_CHECK(check_longitude(east));
  if (south > north)
    return bad_value(
        fmt::format("its south is north of its north; the order is W,S,E,N: perhaps {},{},{},{}",
                    shown(west), shown(north), shown(east), shown(south)));
  const double width = 360 + east - west;
  if (west > east && width > 180)
    warnings.push_back(fmt::format(
        "the box {} crosses the antimeridian and is {} degrees wide; if that is not meant, swap "
        "west and east: {},{},{},{}",
        text, shown(width), shown(east), shown(south), shown(west), shown(north)));
  return fmt::format("{},{},{},{}", shown(west), shown(south), shown(east), shown(north));
}

Result<std::string> cmr_positions(const std::string& text, size_t least, size_t most) {
  UPWELL_TRY(const std::vector<Position> positions, positions_in(text));
  if (positions.size() < least || (most > 0 && positions.size() > most))
    return bad_value(fmt::format("has {} points; {} {}", positions.size(),
                                 most == least ? "exactly" : "at least", least));
  return shown(positions);
}

Result<std::string> cmr_polygon(const std::string& text) {
  UPWELL_TRY(std::vector<Position> ring, positions_in(text));
  if (ring.size() < 3) return bad_value("has fewer than three corners");
  if (ring.front() != ring.back()) {
    ring.push_back(ring.front());
    return bad_value("is not closed; end with its first point: " + shown(ring));
  }
  if (ring.size() < 4) return bad_value("has fewer than three corners");
  // Edges take the short way; what they turn by in all tells whether a pole lies inside.
  double turn = 0, twice_area = 0, x = 0;
  for (size_t i = 0; i + 1 < ring.size(); ++i) {
    double step = ring[i + 1].longitude - ring[i].longitude;
    if (step > 180) step -= 360;
    if (step < -180) step += 360;
    twice_area += x * ring[i + 1].latitude - (x + step) * ring[i].latitude;
    x += step;
    turn += step;
  }
  if (std::abs(turn) < 180 && twice_area == 0) return bad_value("has no area");
  if (std::abs(turn) < 180 && twice_area < 0) {
    std::reverse(ring.begin(), ring.end());
    return bad_value("runs clockwise, so it means all but what it seems to; write " + shown(ring));
  }
  return shown(ring);
}

Result<std::string> cmr_circle(const std::string& text) {
  UPWELL_TRY(const std::vector<double> circle, numbers_in(text));
  if (circle.size() != 3) return bad_value("write LON,LAT,METRES");
  UPWELL_CHECK(check_longitude(circle[0]));
  UPWELL_CHECK(check_latitude(circle[1]));
  if (circle[2] < 10 || circle[2] > 6'000'000)
    return bad_value(fmt::format("a radius of {} m is not between 10 and 6000000", circle[2]));
  return fmt::format("{},{},{}", shown(circle[0]), shown(circle[1]), shown(circle[2]));
}

bool is_concept_id(const std::string& text) {
  if (text.size() < 4 || text[0] < 'A' || text[0] > 'Z') return false;
  const size_t dash = text.find('-');
  if (dash == std::string::npos || dash < 2 || dash + 1 == text.size()) return false;
  return std::all_of(text.begin() + 1, text.begin() + static_cast<std::ptrdiff_t>(dash),
                     [](char c) { return c >= '0' && c <= '9'; });
}

}  // namespace upwell::access
