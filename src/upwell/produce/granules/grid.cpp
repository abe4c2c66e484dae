#include "produce/granules/grid.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "io/digest.hpp"
#include "produce/grid/grid_checks.hpp"

namespace upwell::produce {
namespace {

Values float_values(Shape shape) {
  Values values{DataType::floating(4), std::move(shape), {}, {}};
  values.data.resize(values.count() * sizeof(float));
  return values;
}

std::span<float> floats_of(Values& values) {
  return {reinterpret_cast<float*>(values.data.data()), values.count()};
}
std::span<const float> floats_of(const Values& values) {
  return {reinterpret_cast<const float*>(values.data.data()), values.count()};
}

SharedValues share(Values values) { return std::make_shared<const Values>(std::move(values)); }

std::string digest_of(const ModelGrid& grid) {
  std::string all;
  const auto add = [&](ByteSpan bytes) { all += io::hex_digest(io::DigestKind::kSha256, bytes); };
  for (const SharedValues& values : {grid.xc, grid.yc, grid.xg, grid.yg, grid.xc_bounds,
                                     grid.yc_bounds, grid.z, grid.zp1, grid.z_bounds})
    add(values->data);
  for (const std::vector<uint8_t>* mask : {&grid.wet_centre, &grid.wet_west, &grid.wet_south})
    add(*mask);
  for (const std::vector<float>* angle : {&grid.cs, &grid.sn})
    add({reinterpret_cast<const uint8_t*>(angle->data()), angle->size() * sizeof(float)});
  return io::hex_digest(io::DigestKind::kSha256, as_bytes(all));
}

/// Depths of faces, of which the upper ones of the cells are all but the last.
void set_faces(Values faces, ModelGrid& grid) {
  const uint64_t levels = grid.levels;
  Values upper = float_values({levels}), lower = float_values({levels});
  std::copy_n(floats_of(faces).begin(), levels, floats_of(upper).begin());
  std::copy_n(floats_of(faces).begin() + 1, levels, floats_of(lower).begin());
  grid.zl = share(std::move(upper));
  grid.zu = share(std::move(lower));
  grid.zp1 = share(std::move(faces));
}

/// What a directory of the grid has in its netCDF file; positions and depths also as they are raw.
class NativeSource {
 public:
  NativeSource(io::Session& session, GridPlace place, GridFile file)
      : session_(session), place_(std::move(place)), file_(std::move(file)) {}

  Result<ModelGrid> load() {
    ModelGrid grid;
    UPWELL_CHECK(find_sizes(grid));
    const Shape level{kLlcTiles, grid.n, grid.n};
    UPWELL_TRY(grid.xc, horizontal("XC", level));
    UPWELL_TRY(grid.yc, horizontal("YC", level));
    UPWELL_TRY(grid.xg, horizontal("XG", level));
    UPWELL_TRY(grid.yg, horizontal("YG", level));
    const Shape corners{kLlcTiles, grid.n, grid.n, 4};
    UPWELL_TRY(Values xc_bounds, file_.read_floats("XC_bnds", corners));
    UPWELL_TRY(Values yc_bounds, file_.read_floats("YC_bnds", corners));
    grid.xc_bounds = share(std::move(xc_bounds));
    grid.yc_bounds = share(std::move(yc_bounds));
    UPWELL_CHECK(load_depths(grid));
    UPWELL_TRY(grid.wet_centre, mask("maskC", grid));
    UPWELL_TRY(grid.wet_west, mask("maskW", grid));
    UPWELL_TRY(grid.wet_south, mask("maskS", grid));
    if (file_.has("CS") && file_.has("SN")) {
      UPWELL_TRY(grid.cs, angle("CS", level));
      UPWELL_TRY(grid.sn, angle("SN", level));
    }
    grid.digest = digest_of(grid);
    return grid;
  }

