#include "cube/select.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <filesystem>
#include <functional>

#include "cube/cf.hpp"

namespace upwell {
namespace {

/// Of labels that could have been meant.
constexpr uint64_t kShownLabels = 8;

struct AxisChoice {
  uint64_t origin = 0, count = 0, step = 1;
  bool single = false;
};

std::vector<std::string> split(const std::string& text, char separator) {
  std::vector<std::string> parts(1);
  for (char c : text) {
    if (c == separator) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  return parts;
}

tl::unexpected<Error> bad_axis(const AxisRequest& request, const std::string& why) {
  return fail(Code::kInvalidArgument,
              fmt::format("{}={}: {}", request.dimension, request.text, why));
}

Result<int64_t> parse_index(const AxisRequest& request, const std::string& text) {
  int64_t value = 0;
  auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size())
    return bad_axis(request, fmt::format("'{}' is not an index", text));
  return value;
}

Result<AxisChoice> choose_by_index(const AxisRequest& request, uint64_t size) {
  auto n = static_cast<int64_t>(size);
  std::vector<std::string> parts = split(request.text, ':');
  if (parts.size() == 1) {
    UPWELL_TRY(int64_t i, parse_index(request, parts[0]));
    if (i < -n || i >= n) return bad_axis(request, fmt::format("there are {} elements", size));
    return AxisChoice{static_cast<uint64_t>(i < 0 ? i + n : i), 1, 1, true};
  }
  if (parts.size() > 3) return bad_axis(request, "write first:last:step");
  int64_t first = 0, last = n, step = 1;
  if (!parts[0].empty()) {
    UPWELL_TRY(first, parse_index(request, parts[0]));
  }
  if (!parts[1].empty()) {
    UPWELL_TRY(last, parse_index(request, parts[1]));
  }
  if (parts.size() == 3 && !parts[2].empty()) {
    UPWELL_TRY(step, parse_index(request, parts[2]));
  }
  if (step < 1) return bad_axis(request, "the step must be 1 or more");
  first = std::clamp<int64_t>(first < 0 ? first + n : first, 0, n);
  last = std::clamp<int64_t>(last < 0 ? last + n : last, 0, n);
  auto count = static_cast<uint64_t>(last > first ? (last - first + step - 1) / step : 0);
  return AxisChoice{static_cast<uint64_t>(first), count, static_cast<uint64_t>(step), false};
}

/// Elements of a coordinate that lie in [low, high], as one run. Works for coordinates that go up,
/// down, or neither (then the elements must still lie together).
Result<AxisChoice> choose_between(const AxisRequest& request, const std::vector<double>& values,
                                  double low, double high) {
  AxisChoice choice;
  for (uint64_t i = 0; i < values.size(); ++i) {
    if (!(values[i] >= low && values[i] <= high)) continue;
    if (choice.count == 0) choice.origin = i;
    if (i != choice.origin + choice.count)
      return bad_axis(request, "what it covers is not in one piece; select by index");
    ++choice.count;
  }
  return choice;
}

/// A value of a coordinate as it is written in a request: a date where it is a time.
std::string label_text(double value, const cf::TimeUnits* units) {
  auto time = units == nullptr ? Result<cf::DateTime>(fail(Code::kInvalidArgument, ""))
                               : cf::decode_time(*units, value);
  return time ? cf::format_time(*time) : fmt::format("{}", value);
}

std::string extent_text(const std::vector<double>& values, const cf::TimeUnits* units) {
  double low = INFINITY, high = -INFINITY;
  for (double v : values) {
    low = std::min(low, v);
    high = std::max(high, v);
  }
  if (low > high) return "the coordinate has no values";
  return fmt::format("the coordinate runs from {} to {}", label_text(low, units),
                     label_text(high, units));
}

/// How far apart two values of a coordinate are: as such, and around the globe.
std::pair<double, double> distances(double a, double b, bool longitudes) {
  const double plain = std::abs(a - b);
  const double around = longitudes ? std::fmod(plain, 360) : plain;
  return {longitudes ? std::min(around, 360 - around) : around, plain};
}

Result<AxisChoice> choose_nearest(const AxisRequest& request, const std::vector<double>& values,
                                  double wanted, bool nearest, const Array& coordinate,
                                  const cf::TimeUnits* units = nullptr) {
  AxisChoice choice{0, 1, 1, true};
  const bool longitudes = cf::is_longitude(coordinate);
  std::pair<double, double> best{INFINITY, INFINITY};
  for (uint64_t i = 0; i < values.size(); ++i) {
    const auto distance = distances(values[i], wanted, longitudes);
    if (distance < best) {
      best = distance;
      choice.origin = i;
    }
  }
  const bool none = std::isinf(best.first);
  if (!none && (best.second == 0 || nearest)) return choice;
  const std::string hint = none ? ""
                                : fmt::format("; the nearest is {} (take it with --nearest)",
                                              label_text(values[choice.origin], units));
  return bad_axis(request, "no such value: " + extent_text(values, units) + hint);
}

/// In the type of the coordinate: 9.85 is the float32 next to it, where values are such.
Result<double> parse_label(const AxisRequest& request, const std::string& text,
                           const Array& coordinate) {
  double value = 0;
  auto [end, status] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (status != std::errc() || end != text.data() + text.size())
    return bad_axis(request, fmt::format("'{}' is not a number", text));
  const DataType type = cf::decoded_type(cf::decoding_of(coordinate), memory_type(coordinate.type));
  return type == DataType::floating(4) ? static_cast<float>(value) : value;
}

/// Longitudes that are counted in another way than here, or are written from east to west, would
/// take a part of what was meant, or the rest of the globe.
Result<> check_longitudes(const AxisRequest& request, const std::vector<double>& values, double low,
                          double high) {
  const std::string instead =
      ": take what lies on either side by itself, or write --bbox WEST,SOUTH,EAST,NORTH, which "
      "goes across";
  if (low > high && (values.size() == 1 || values.front() < values.back()))
    return bad_axis(request, "the first longitude lies east of the last" + instead);
  if (low > high) std::swap(low, high);
  if (std::isinf(low) || std::isinf(high)) return {};
  for (const double v : values)
    for (const double turned : {v - 360, v + 360})
      if ((v < low || v > high) && turned > low && turned < high)
        return bad_axis(request, fmt::format("{}, and {} is {} there{}",
                                             extent_text(values, nullptr), turned, v, instead));
  return {};
}

Result<AxisChoice> choose_by_number(const AxisRequest& request, const std::vector<double>& values,
                                    bool nearest, const Array& coordinate) {
  std::vector<std::string> parts = split(request.text, ':');
  if (parts.size() == 1) {
    UPWELL_TRY(double wanted, parse_label(request, parts[0], coordinate));
    return choose_nearest(request, values, wanted, nearest, coordinate);
  }
  if (parts.size() != 2) return bad_axis(request, "write low:high");
  double low = -INFINITY, high = INFINITY;
  if (!parts[0].empty()) {
    UPWELL_TRY(low, parse_label(request, parts[0], coordinate));
  }
  if (!parts[1].empty()) {
    UPWELL_TRY(high, parse_label(request, parts[1], coordinate));
  }
  if (!values.empty() && cf::is_longitude(coordinate))
    UPWELL_CHECK(check_longitudes(request, values, low, high));
  if (low > high) std::swap(low, high);  // a descending coordinate may be written the way it runs
  UPWELL_TRY(AxisChoice choice, choose_between(request, values, low, high));
  if (choice.count == 0)
    return bad_axis(request, "no value there: " + extent_text(values, nullptr));
  return choice;
}

/// "2020-01:2020-03" splits at the colon after a date; colons inside a time of day ("T12:30") do
/// not count.
std::vector<std::string> split_dates(const std::string& text) {
  std::vector<size_t> colons;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ':') colons.push_back(i);
  }
  for (size_t colon : colons) {
    std::string first = text.substr(0, colon), second = text.substr(colon + 1);
    auto is_date = [](const std::string& t) {
      return t.empty() || bool(cf::parse_time_span(t, cf::Calendar::kAllLeap)) ||
             bool(cf::parse_time_span(t, cf::Calendar::k360Day));
    };
    bool year_first = second.empty() || second.size() >= 4;
    if (year_first && is_date(first) && is_date(second)) return {first, second};
  }
  return {text};
}

