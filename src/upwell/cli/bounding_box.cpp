#include "cli/bounding_box.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <functional>

#include "cube/cf.hpp"

namespace upwell::cli {
namespace {

/// Whether a coordinate is the longitude or latitude (CF 4.1, 4.2): "degrees_east", "degreeE", ...
bool is_direction(const Array& array, bool longitude) {
  if (text_attribute(array.attributes, "standard_name") == (longitude ? "longitude" : "latitude"))
    return true;
  std::string units = text_attribute(array.attributes, "units").value_or("");
  std::transform(units.begin(), units.end(), units.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  const std::string_view end = longitude ? "east" : "north";
  for (const char* degree : {"degrees_", "degree_", "degrees", "degree"})
    if (units == degree + std::string(end) || units == degree + std::string(1, end[0])) return true;
  return false;
}

/// The run of elements that `inside` takes, as "first:end".
Result<AxisRequest> choose_run(io::Session& session, const Dataset& dataset,
                               const std::string& dimension, const Array& coordinate,
                               const std::string& range,
                               const std::function<bool(double)>& inside) {
  UPWELL_TRY(Values raw, read_raw(session, dataset, coordinate));
  UPWELL_TRY(const Values values, cf::decode(cf::decoding_of(coordinate), std::move(raw)));
  uint64_t first = 0, count = 0;
  double low = INFINITY, high = -INFINITY;
  for (uint64_t i = 0; i < values.count(); ++i) {
    const double v = values.number(i);
    low = std::min(low, v);
    high = std::max(high, v);
    if (!inside(v)) continue;
    if (count == 0) first = i;
    if (i != first + count)
      return fail(Code::kInvalidArgument,
                  fmt::format("--bbox: {} {} is not in one piece: {} runs from {} to {}. Aggregate "
                              "its two parts, west and east of where it begins",
                              coordinate.name, range, coordinate.name, low,
                              values.number(values.count() - 1)));
    ++count;
  }
  if (count == 0)
    return fail(Code::kInvalidArgument,
                fmt::format("--bbox: nothing lies in {} {}: it runs from {} to {}", coordinate.name,
                            range, low, high));
  return AxisRequest{dimension, fmt::format("{}:{}", first, first + count), false};
}

}  // namespace

Result<BoundingBox> parse_bounding_box(const std::string& text) {
  double values[4] = {};
  const char* at = text.data();
  const char* end = at + text.size();
  for (size_t i = 0; i < 4; ++i) {
    const auto [stop, error] = std::from_chars(at, end, values[i]);
    const bool last = i == 3;
    if (error != std::errc() || (last ? stop != end : stop == end || *stop != ','))
      return fail(Code::kInvalidArgument,
                  "--bbox " + text + ": write WEST,SOUTH,EAST,NORTH in degrees");
    at = stop + 1;
  }
  const BoundingBox box{values[0], values[1], values[2], values[3]};
  if (!(box.south >= -90 && box.north <= 90 && box.south <= box.north))
    return fail(Code::kInvalidArgument,
                "--bbox " + text + ": south must not be above north, and both lie in -90 to 90");
  for (const double longitude : {box.west, box.east})
    if (!(longitude >= -180 && longitude <= 360))
      return fail(Code::kInvalidArgument, "--bbox " + text + ": longitudes lie in -180 to 360");
  return box;
}

Result<std::vector<AxisRequest>> select_box(io::Session& session, const Dataset& dataset,
                                            const std::string& path, const Array& array,
                                            const BoundingBox& box) {
  const double width = box.east >= box.west ? box.east - box.west : box.east - box.west + 360;
  auto in_longitudes = [&](double v) {
    double east_of_west = std::fmod(v - box.west, 360);
    if (east_of_west < 0) east_of_west += 360;
    // 265.07 is -94.93, but for rounding.
    constexpr double kRounding = 1e-9;
    return width >= 360 || east_of_west <= width + kRounding || east_of_west >= 360 - kRounding;
  };
  auto in_latitudes = [&](double v) { return v >= box.south && v <= box.north; };
  std::vector<AxisRequest> requests;
  for (const bool longitude : {true, false}) {
    const std::string range = longitude ? fmt::format("{} to {}", box.west, box.east)
                                        : fmt::format("{} to {}", box.south, box.north);
    const size_t before = requests.size();
    for (const std::string& dimension : array.dimensions) {
      const Array* coordinate = find_coordinate(dataset, path, dimension).array;
      if (coordinate == nullptr || !coordinate->type.is_number() ||
          !is_direction(*coordinate, longitude))
        continue;
      UPWELL_TRY(requests.emplace_back(),
                 choose_run(session, dataset, dimension, *coordinate, range,
                            longitude ? std::function<bool(double)>(in_longitudes)
                                      : std::function<bool(double)>(in_latitudes)));
    }
    if (requests.size() == before)
      return fail(
          Code::kInvalidArgument,
          fmt::format("--bbox: {} has no dimension with a coordinate variable of {} "
                      "(units degrees_{}); select by index (--isel)",
                      path, longitude ? "longitudes" : "latitudes", longitude ? "east" : "north"));
  }
  return requests;
}

}  // namespace upwell::cli