 private:
  Result<> find_sizes(ModelGrid& grid) {
    UPWELL_TRY(mask_, file_.read("maskC"));
    const Shape& shape = mask_.shape;
    if (shape.size() != 4 || shape[1] != kLlcTiles || shape[2] != shape[3] || shape[0] == 0) {
      return fail(Code::kInvalidData,
                  file_.url() + ": maskC is not [levels][13 tiles][n][n] of a lat-lon-cap grid");
    }
    grid.levels = static_cast<uint32_t>(shape[0]);
    grid.n = static_cast<uint32_t>(shape[3]);
    return {};
  }

  Result<SharedValues> horizontal(const std::string& name, const Shape& shape) {
    if (!place_.has(name + ".data")) {
      UPWELL_TRY(Values values, file_.read_floats(name, shape));
      return share(std::move(values));
    }
    UPWELL_TRY(SharedBytes raw, read_whole(name, upwell::element_count(shape)));
    const auto n = static_cast<uint32_t>(shape[2]);
    UPWELL_TRY(Field field, field_from_compact(raw.span(), n, 1, 4));
    Values values = float_values(shape);
    const auto& tiles = std::get<FieldValues<float>>(field.values);
    std::copy(tiles.begin(), tiles.end(), floats_of(values).begin());
    return share(std::move(values));
  }

  Result<SharedBytes> read_whole(const std::string& name, uint64_t count) {
    const std::string url = place_.directory + name + ".data";
    auto raw = session_.read_one(url);
    if (!raw) return fail(std::move(raw).error().with("grid"));
    if (raw->size() != count * sizeof(float)) {
      return fail(Code::kInvalidData, fmt::format("{}: {} bytes, where {} values of 4 bytes are {}",
                                                  url, raw->size(), count, count * sizeof(float)));
    }
    return raw;
  }

  /// Depths of centres and of faces; levels + 1 of the latter.
  Result<> load_depths(ModelGrid& grid) {
    const uint64_t levels = grid.levels;
    Values z, zp1;
    if (place_.has("RC.data") && place_.has("RF.data")) {
      UPWELL_TRY(z, profile("RC", levels));
      UPWELL_TRY(zp1, profile("RF", levels + 1));
    } else {
      UPWELL_TRY(z, file_.read_floats("Z", {levels}));
      UPWELL_TRY(zp1, file_.read_floats("Zp1", {levels + 1}));
    }
    UPWELL_TRY(Values bounds, file_.read_floats("Z_bnds", {levels, 2}));
    grid.z = share(std::move(z));
    grid.z_bounds = share(std::move(bounds));
    set_faces(std::move(zp1), grid);
    return {};
  }

  Result<Values> profile(const std::string& name, uint64_t count) {
    UPWELL_TRY(SharedBytes raw, read_whole(name, count));
    Values values = float_values({count});
    std::span<float> floats = floats_of(values);
    for (size_t i = 0; i < count; ++i) floats[i] = load_be<float>(raw.data() + i * sizeof(float));
    return values;
  }

  Result<std::vector<uint8_t>> mask(const std::string& name, const ModelGrid& grid) {
    Values values;
    if (name == "maskC") {
      values = std::move(mask_);
    } else {
      UPWELL_TRY(values, file_.read(name));
    }
    if (values.shape != Shape{grid.levels, kLlcTiles, grid.n, grid.n})
      return fail(Code::kInvalidData, file_.url() + ": " + name + " is of another size than maskC");
    std::vector<uint8_t> wet(values.count());
    for (size_t i = 0; i < wet.size(); ++i)
      wet[i] = values.type.size == 1 ? values.data[i] == 1 : values.number(i) == 1;
    return wet;
  }

  Result<std::vector<float>> angle(const std::string& name, const Shape& shape) {
    UPWELL_TRY(Values values, file_.read_floats(name, shape));
    const std::span<const float> floats = floats_of(std::as_const(values));
    return std::vector<float>(floats.begin(), floats.end());
  }

  io::Session& session_;
  GridPlace place_;
  GridFile file_;
  Values mask_;
};

/// A grid of nothing but MITgcm's own files.
class RawSource {
 public:
  RawSource(io::Session& session, const GridPlace& place) : session_(session), place_(place) {}

