#include "produce/granules/frame.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "cube/cf.hpp"

namespace upwell::produce {
namespace {

using format::netcdf4::Variable;

/// What xmitgcm says of an index, before the records add to it.
struct IndexAttributes {
  const char* name;
  char axis;
  const char* long_name;
  std::vector<double> shift;  ///< c_grid_axis_shift
  const char* swap;
};

const std::vector<IndexAttributes>& horizontal_indices() {
  static const std::vector<IndexAttributes> indices{
      {"i", 'X', "x-dimension of the t grid", {}, "XC"},
      {"i_g", 'X', "x-dimension of the u grid", {-0.5}, "XG"},
      {"j", 'Y', "y-dimension of the t grid", {}, "YC"},
      {"j_g", 'Y', "y-dimension of the v grid", {-0.5}, "YG"}};
  return indices;
}

const std::vector<IndexAttributes>& vertical_indices() {
  static const std::vector<IndexAttributes> indices{
      {"k", 'Z', "z-dimension of the t grid", {}, "Z"},
      {"k_u", 'Z', "z-dimension of the w grid", {0.5}, "Zu"},
      {"k_l", 'Z', "z-dimension of the w grid", {-0.5}, "Zl"},
      {"k_p1", 'Z', "z-dimension of the w grid", {-0.5, 0.5}, "Zp1"}};
  return indices;
}

Values integers(const std::vector<int64_t>& numbers, Shape shape) {
  Values values{DataType::integer(4), std::move(shape), Bytes(numbers.size() * 4), {}};
  for (size_t i = 0; i < numbers.size(); ++i)
    store_le(values.data.data() + 4 * i, static_cast<int32_t>(numbers[i]));
  return values;
}

Values count_up(uint64_t count) {
  std::vector<int64_t> numbers(count);
  for (size_t i = 0; i < count; ++i) numbers[i] = static_cast<int64_t>(i);
  return integers(numbers, {count});
}

Values doubles(const std::vector<double>& numbers) {
  if (numbers.size() == 1) return make_number(numbers[0]);
  Values values{DataType::floating(8), {numbers.size()}, Bytes(numbers.size() * 8), {}};
  std::memcpy(values.data.data(), numbers.data(), values.data.size());
  return values;
}

/// Builds the lists in the order in which xarray writes them.
class FrameBuilder {
 public:
  FrameBuilder(GridType type, const Metadata& metadata) : type_(type), metadata_(metadata) {}

  /// Adds what the records say; not compressed, as EDP writes them.
  Variable make(const std::string& name, std::vector<std::string> dimensions, SharedValues values,
                Attributes attributes = {}) const {
    Variable variable{name, std::move(dimensions), std::move(attributes),
                      {},   std::move(values),     false};
    metadata_.add_coordinate(name, type_, true, variable.attributes);
    return variable;
  }

  Variable index(const IndexAttributes& said, uint64_t count) const {
    Attributes attributes;
    set_attribute(attributes, "axis", std::string(1, said.axis));
    set_attribute(attributes, "long_name", said.long_name);
    if (!said.shift.empty()) set_attribute(attributes, "c_grid_axis_shift", doubles(said.shift));
    set_attribute(attributes, "swap_dim", said.swap);
    return make(said.name, {said.name}, std::make_shared<const Values>(count_up(count)),
                std::move(attributes));
  }

  /// With the attributes that xmitgcm gives positions and depths.
  Variable position(const std::string& name, const std::vector<std::string>& dimensions,
                    SharedValues values) const {
    Attributes attributes;
    set_attribute(attributes, "long_name", name[0] == 'X' ? "longitude" : "latitude");
    set_attribute(attributes, "units", name[0] == 'X' ? "degrees_east" : "degrees_north");
    set_attribute(attributes, "coordinate", name[1] == 'C' ? "YC XC" : "YG XG");
    return make(name, dimensions, std::move(values), std::move(attributes));
  }
  Variable depth(const std::string& name, const std::string& dimension, SharedValues values) const {
    Attributes attributes;
    set_attribute(attributes, "long_name", "vertical coordinate of cell");
    set_attribute(attributes, "units", "m");
    set_attribute(attributes, "positive", "up");
    return make(name, {dimension}, std::move(values), std::move(attributes));
  }