/// The largest value that lies in the span. Spans end a nanosecond before the next second, which a
/// double may not resolve: rounded up, "2000" would take 2001-01-01T00:00 too.
Result<double> last_value(const cf::TimeUnits& units,
                          const std::pair<cf::DateTime, cf::DateTime>& span) {
  if (cf::compare(span.first, span.second) == 0) return cf::encode_time(units, span.second);
  cf::DateTime end = span.second;
  end.second += 1;
  end.nanosecond = 0;
  UPWELL_TRY(double beyond, cf::encode_time(units, end));
  return std::nextafter(beyond, -INFINITY);
}

Result<AxisChoice> choose_by_time(const AxisRequest& request, const cf::TimeUnits& units,
                                  const std::vector<double>& values, bool nearest,
                                  const Array& coordinate) {
  std::vector<std::string> parts = split_dates(request.text);
  double low = -INFINITY, high = INFINITY;
  if (!parts[0].empty()) {
    UPWELL_TRY(auto span, cf::parse_time_span(parts[0], units.calendar));
    UPWELL_TRY(low, cf::encode_time(units, span.first));
    if (parts.size() == 1) {
      UPWELL_TRY(high, last_value(units, span));
    }
  }
  if (parts.size() == 2 && !parts[1].empty()) {
    UPWELL_TRY(auto span, cf::parse_time_span(parts[1], units.calendar));
    UPWELL_TRY(high, last_value(units, span));
  }
  if (low > high) return bad_axis(request, "the first date is after the last");
  UPWELL_TRY(AxisChoice choice, choose_between(request, values, low, high));
  if (choice.count > 0) return choice;
  if (parts.size() == 1) return choose_nearest(request, values, low, nearest, coordinate, &units);
  return bad_axis(request, "no value there: " + extent_text(values, &units));
}