  Result<ModelGrid> load() {
    UPWELL_CHECK(check_files());
    std::vector<std::string> names{"XC", "YC", "XG", "YG", "RC", "RF"};
    const bool angles = place_.has("AngleCS.data") && place_.has("AngleSN.data");
    if (angles) names.insert(names.end(), {"AngleCS", "AngleSN"});
    UPWELL_TRY(const std::vector<GridField> fields,
               read_grid_fields(session_, place_.directory, names));
    UPWELL_TRY(const auto shape, llc_shape(fields[0].data.size()));
    ModelGrid grid;
    grid.n = static_cast<uint32_t>(shape.second);
    grid.levels = static_cast<uint32_t>(fields[4].size());
    UPWELL_TRY(grid.xc, horizontal(fields[0], grid.n, kLongitudes));
    UPWELL_TRY(grid.yc, horizontal(fields[1], grid.n, kLatitudes));
    UPWELL_TRY(grid.xg, horizontal(fields[2], grid.n, kLongitudes));
    UPWELL_TRY(grid.yg, horizontal(fields[3], grid.n, kLatitudes));
    UPWELL_CHECK(set_depths(fields[4], fields[5], grid));
    if (angles) {
      UPWELL_TRY(grid.cs, in_tiles(fields[6], grid.n, kAngles));
      UPWELL_TRY(grid.sn, in_tiles(fields[7], grid.n, kAngles));
    }
    UPWELL_CHECK(set_bounds(fields[2], fields[3], grid));
    UPWELL_TRY(grid.wet_centre, wet("hFacC", grid));
    UPWELL_TRY(grid.wet_west, wet("hFacW", grid));
    UPWELL_TRY(grid.wet_south, wet("hFacS", grid));
    grid.digest = digest_of(grid);
    return grid;
  }

 private:
  /// All that is missing, at once.
  Result<> check_files() const {
    std::vector<std::string> missing;
    for (const char* name :
         {"XC.data", "YC.data", "XG.data", "YG.data", "RC.data", "RF.data", "hFacC.data",
          "hFacW.data", "hFacS.data", "tile001.mitgrid", "tile002.mitgrid", "tile003.mitgrid",
          "tile004.mitgrid", "tile005.mitgrid"}) {
      if (!place_.has(name)) missing.emplace_back(name);
    }
    if (missing.empty()) return {};
    return fail(Code::kNotFound,
                fmt::format("grid {}: no file *native*.nc, and of the files that do without it "
                            "these are missing: {}",
                            place_.location, fmt::join(missing, ", ")));
  }

  static Result<> wrong_size(const GridField& field, uint64_t wanted) {
    return fail(Code::kInvalidData,
                fmt::format("grid: {}: {} values of {} bytes, where the grid has {}", field.url,
                            field.size(), field.width, wanted));
  }

  static Result<std::vector<float>> in_tiles(const GridField& field, uint64_t n,
                                             const GridRange& allowed) {
    const uint64_t points = kLlcTiles * n * n;
    if (field.data.size() != points * field.width) return fail(wrong_size(field, points).error());
    std::vector<float> tiles(points);
    UPWELL_CHECK(take_tiles(field, n, 1, allowed, [&](uint64_t p, double value) {
      tiles[p] = static_cast<float>(value);
    }));
    return tiles;
  }

  static Result<SharedValues> horizontal(const GridField& field, uint64_t n,
                                         const GridRange& allowed) {
    UPWELL_TRY(const std::vector<float> tiles, in_tiles(field, n, allowed));
    Values values = float_values({kLlcTiles, n, n});
    std::copy(tiles.begin(), tiles.end(), floats_of(values).begin());
    return share(std::move(values));
  }

  static Result<> set_depths(const GridField& centres, const GridField& faces, ModelGrid& grid) {
    const uint64_t levels = grid.levels;
    if (levels == 0 || centres.data.size() % centres.width != 0) return wrong_size(centres, levels);
    if (faces.data.size() != (levels + 1) * faces.width) return wrong_size(faces, levels + 1);
    UPWELL_CHECK(check_faces(faces));
    UPWELL_CHECK(check_centres(centres, faces));
    Values z = float_values({levels}), zp1 = float_values({levels + 1});
    Values bounds = float_values({levels, 2});
    for (uint64_t k = 0; k <= levels; ++k) floats_of(zp1)[k] = static_cast<float>(faces[k]);
    for (uint64_t k = 0; k < levels; ++k) {
      floats_of(z)[k] = static_cast<float>(centres[k]);
      floats_of(bounds)[2 * k] = floats_of(zp1)[k];
      floats_of(bounds)[2 * k + 1] = floats_of(zp1)[k + 1];
    }
    grid.z = share(std::move(z));
    grid.z_bounds = share(std::move(bounds));
    set_faces(std::move(zp1), grid);
    return {};
  }