  void add_time(Frame& frame) const {
    frame.time = frame.before.size();
    frame.before.push_back(make("time", {"time"}, nullptr));
    frame.time_bounds = make("time_bnds", {"time", "nv"}, nullptr);
  }

 private:
  GridType type_;
  const Metadata& metadata_;
};

/// xarray leaves out of bounds what they share with what they bound.
void drop_shared_attributes(const Variable& parent, Variable& bounds) {
  constexpr std::array<std::string_view, 6> kShared{"units",    "standard_name", "axis",
                                                    "positive", "calendar",      "long_name"};
  std::erase_if(bounds.attributes, [&](const Attribute& attribute) {
    if (std::find(kShared.begin(), kShared.end(), attribute.name) == kShared.end()) return false;
    const auto mine = text_attribute(bounds.attributes, attribute.name);
    return mine && mine == text_attribute(parent.attributes, attribute.name);
  });
}

Variable* find_variable(std::vector<Variable>& variables, const std::string& name) {
  const auto found = std::find_if(variables.begin(), variables.end(),
                                  [&](const Variable& v) { return v.name == name; });
  return found == variables.end() ? nullptr : &*found;
}

/// Where a coordinate names its bounds.
void tidy_bounds(Frame& frame) {
  for (const Variable& parent : frame.before) {
    const auto name = text_attribute(parent.attributes, "bounds");
    if (!name) continue;
    if (frame.time_bounds && *name == frame.time_bounds->name)
      drop_shared_attributes(parent, *frame.time_bounds);
    if (Variable* bounds = find_variable(frame.after, *name))
      drop_shared_attributes(parent, *bounds);
  }
}

/// As xarray writes an epoch: with its time of day only where that is not midnight.
std::string units_text(const std::string& units, const cf::DateTime& epoch) {
  std::string date = cf::format_time(epoch);
  date = date.substr(0, date.find('Z'));
  if (date.ends_with("T00:00:00")) date.resize(date.size() - 9);
  return units.substr(0, units.find(" since ") + 7) + date;
}

/// In whole units since the epoch.
Result<Values> encode_times(const std::vector<int64_t>& seconds, const cf::TimeUnits& units,
                            Shape shape) {
  UPWELL_TRY(const int64_t epoch, seconds_of(units.epoch));
  const double unit_s = static_cast<double>(units.unit_ns) / 1e9;
  std::vector<int64_t> numbers;
  for (const int64_t second : seconds) {
    const double number = std::nearbyint(static_cast<double>(second - epoch) / unit_s);
    if (std::abs(number) > std::numeric_limits<int32_t>::max())
      return fail(Code::kInvalidData,
                  "a time of the granule does not fit into int32 " + units.text);
    numbers.push_back(static_cast<int64_t>(number));
  }
  return integers(numbers, std::move(shape));
}

}  // namespace

Frame native_frame(const ModelGrid& grid, const Metadata& metadata, bool is_3d, TimeAxis time) {
  const FrameBuilder builder(GridType::kNative, metadata);
  Frame frame;
  std::vector<Variable>& before = frame.before;
  for (const IndexAttributes& index : horizontal_indices())
    before.push_back(builder.index(index, grid.n));
  if (is_3d) {
    for (const IndexAttributes& index : vertical_indices())
      before.push_back(builder.index(index, grid.levels + (index.shift.size() == 2 ? 1 : 0)));
  }
  Attributes tile;
  set_attribute(tile, "long_name", "index of llc grid tile");
  before.push_back(builder.make(
      "tile", {"tile"}, std::make_shared<const Values>(count_up(kLlcTiles)), std::move(tile)));
  if (time == TimeAxis::kOne) builder.add_time(frame);
  const std::vector<std::string> centres{"tile", "j", "i"}, corners{"tile", "j_g", "i_g"};
  before.push_back(builder.position("XC", centres, grid.xc));
  before.push_back(builder.position("YC", centres, grid.yc));
  before.push_back(builder.position("XG", corners, grid.xg));
  before.push_back(builder.position("YG", corners, grid.yg));
  if (is_3d) {
    before.push_back(builder.depth("Z", "k", grid.z));
    before.push_back(builder.depth("Zp1", "k_p1", grid.zp1));
    before.push_back(builder.depth("Zu", "k_u", grid.zu));
    before.push_back(builder.depth("Zl", "k_l", grid.zl));
  }
  const std::vector<std::string> bounds{"tile", "j", "i", "nb"};
  frame.after.push_back(builder.make("XC_bnds", bounds, grid.xc_bounds));
  frame.after.push_back(builder.make("YC_bnds", bounds, grid.yc_bounds));
  if (is_3d) frame.after.push_back(builder.make("Z_bnds", {"k", "nv"}, grid.z_bounds));
  tidy_bounds(frame);
  return frame;
}

Frame latlon_frame(const LatLonCoordinates& grid, const LatLonBounds& bounds,
                   const Metadata& metadata, bool is_3d, TimeAxis time) {
  const FrameBuilder builder(GridType::kLatLon, metadata);
  Frame frame;
  if (time == TimeAxis::kOne) builder.add_time(frame);
  if (is_3d) frame.before.push_back(builder.make("Z", {"Z"}, grid.z));
  frame.before.push_back(builder.make("latitude", {"latitude"}, grid.latitude));
  frame.before.push_back(builder.make("longitude", {"longitude"}, grid.longitude));
  frame.after.push_back(builder.make("latitude_bnds", {"latitude", "nv"}, bounds.latitude));
  frame.after.push_back(builder.make("longitude_bnds", {"longitude", "nv"}, bounds.longitude));
  if (is_3d) frame.after.push_back(builder.make("Z_bnds", {"Z", "nv"}, bounds.depth));
  tidy_bounds(frame);
  return frame;
}

Frame series_frame(SharedValues z, const Metadata& metadata) {
  const FrameBuilder builder(GridType::k1D, metadata);
  Frame frame;
  builder.add_time(frame);
  if (z) frame.before.push_back(builder.depth("Z", "Z", std::move(z)));
  tidy_bounds(frame);
  return frame;
}

Result<> set_times(const Times& times, const std::optional<std::string>& long_name, Frame& frame) {
  Variable& time = frame.before[*frame.time];
  const auto said = text_attribute(time.attributes, "units");
  if (!said)
    return fail(Code::kInvalidData, "the metadata has no units of time (time_coordinate_metadata)");
  auto units = cf::parse_time_units(*said, "proleptic_gregorian");
  if (!units) return fail(std::move(units).error().with("units of time"));
  const uint64_t count = times.centers.size();
  UPWELL_TRY(time.values, encode_times(times.centers, *units, {count}));
  if (times.bounds.empty()) {
    frame.time_bounds.reset();
    std::erase_if(time.attributes, [](const Attribute& a) { return a.name == "bounds"; });
  } else {
    UPWELL_TRY(frame.time_bounds->values, encode_times(times.bounds, *units, {count, 2}));
  }
  if (long_name) set_attribute(time.attributes, "long_name", *long_name);
  // xarray writes units, and the calendar with them, after all other attributes.
  std::erase_if(time.attributes, [](const Attribute& a) { return a.name == "units"; });
  set_attribute(time.attributes, "units", units_text(*said, units->epoch));
  set_attribute(time.attributes, "calendar", "proleptic_gregorian");
  return {};
}

std::vector<std::string> coordinates_on(const Frame& frame,
                                        const std::vector<std::string>& dimensions,
                                        const std::vector<std::string>& wanted) {
  std::vector<std::string> found;
  for (const Variable& coordinate : frame.before) {
    const bool on = std::all_of(
        coordinate.dimensions.begin(), coordinate.dimensions.end(), [&](const std::string& axis) {
          return std::find(dimensions.begin(), dimensions.end(), axis) != dimensions.end();
        });
    if (on && std::find(wanted.begin(), wanted.end(), coordinate.name) != wanted.end())
      found.push_back(coordinate.name);
  }
  return found;
}

}  // namespace upwell::produce