Result<std::vector<double>> coordinate_values(io::Session& session, const Dataset& dataset,
                                              const Array& coordinate) {
  UPWELL_TRY(Values raw, read_raw(session, dataset, coordinate));
  UPWELL_TRY(Values decoded, cf::decode(cf::decoding_of(coordinate), std::move(raw)));
  std::vector<double> values(decoded.count());
  for (size_t i = 0; i < values.size(); ++i) values[i] = decoded.number(i);
  return values;
}

/// The one element of this label, which may be padded with blanks.
Result<AxisChoice> choose_by_text(const AxisRequest& request, Values labels) {
  if (are_characters(labels.type, labels.shape) && labels.shape.size() > 1)
    labels = joined_characters(std::move(labels));
  std::optional<uint64_t> found;
  std::string some;
  for (uint64_t i = 0; i < labels.count(); ++i) {
    std::string label = labels.text(i);
    label.resize(label.find_last_not_of(' ') + 1);
    if (i < kShownLabels) some += fmt::format("{}{}", i == 0 ? "" : ", ", label);
    if (label != request.text) continue;
    if (found)
      return bad_axis(request, fmt::format("elements {} and {} have this label; select by index "
                                           "(--isel)",
                                           *found, i));
    found = i;
  }
  if (found) return AxisChoice{*found, 1, 1, true};
  if (labels.count() > kShownLabels) some += ", ...";
  return bad_axis(request, "no such label; there are: " + some);
}

Result<AxisChoice> choose_by_label(io::Session& session, const Dataset& dataset,
                                   const Array* coordinate, const AxisRequest& request,
                                   uint64_t size, bool nearest) {
  if (coordinate == nullptr)
    return bad_axis(request, "the dimension has no coordinate variable; select by index (--isel)");
  if (coordinate->shape[0] != size)
    return bad_axis(request, "the coordinate variable has another length");
  if (!coordinate->type.is_number()) {
    UPWELL_TRY(Values labels, read_raw(session, dataset, *coordinate));
    return choose_by_text(request, std::move(labels));
  }
  UPWELL_TRY(std::vector<double> values, coordinate_values(session, dataset, *coordinate));
  if (auto units = cf::time_units_of(*coordinate)) {
    if (!*units) return fail((*units).error());
    return choose_by_time(request, **units, values, nearest, *coordinate);
  }
  return choose_by_number(request, values, nearest, *coordinate);
}

NamedArray find_upwards(const Dataset& dataset, const std::string& array_path,
                        const std::string& name, const std::function<bool(const Array&)>& wanted) {
  std::string group = array_path;
  while (true) {
    size_t slash = group.rfind('/');
    if (slash == std::string::npos) return {};
    group.resize(slash);
    const Group* scope = dataset.root.find_group(group);
    const Array* array = scope == nullptr ? nullptr : scope->find_array(name);
    if (array != nullptr && wanted(*array)) return {group + "/" + name, array};
    if (group.empty()) return {};
  }
}

}  // namespace