  Result<> set_bounds(const GridField& xg, const GridField& yg, ModelGrid& grid) const {
    auto corners = read_cell_corners(session_, place_.directory, grid.n);
    if (!corners) return fail(std::move(corners).error().with("grid"));
    UPWELL_CHECK(check_corners(*corners, grid.n, xg, yg, place_.directory));
    const Shape shape{kLlcTiles, grid.n, grid.n, 4};
    Values x = float_values(shape), y = float_values(shape);
    for (uint64_t p = 0; p < corners->size(); ++p) {
      for (uint64_t c = 0; c < 4; ++c) {
        floats_of(x)[4 * p + c] = static_cast<float>((*corners)[p][c][0]);
        floats_of(y)[4 * p + c] = static_cast<float>((*corners)[p][c][1]);
      }
    }
    grid.xc_bounds = share(std::move(x));
    grid.yc_bounds = share(std::move(y));
    return {};
  }

  /// Water is where any part of a cell, or of its face, is open.
  Result<std::vector<uint8_t>> wet(const std::string& name, const ModelGrid& grid) const {
    UPWELL_TRY(const std::vector<GridField> read,
               read_grid_fields(session_, place_.directory, {"XC", name}));
    const GridField& open = read[1];
    const uint64_t points = level_values(grid.n), all = points * grid.levels;
    if (open.data.size() != all * open.width) return fail(wrong_size(open, all).error());
    std::vector<uint8_t> wet(all);
    UPWELL_CHECK(take_tiles(open, grid.n, grid.levels, kOpenParts,
                            [&](uint64_t p, double part) { wet[p] = part > 0; }));
    return wet;
  }

  io::Session& session_;
  const GridPlace& place_;
};

}  // namespace

const std::vector<uint8_t>& ModelGrid::wet(Point point) const {
  static const std::vector<uint8_t> none;
  switch (point) {
    case Point::kCentre:
      return wet_centre;
    case Point::kWest:
      return wet_west;
    case Point::kSouth:
      return wet_south;
    default:
      return none;
  }
}

Result<ModelGrid> load_model_grid(io::Session& session, const GridPlace& place) {
  const std::optional<std::string> url = place.netcdf_with("native");
  if (!url) return RawSource(session, place).load();
  UPWELL_TRY(GridFile file, GridFile::open(session, *url));
  return NativeSource(session, place, std::move(file)).load();
}

Result<std::optional<LatLonCoordinates>> load_latlon_coordinates(io::Session& session,
                                                                 const GridPlace& place) {
  const std::optional<std::string> url = place.netcdf_with("latlon");
  if (!url) return std::optional<LatLonCoordinates>{};
  UPWELL_TRY(GridFile file, GridFile::open(session, *url));
  LatLonCoordinates grid;
  for (const auto& [name, values] :
       {std::pair{"latitude", &grid.latitude}, std::pair{"longitude", &grid.longitude},
        std::pair{"Z", &grid.z}}) {
    UPWELL_TRY(Values read, file.read(name));
    *values = share(to_floats(read));
  }
  return std::optional(std::move(grid));
}

LatLonCoordinates latlon_coordinates(const LatLonGrid& target, const ModelGrid& grid) {
  const auto axis = [](const std::vector<double>& degrees) {
    Values values = float_values({degrees.size()});
    std::transform(degrees.begin(), degrees.end(), floats_of(values).begin(),
                   [](double d) { return static_cast<float>(d); });
    return share(std::move(values));
  };
  return {axis(target.latitude), axis(target.longitude), grid.z};
}

}  // namespace upwell::produce
