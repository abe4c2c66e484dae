#include "serve/picture.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <optional>

#include "base/text.hpp"
#include "cube/cf.hpp"
#include "cube/read.hpp"
#include "serve/time_ticks.hpp"

namespace upwell::serve {
namespace {

constexpr uint64_t kMaxCells = 700;              // along an axis: about the pixels of the plot
constexpr uint64_t kMaxSeries = 1500;            // points of a curve
constexpr uint64_t kMaxCoordinate = 1ULL << 22;  // elements of a coordinate that is read whole

bool any_of_names(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

/// Decoded values: missing ones are NaN, packed ones are scaled.
Result<std::vector<double>> read_numbers(io::Session& session, const Dataset& dataset,
                                         const Array& array, const Selection& selection) {
  UPWELL_TRY(Values raw, read_raw(session, dataset, array, selection));
  UPWELL_TRY(const Values values, cf::decode(cf::decoding_of(array), std::move(raw)));
  std::vector<double> numbers(values.count());
  for (size_t i = 0; i < numbers.size(); ++i) numbers[i] = values.number(i);
  return numbers;
}

/// Null where the array holds no times.
std::function<std::vector<draw::Tick>(double, double, int)> ticks_of_time(const Array& array) {
  const auto time = cf::time_units_of(array);
  if (!time || !*time) return nullptr;
  return [known = **time](double low, double high, int wanted) {
    return time_ticks(known, low, high, wanted);
  };
}

/// A dimension of the array: its size, coordinate variable, and what that means.
struct PlotDimension {
  std::string name;
  uint64_t size = 0;
  const Array* coordinate = nullptr;
  draw::AxisKind kind = draw::AxisKind::kPlain;
};

/// An auxiliary time coordinate along this one dimension (CF 5: not the one of its name).
const Array* time_along(const Dataset& dataset, std::string_view path, const PlotDimension& d);

std::vector<PlotDimension> dimensions_of(const Dataset& dataset, std::string_view path,
                                         const Array& array) {
  std::vector<PlotDimension> out(array.shape.size());
  for (size_t d = 0; d < out.size(); ++d) {
    out[d].size = array.shape[d];
    if (d < array.dimensions.size()) out[d].name = array.dimensions[d];
    if (out[d].name.empty()) {
      out[d].name = "dim_" + std::to_string(d);
      continue;
    }
    const Array* coordinate = coordinate_of(dataset, path, out[d].name);
    if (coordinate == nullptr || axis_kind(*coordinate) == draw::AxisKind::kPlain) {
      if (const Array* time = time_along(dataset, path, out[d])) coordinate = time;
    }
    if (coordinate == nullptr || coordinate->shape != Shape{out[d].size}) continue;
    if (!coordinate->type.is_number()) continue;
    out[d].coordinate = coordinate;
    out[d].kind = axis_kind(*coordinate);
  }
  return out;
}

/// Positions along an axis, every `step`th; indexes where there is no coordinate.
Result<draw::Axis> axis_of(io::Session& session, const Dataset& dataset, const PlotDimension& d,
                           uint64_t step) {
  draw::Axis axis;
  axis.label = d.name;
  const uint64_t count = (d.size + step - 1) / step;
  if (d.coordinate == nullptr || d.size > kMaxCoordinate) {
    for (uint64_t i = 0; i < count; ++i) axis.centers.push_back(static_cast<double>(i * step));
    return axis;
  }
  const std::string units = picture_units(*d.coordinate);
  axis.kind = d.kind;
  axis.label = picture_title(*d.coordinate);
  const bool degrees = d.kind == draw::AxisKind::kLatitude || d.kind == draw::AxisKind::kLongitude;
  if (!units.empty() && d.kind != draw::AxisKind::kTime && !degrees)
    axis.label += " (" + units + ")";
  UPWELL_TRY(axis.centers, read_numbers(session, dataset, *d.coordinate, {{0}, {count}, {step}}));
  if (d.kind == draw::AxisKind::kLongitude) {
    // 350, 355, 0, 5 goes on as 360, 365.
    for (size_t i = 1; i < axis.centers.size(); ++i) {
      const double before = axis.centers[i - 1];
      axis.centers[i] = before + std::remainder(axis.centers[i] - before, 360);
    }
  }
  if (d.kind == draw::AxisKind::kTime) {
    axis.ticks = ticks_of_time(*d.coordinate);
  }
  return axis;
}

/// "time 2010-01-15, depth 5 m"
Result<std::string> place_text(io::Session& session, const Dataset& dataset, const PlotDimension& d,
                               uint64_t position) {
  if (d.coordinate == nullptr) return d.name + " " + std::to_string(position);
  UPWELL_TRY(const auto value,
             read_numbers(session, dataset, *d.coordinate, {{position}, {1}, {}}));
  if (auto time = cf::time_units_of(*d.coordinate); time && *time) {
    return date_text(**time, value[0]);
  }
  std::array<char, 32> number{};
  std::snprintf(number.data(), number.size(), "%.6g", value[0]);
  std::string text = d.name + " " + number.data();
  const std::string units = picture_units(*d.coordinate);
  return units.empty() ? text : text + " " + units;
}

/// The group path of "a/b/v": {"a/b", "a", ""}.
std::vector<std::string> scopes_of(std::string_view path) {
  std::vector<std::string> scopes;
  while (true) {
    const size_t slash = path.rfind('/');
    if (slash == std::string_view::npos) break;
    path = path.substr(0, slash);
    if (!path.empty()) scopes.emplace_back(path);
  }
  scopes.emplace_back("");
  return scopes;
}

const Array* time_along(const Dataset& dataset, std::string_view path, const PlotDimension& d) {
  for (const std::string& scope : scopes_of(path)) {
    const Group* group = dataset.root.find_group(scope);
    if (group == nullptr) continue;
    for (const Array& candidate : group->arrays) {
      if (candidate.dimensions != std::vector<std::string>{d.name}) continue;
      if (candidate.shape == Shape{d.size} && axis_kind(candidate) == draw::AxisKind::kTime) {
        return &candidate;
      }
    }
  }
  return nullptr;
}

/// Latitude and longitude of a curvilinear grid: two arrays over exactly these two dimensions,
/// named by "coordinates" or lying beside the array.
struct GridPositions {
  const Array* latitude = nullptr;
  const Array* longitude = nullptr;
};

GridPositions grid_positions(const Dataset& dataset, std::string_view path, const PlotDimension& y,
                             const PlotDimension& x) {
  GridPositions out;
  for (const std::string& scope : scopes_of(path)) {
    const Group* group = dataset.root.find_group(scope);
    if (group == nullptr) continue;
    for (const Array& candidate : group->arrays) {
      if (candidate.dimensions != std::vector<std::string>{y.name, x.name}) continue;
      if (candidate.shape != Shape{y.size, x.size} || !candidate.type.is_number()) continue;
      const auto kind = axis_kind(candidate);
      if (kind == draw::AxisKind::kLatitude && !out.latitude) out.latitude = &candidate;
      if (kind == draw::AxisKind::kLongitude && !out.longitude) out.longitude = &candidate;
    }
    if (out.latitude && out.longitude) return out;
  }
  return {};
}

struct PlotPlane {
  size_t y = 0, x = 0;  // dimensions of the array
};

PlotPlane choose_plane(const std::vector<PlotDimension>& dimensions) {
  PlotPlane plane{dimensions.size() - 2, dimensions.size() - 1};
  std::optional<size_t> lat;
  std::optional<size_t> lon;
  for (size_t d = 0; d < dimensions.size(); ++d) {
    if (dimensions[d].kind == draw::AxisKind::kLatitude) lat = d;
    if (dimensions[d].kind == draw::AxisKind::kLongitude) lon = d;
  }
  if (lat && lon) return {*lat, *lon};
  // A trailing axis of a few entries (bounds, components) shows less than the two before it.
  if (dimensions.size() > 2 && dimensions.back().size <= 4 &&
      dimensions[dimensions.size() - 3].size > 4) {
    plane = {dimensions.size() - 3, dimensions.size() - 2};
  }
  return plane;
}

Result<uint64_t> position_of(const PlotDimension& d, const PictureIndex& index) {
  const auto found = index.find(d.name);
  if (found == index.end()) return 0;
  int64_t position = found->second;
  if (position < 0) position += static_cast<int64_t>(d.size);
  if (position < 0 || static_cast<uint64_t>(position) >= d.size) {
    return fail(Code::kInvalidArgument, "dimension " + d.name + " has " + std::to_string(d.size) +
                                            " entries, no index " + std::to_string(found->second));
  }
  return static_cast<uint64_t>(position);
}

Result<> check_index(const std::vector<PlotDimension>& dimensions, const PictureIndex& index) {
  for (const auto& [name, position] : index) {
    const bool there = std::any_of(dimensions.begin(), dimensions.end(),
                                   [&n = name](const auto& d) { return d.name == n; });
    if (!there) return fail(Code::kInvalidArgument, "there is no dimension " + name);
  }
  return {};
}

Result<Bytes> series_picture(io::Session& session, const Dataset& dataset, const Array& array,
                             const PlotDimension& d) {
  const uint64_t step = (d.size + kMaxSeries - 1) / kMaxSeries;
  const uint64_t count = (d.size + step - 1) / step;
  draw::SeriesPlot plot;
  plot.title = picture_title(array);
  plot.subtitle = array.name;
  plot.units = picture_units(array);
  UPWELL_TRY(plot.values, read_numbers(session, dataset, array, {{0}, {count}, {step}}));
  // A coordinate against itself says nothing: against its index it shows its spacing.
  PlotDimension along = d;
  if (along.coordinate == &array) along.coordinate = nullptr;
  UPWELL_TRY(plot.x, axis_of(session, dataset, along, step));
  plot.y.ticks = ticks_of_time(array);
  return draw::encode_png(draw::draw_series(plot));
}

/// Rows and columns as the plot wants them, whatever their order in the array.
std::vector<float> plane_values(const std::vector<double>& numbers, uint64_t rows, uint64_t columns,
                                bool transposed) {
  std::vector<float> out(numbers.size());
  for (uint64_t j = 0; j < rows; ++j) {
    for (uint64_t i = 0; i < columns; ++i) {
      out[j * columns + i] =
          static_cast<float>(numbers[transposed ? i * rows + j : j * columns + i]);
    }
  }
  return out;
}

Result<std::vector<float>> position_values(io::Session& session, const Dataset& dataset,
                                           const Array& array, const Selection& selection) {
  UPWELL_TRY(const auto numbers, read_numbers(session, dataset, array, selection));
  return std::vector<float>(numbers.begin(), numbers.end());
}

}  // namespace

std::string picture_title(const Array& array) {
  for (const char* key : {"long_name", "standard_name"}) {
    auto text = text_attribute(array.attributes, key);
    if (!text || text->empty()) continue;
    // Names joined by underscores, as standard names are, read better apart.
    if (text->find(' ') == std::string::npos) std::replace(text->begin(), text->end(), '_', ' ');
    return *text;
  }
  return array.name;
}

std::string picture_units(const Array& array) {
  auto units = text_attribute(array.attributes, "units").value_or("");
  if (units == "1" || units == "none") units.clear();
  return units;
}

std::string date_text(const cf::TimeUnits& units, double value) {
  const auto time = cf::decode_time(units, value);
  if (!time) return "?";
  std::string text = cf::format_time(*time);
  for (std::string_view end : {"Z", ":00", "T00:00"}) {
    if (text.size() > end.size() && text.ends_with(end)) text.resize(text.size() - end.size());
  }
  std::replace(text.begin(), text.end(), 'T', ' ');
  return text;
}

Result<PictureIndex> parse_picture_index(std::string_view text) {
  PictureIndex index;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view item = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view{} : text.substr(comma + 1);
    const size_t colon = item.rfind(':');
    int64_t position = 0;
    const std::string_view digits =
        colon == std::string_view::npos ? std::string_view{} : item.substr(colon + 1);
    const auto [end, error] =
        std::from_chars(digits.data(), digits.data() + digits.size(), position);
    if (colon == 0 || digits.empty() || error != std::errc{} ||
        end != digits.data() + digits.size()) {
      return fail(Code::kInvalidArgument,
                  "index is like time:0,depth:-1, not " + std::string(item));
    }
    index[std::string(item.substr(0, colon))] = position;
  }
  return index;
}

draw::AxisKind axis_kind(const Array& coordinate) {
  const auto attribute = [&](const char* name) {
    return lower_case(text_attribute(coordinate.attributes, name).value_or(""));
  };
  const std::string units = attribute("units");
  if (units.find(" since ") != std::string::npos) return draw::AxisKind::kTime;
  if (any_of_names(units, {"degrees_north", "degree_north", "degrees_n", "degree_n", "degreen",
                           "degreesn"})) {
    return draw::AxisKind::kLatitude;
  }
  if (any_of_names(
          units, {"degrees_east", "degree_east", "degrees_e", "degree_e", "degreee", "degreese"})) {
    return draw::AxisKind::kLongitude;
  }
  const std::string standard = attribute("standard_name");
  if (standard == "latitude") return draw::AxisKind::kLatitude;
  if (standard == "longitude") return draw::AxisKind::kLongitude;
  if (!standard.empty()) return draw::AxisKind::kPlain;
  // Without units the names alone must tell; "x" and "y" do not.
  const std::string name = lower_case(coordinate.name);
  const bool degrees = units.empty() || units.starts_with("deg");
  if (degrees && any_of_names(name, {"lat", "latitude", "nav_lat", "xc_lat"})) {
    return draw::AxisKind::kLatitude;
  }
  if (degrees && any_of_names(name, {"lon", "longitude", "nav_lon", "xc_lon"})) {
    return draw::AxisKind::kLongitude;
  }
  return draw::AxisKind::kPlain;
}

const Array* coordinate_of(const Dataset& dataset, std::string_view path, const std::string& name) {
  // Names may themselves be paths where a format has dimensions elsewhere in the tree.
  const std::string last = name.substr(name.rfind('/') + 1);
  for (const std::string& scope : scopes_of(path)) {
    const Group* group = dataset.root.find_group(scope);
    if (group == nullptr) continue;
    for (const Array& array : group->arrays) {
      if (array.name == last && array.shape.size() == 1) return &array;
    }
  }
  return nullptr;
}

bool can_draw(const Array& array) {
  if (array.shape.empty() || array.null_space) return false;
  const Kind kind = array.type.kind;
  const bool numbers = array.type.is_number() || kind == Kind::kBool || kind == Kind::kBitfield ||
                       kind == Kind::kEnum;
  return numbers && element_count(array.shape) > 1;
}

uint64_t memory_to_draw(const Array& array) {
  // Of the plane the values, numbers and points made of them, and the picture. At most two axes are
  // taken whole: which ones depends on their coordinates.
  constexpr uint64_t kCells = kMaxCells * kMaxCells;
  return memory_to_read(array, array.shape, kCells) + 64 * kCells;
}

Result<Bytes> draw_picture(io::Session& session, const Dataset& dataset, std::string_view path,
                           const Array& array, const PictureIndex& index) {
  if (!can_draw(array)) {
    return fail(Code::kUnsupported, "there is nothing to draw: " + describe(array.type) + " with " +
                                        std::to_string(element_count(array.shape)) + " elements");
  }
  const auto dimensions = dimensions_of(dataset, path, array);
  UPWELL_CHECK(check_index(dimensions, index));
  if (dimensions.size() == 1) return series_picture(session, dataset, array, dimensions[0]);

  const PlotPlane plane = choose_plane(dimensions);
  const PlotDimension& y = dimensions[plane.y];
  const PlotDimension& x = dimensions[plane.x];
  const uint64_t step_y = (y.size + kMaxCells - 1) / kMaxCells;
  const uint64_t step_x = (x.size + kMaxCells - 1) / kMaxCells;
  const uint64_t rows = (y.size + step_y - 1) / step_y;
  const uint64_t columns = (x.size + step_x - 1) / step_x;

  draw::FieldPlot plot;
  plot.title = picture_title(array);
  plot.subtitle = array.name;
  plot.units = picture_units(array);
  plot.nx = columns;
  plot.ny = rows;
  Selection box{Shape(dimensions.size(), 0), Shape(dimensions.size(), 1),
                Shape(dimensions.size(), 1)};
  for (size_t d = 0; d < dimensions.size(); ++d) {
    if (d == plane.y || d == plane.x) continue;
    UPWELL_TRY(box.origin[d], position_of(dimensions[d], index));
    UPWELL_TRY(const std::string where, place_text(session, dataset, dimensions[d], box.origin[d]));
    plot.subtitle += " · " + where;
  }
  box.shape[plane.y] = rows;
  box.shape[plane.x] = columns;
  box.step[plane.y] = step_y;
  box.step[plane.x] = step_x;
  UPWELL_TRY(const auto numbers, read_numbers(session, dataset, array, box));
  plot.panels = {{"", plane_values(numbers, rows, columns, plane.y > plane.x)}};
  UPWELL_TRY(plot.y, axis_of(session, dataset, y, step_y));
  UPWELL_TRY(plot.x, axis_of(session, dataset, x, step_x));
  if (y.kind == draw::AxisKind::kPlain && x.kind == draw::AxisKind::kPlain) {
    const GridPositions grid = grid_positions(dataset, path, y, x);
    if (grid.latitude && grid.longitude && grid.latitude != &array && grid.longitude != &array) {
      const Selection all{{0, 0}, {rows, columns}, {step_y, step_x}};
      UPWELL_TRY(plot.latitude, position_values(session, dataset, *grid.latitude, all));
      UPWELL_TRY(plot.longitude, position_values(session, dataset, *grid.longitude, all));
    }
  }
  return draw::encode_png(draw::draw_field(plot));
}

}  // namespace upwell::serve