Result<std::vector<AxisRequest>> parse_axes(const std::string& text, bool by_label) {
  std::vector<AxisRequest> axes;
  if (text.empty()) return axes;
  for (const std::string& part : split(text, ',')) {
    size_t equals = part.find('=');
    if (equals == std::string::npos || equals == 0 || equals + 1 == part.size()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("'{}': write DIMENSION=VALUE or DIMENSION=FIRST:LAST", part));
    }
    axes.push_back({part.substr(0, equals), part.substr(equals + 1), by_label});
  }
  return axes;
}

NamedArray find_named(const Dataset& dataset, const std::string& array_path,
                      const std::string& name) {
  std::string group = array_path.substr(0, array_path.rfind('/'));
  if (name.find('/') == std::string::npos)
    return find_upwards(dataset, array_path, name, [](const Array&) { return true; });
  std::string path = name.front() == '/' ? name : group + "/" + name;
  path = std::filesystem::path(path).lexically_normal().string();
  return {path, dataset.root.find_array(path)};
}

NamedArray find_coordinate(const Dataset& dataset, const std::string& array_path,
                           const std::string& dimension) {
  return find_upwards(dataset, array_path, dimension,
                      [](const Array& array) { return array.shape.size() == 1; });
}

std::optional<size_t> axis_of(const Array& array, const AxisRequest& request) {
  const auto& names = array.dimensions;
  auto found = std::find(names.begin(), names.end(), request.dimension);
  if (found != names.end()) return static_cast<size_t>(found - names.begin());
  size_t number = 0;
  const char* end = request.dimension.data() + request.dimension.size();
  auto [stop, error] = std::from_chars(request.dimension.data(), end, number);
  bool counts = error == std::errc{} && stop == end && number < array.shape.size();
  return counts && !request.by_label ? std::optional(number) : std::nullopt;
}

namespace {

/// The array itself where it is one of labels along a dimension of another name (CF section 6.1),
/// as names of stations are, and then which axis of `array` that is; else null.
const Array* labels_of(const Array* labels, const Array& array, std::optional<size_t>& axis) {
  if (labels == nullptr || labels->dimensions.empty()) return nullptr;
  const size_t rank = labels->shape.size() - (are_characters(labels->type, labels->shape) ? 1 : 0);
  if (rank != 1) return nullptr;
  const auto& names = array.dimensions;
  const auto found = std::find(names.begin(), names.end(), labels->dimensions[0]);
  if (labels->dimensions[0].empty() || found == names.end()) return nullptr;
  axis = static_cast<size_t>(found - names.begin());
  return labels;
}

}  // namespace

Result<NamedSelection> resolve_selection(io::Session& session, const Dataset& dataset,
                                         const std::string& path, const Array& array,
                                         const std::vector<AxisRequest>& requests, bool nearest) {
  NamedSelection named;
  size_t rank = array.shape.size();
  named.selection = {Shape(rank, 0), array.shape, Shape(rank, 1)};
  named.single.assign(rank, false);
  std::vector<bool> taken(rank, false);
  for (const AxisRequest& request : requests) {
    auto axis = axis_of(array, request);
    const Array* labels = nullptr;
    if (request.by_label)
      labels = axis ? find_coordinate(dataset, path, request.dimension).array
                    : labels_of(find_named(dataset, path, request.dimension).array, array, axis);
    if (!axis) {
      std::string why =
          fmt::format("{} has the dimensions ({})", array.name, fmt::join(array.dimensions, ", "));
      const Array* other = find_named(dataset, path, request.dimension).array;
      if (other != nullptr)
        why += fmt::format("; {} is an array over ({}): select those by index (--isel)",
                           request.dimension, fmt::join(other->dimensions, ", "));
      return bad_axis(request, why);
    }
    size_t d = *axis;
    if (taken[d])
      return bad_axis(request,
                      "the axis is selected twice (--bbox takes those of longitude and "
                      "latitude, --sel and --isel those they name)");
    taken[d] = true;
    Result<AxisChoice> choice = request.by_label ? choose_by_label(session, dataset, labels,
                                                                   request, array.shape[d], nearest)
                                                 : choose_by_index(request, array.shape[d]);
    if (!choice) return fail(std::move(choice).error());
    named.selection.origin[d] = choice->origin;
    named.selection.shape[d] = choice->count;
    named.selection.step[d] = choice->step;
    named.single[d] = choice->single;
  }
  return named;
}

}  // namespace upwell
