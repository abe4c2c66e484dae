#include "cli/bounding_box.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <optional>

#include "cube/cf.hpp"
#include "refs/kept_segments.hpp"

namespace upwell::cli {
namespace {

/// Degrees between one longitude and itself.
constexpr double kSame = 1e-6;

bool is_single(const DataType& type) { return type == DataType::floating(4); }

/// Degrees that differ by rounding are one: 265.07 is -94.93, and 9.85 is the float32 next to it.
/// Near 360 two neighbours in float32 are 3e-5 apart.
double rounding_of(const DataType& type) { return is_single(type) ? 2e-5 : 1e-9; }

/// How far a longitude is shifted to lie in the 360 degrees from west on.
double shift_to(double west, double longitude, double rounding) {
  return -360 * std::floor((longitude - west + rounding) / 360);
}

bool is_within(const BoundingBox& box, double longitude, double rounding) {
  const double width = box.east >= box.west ? box.east - box.west : box.east - box.west + 360;
  return width >= 360 ||
         longitude + shift_to(box.west, longitude, rounding) - box.west <= width + rounding;
}

Result<Values> decoded_values(io::Session& session, const Dataset& dataset, const Array& array) {
  UPWELL_TRY(Values raw, read_raw(session, dataset, array));
  return cf::decode(cf::decoding_of(array), std::move(raw));
}

/// Which values lie on either side of a place between two of them; empty elsewhere.
std::string neighbours_of(const Values& values, double place) {
  double below = -INFINITY, above = INFINITY;
  for (uint64_t i = 0; i < values.count(); ++i) {
    const double v = values.number(i);
    if (v < place) below = std::max(below, v);
    if (v > place) above = std::min(above, v);
  }
  if (!std::isfinite(below) || !std::isfinite(above)) return {};
  return fmt::format(", with {} and {} on either side", below, above);
}

/// Whether the last of these longitudes is the first once more.
bool comes_again(const Values& longitudes) {
  const uint64_t n = longitudes.count();
  if (n < 2) return false;
  const double once_around = std::abs(longitudes.number(n - 1) - longitudes.number(0));
  return std::abs(once_around - 360) < 2 * rounding_of(longitudes.type) + kSame;
}

/// The run of elements that `inside` takes, as "first:end". No longitude is in a box twice.
Result<AxisRequest> choose_run(io::Session& session, const Dataset& dataset,
                               const std::string& dimension, const Array& coordinate,
                               const std::string& range, double middle,
                               const std::function<bool(double, double)>& inside) {
  UPWELL_TRY(const Values values, decoded_values(session, dataset, coordinate));
  const double rounding = rounding_of(values.type);
  uint64_t first = 0, count = 0;
  double low = INFINITY, high = -INFINITY;
  for (uint64_t i = 0; i < values.count(); ++i) {
    const double v = values.number(i);
    low = std::min(low, v);
    high = std::max(high, v);
    if (!inside(v, rounding)) continue;
    if (count == 0) first = i;
    if (i != first + count)
      return fail(
          Code::kInvalidArgument,
          fmt::format("--bbox: {} {} is not in one piece: {} runs from {} to {}, not around "
                      "the globe. Take its parts one by one",
                      coordinate.name, range, coordinate.name, values.number(0),
                      values.number(values.count() - 1)));
    ++count;
  }
  if (count == 0)
    return fail(Code::kInvalidArgument,
                fmt::format("--bbox: nothing lies in {} {}: it runs from {} to {}{}",
                            coordinate.name, range, low, high, neighbours_of(values, middle)));
  if (count == values.count() && cf::is_longitude(coordinate) && comes_again(values)) --count;
  return AxisRequest{dimension, fmt::format("{}:{}", first, first + count), false};
}

/// The two pieces of a dimension that a box takes: [begin, size), then [skip, end).
struct Wrap {
  uint64_t size = 0, begin = 0, end = 0;
  uint64_t skip = 0;  ///< 1 where the last longitude is the first one once more
};

/// nullopt where the box is one piece, or the longitudes do not go around the globe.
std::optional<Wrap> wrap_of(const Values& longitudes, const BoundingBox& box) {
  const uint64_t n = longitudes.count();
  const auto at = [&](uint64_t i) { return longitudes.number(i); };
  const auto is_in = [&](uint64_t i) {
    return is_within(box, at(i), rounding_of(longitudes.type));
  };
  if (n < 3 || !is_in(0) || !is_in(n - 1)) return {};
  Wrap wrap{n, n, 0, 0};
  while (wrap.end < n && is_in(wrap.end)) ++wrap.end;
  while (wrap.begin > wrap.end && is_in(wrap.begin - 1)) --wrap.begin;
  if (wrap.end == n) return {};
  for (uint64_t i = wrap.end; i < wrap.begin; ++i)
    if (is_in(i)) return {};
  const bool rises = at(n - 1) > at(0);
  double longest = 0;
  for (uint64_t i = 1; i < n; ++i) {
    const double step = rises ? at(i) - at(i - 1) : at(i - 1) - at(i);
    if (!(step > 0)) return {};
    longest = std::max(longest, step);
  }
  const double across = 360 - std::abs(at(n - 1) - at(0));
  if (across < -kSame || across > 1.5 * longest) return {};
  wrap.skip = comes_again(longitudes) ? 1 : 0;
  return wrap;
}

/// `array` of which the pieces of one axis follow each other.
Array joined_pieces(const Array& array, size_t axis, const Wrap& wrap) {
  Array out = refs::cut_along(array, axis, wrap.begin, wrap.size);
  Array second = refs::cut_along(array, axis, wrap.skip, wrap.end);
  for (Segment& segment : second.segments) {
    segment.origin[axis] += out.shape[axis];
    out.segments.push_back(std::move(segment));
  }
  out.shape[axis] += second.shape[axis];
  return out;
}

void join_group(Group& group, const std::string& path, const Dataset& from,
                const NamedArray& longitude, const Wrap& wrap) {
  const std::string& dimension = longitude.array->name;
  for (Array& array : group.arrays) {
    if (find_coordinate(from, path + array.name, dimension).array != longitude.array) continue;
    for (size_t d = 0; d < array.dimensions.size(); ++d)
      if (array.dimensions[d] == dimension && array.shape[d] == wrap.size)
        array = joined_pieces(array, d, wrap);
  }
  for (Group& child : group.groups)
    join_group(child, path + child.name + "/", from, longitude, wrap);
}

/// Makes `array` hold these decoded numbers, in its own type where that takes nothing from them.
void hold(Array& array, Values numbers, const DataType& type) {
  if (auto exact = exact_numbers(numbers, type)) numbers = std::move(*exact);
  array.attributes = cf::decoded_attributes(array.attributes, cf::decoding_of(array));
  std::erase_if(array.attributes, [](const Attribute& a) {
    return a.name == "actual_range" || a.name.starts_with("valid_") || a.name == "_FillValue";
  });
  array.type = numbers.type;
  array.fill.reset();
  array.chunk_shape = array.shape;
  auto layout = std::make_shared<SegmentLayout>();
  layout->type = numbers.type;
  layout->chunk_shape = array.shape;
  auto index = std::make_shared<DenseChunkIndex>(1);
  index->set_inline(0, std::move(numbers.data));
  array.segments = {{Shape(array.shape.size(), 0),
                     array.shape,
                     {},
                     std::move(layout),
                     std::move(index),
                     Shape(array.shape.size(), 1)}};
}

/// The array at `path`, to be changed.
Array* array_at(Group& group, const std::string& path) {
  return const_cast<Array*>(group.find_array(path));
}

/// Longitudes and their bounds, counted from west on.
Result<> count_from(io::Session& session, Dataset& dataset, const std::string& path, double west) {
  Array& longitude = *array_at(dataset.root, path);
  UPWELL_TRY(const Values now, decoded_values(session, dataset, longitude));
  Values shifted{DataType::floating(8), now.shape, Bytes(now.count() * sizeof(double)), {}};
  const bool single = is_single(now.type);  // stays so
  const auto put = [single](Values& values, size_t i, double v) {
    if (single) v = static_cast<float>(v);
    std::memcpy(values.data.data() + i * sizeof(v), &v, sizeof(v));
  };
  for (size_t i = 0; i < now.count(); ++i)
    put(shifted, i, now.number(i) + shift_to(west, now.number(i), rounding_of(now.type)));
  const auto name = text_attribute(longitude.attributes, "bounds");
  const NamedArray bounds = name ? find_named(dataset, path, *name) : NamedArray{};
  if (bounds.array != nullptr && bounds.array->type.is_number() &&
      bounds.array->shape.size() == 2 && bounds.array->shape[0] == now.count()) {
    UPWELL_TRY(const Values edges, decoded_values(session, dataset, *bounds.array));
    Values around{DataType::floating(8), edges.shape, Bytes(edges.count() * sizeof(double)), {}};
    for (size_t i = 0; i < edges.count(); ++i) {
      const double middle = shifted.number(i / edges.shape[1]), v = edges.number(i);
      put(around, i, v + 360 * std::round((middle - v) / 360));
    }
    hold(*array_at(dataset.root, bounds.path), std::move(around), edges.type);
  }
  hold(longitude, std::move(shifted), now.type);
  return {};
}

/// What to write for stations, swaths and curvilinear grids.
std::string instead_of_box(const Dataset& dataset, const Array& array, const BoundingBox& box) {
  const auto beside = [&](bool (*is)(const Array&)) {
    std::string name;
    for_each_array(dataset.root, [&](const std::string&, const Array& one) {
      const bool fits = std::all_of(
          one.dimensions.begin(), one.dimensions.end(), [&](const std::string& dimension) {
            return std::find(array.dimensions.begin(), array.dimensions.end(), dimension) !=
                   array.dimensions.end();
          });
      if (name.empty() && fits && !one.dimensions.empty() && is(one)) name = one.name;
    });
    return name;
  };
  const std::string x = beside(cf::is_longitude), y = beside(cf::is_latitude);
  if (x.empty() || y.empty()) return "select by index (--isel)";
  const double east = box.east >= box.west ? box.east : box.east + 360;
  std::string ranges;  // in either count of longitudes
  for (const double turn : {-360.0, 0.0, 360.0})
    if (box.west + turn <= 360 && east + turn >= -180)
      ranges += fmt::format("{}{} >= {} and {} <= {}", ranges.empty() ? "" : " or ", x,
                            box.west + turn, x, east + turn);
  return fmt::format("upwell aggregate chooses by --where '({}) and {} >= {} and {} <= {}'", ranges,
                     y, box.south, y, box.north);
}

}  // namespace

Result<Dataset> join_across(io::Session& session, Dataset dataset,
                            const std::vector<std::string>& paths, const BoundingBox& box) {
  for (const std::string& path : paths) {
    const Array* array = dataset.root.find_array(path);
    const std::vector<std::string> dimensions =
        array != nullptr ? array->dimensions : std::vector<std::string>{};
    for (const std::string& dimension : dimensions) {
      const NamedArray longitude = find_coordinate(dataset, path, dimension);
      if (longitude.array == nullptr || !longitude.array->type.is_number() ||
          !cf::is_longitude(*longitude.array))
        continue;
      UPWELL_TRY(const Values values, decoded_values(session, dataset, *longitude.array));
      const std::optional<Wrap> wrap = wrap_of(values, box);
      if (!wrap) continue;
      Dataset joined = dataset;
      join_group(joined.root, "/", dataset, longitude, *wrap);
      UPWELL_CHECK(count_from(session, joined, longitude.path, box.west));
      dataset = std::move(joined);
    }
  }
  return dataset;
}

Result<BoundingBox> parse_bounding_box(const std::string& text) {
  double values[4] = {};
  const char* at = text.data();
  const char* end = at + text.size();
  for (size_t i = 0; i < 4; ++i) {
    const auto [stop, error] = std::from_chars(at, end, values[i]);
    const bool last = i == 3;
    if (error != std::errc() || (last ? stop != end : stop == end || *stop != ','))
      return fail(Code::kInvalidArgument,
                  "--bbox " + text +
                      ": write WEST,SOUTH,EAST,NORTH in degrees, with commas and without blanks");
    at = stop + 1;
  }
  const BoundingBox box{values[0], values[1], values[2], values[3]};
  if (!(box.south >= -90 && box.north <= 90 && box.south <= box.north))
    return fail(Code::kInvalidArgument,
                "--bbox " + text +
                    ": WEST,SOUTH,EAST,NORTH: south must not be above north, and both lie in -90 "
                    "to 90");
  for (const double longitude : {box.west, box.east})
    if (!(longitude >= -180 && longitude <= 360))
      return fail(Code::kInvalidArgument,
                  fmt::format("--bbox {}: longitudes lie in -180 to 360; {} is {}", text, longitude,
                              longitude - 360 * std::floor((longitude + 180) / 360)));
  return box;
}

Result<bool> counts_otherwise(io::Session& session, const Dataset& dataset, const Array& longitudes,
                              const BoundingBox& box) {
  UPWELL_TRY(const Values values, decoded_values(session, dataset, longitudes));
  const double rounding = rounding_of(values.type);
  const double east = box.east + (box.east < box.west ? 360 : 0);
  for (uint64_t i = 0; i < values.count(); ++i) {
    const double v = values.number(i);
    if (is_within(box, v, rounding) && !(v >= box.west - rounding && v <= east + rounding))
      return true;
  }
  return false;
}

Result<std::vector<AxisRequest>> select_box(io::Session& session, const Dataset& dataset,
                                            const std::string& path, const Array& array,
                                            const BoundingBox& box) {
  auto in_longitudes = [&](double v, double rounding) { return is_within(box, v, rounding); };
  auto in_latitudes = [&](double v, double rounding) {
    return v >= box.south - rounding && v <= box.north + rounding;
  };
  std::vector<AxisRequest> requests;
  for (const bool longitude : {true, false}) {
    const std::string range = longitude ? fmt::format("{} to {}", box.west, box.east)
                                        : fmt::format("{} to {}", box.south, box.north);
    const double middle = !longitude             ? (box.south + box.north) / 2
                          : box.west <= box.east ? (box.west + box.east) / 2
                                                 : NAN;
    const size_t before = requests.size();
    for (const std::string& dimension : array.dimensions) {
      const Array* coordinate = find_coordinate(dataset, path, dimension).array;
      if (coordinate == nullptr || !coordinate->type.is_number() ||
          !(longitude ? cf::is_longitude(*coordinate) : cf::is_latitude(*coordinate)))
        continue;
      UPWELL_TRY(requests.emplace_back(),
                 choose_run(session, dataset, dimension, *coordinate, range, middle,
                            longitude ? std::function<bool(double, double)>(in_longitudes)
                                      : std::function<bool(double, double)>(in_latitudes)));
    }
    if (requests.size() == before)
      return fail(Code::kInvalidArgument,
                  fmt::format("--bbox: {} has no dimension with a coordinate variable of {} "
                              "(units degrees_{}); {}",
                              path, longitude ? "longitudes" : "latitudes",
                              longitude ? "east" : "north", instead_of_box(dataset, array, box)));
  }
  return requests;
}

}  // namespace upwell::cli
