#include "produce/granules/grid.hpp"

#include <fmt/core.h>

#include <algorithm>

#include "cube/read.hpp"
#include "io/digest.hpp"
#include "refs/open.hpp"

namespace upwell::produce {
namespace {

/// A directory with the names of what lies in it.
struct Listing {
  std::string location;  ///< ends in '/'
  std::vector<std::string> names;

  bool has(const std::string& name) const {
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  /// The first *WORD*.nc.
  std::optional<std::string> netcdf_with(std::string_view word) const {
    for (const std::string& name : names) {
      if (name.ends_with(".nc") && name.find(word) != std::string::npos) return location + name;
    }
    return {};
  }
};

Result<Listing> list_grid(io::Session& session, const std::string& location) {
  Listing listing{io::normal_url(location), {}};
  if (!listing.location.ends_with('/')) listing.location += '/';
  auto names = session.list_directory(listing.location);
  if (!names) return fail(std::move(names).error().with("grid " + location));
  listing.names = std::move(*names);
  return listing;
}

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

Values to_floats(const Values& values) {
  Values out = float_values(values.shape);
  std::span<float> floats = floats_of(out);
  for (size_t i = 0; i < floats.size(); ++i) floats[i] = static_cast<float>(values.number(i));
  return out;
}

SharedValues share(Values values) { return std::make_shared<const Values>(std::move(values)); }

/// A netCDF file of the grid.
class GridFile {
 public:
  static Result<GridFile> open(io::Session& session, const std::string& url) {
    auto dataset = refs::open_source(session, url);
    if (!dataset) return fail(std::move(dataset).error().with("grid"));
    return GridFile(session, url, std::move(*dataset));
  }

  bool has(const std::string& name) const { return dataset_.root.find_array(name) != nullptr; }

  Result<Values> read(const std::string& name) const {
    const Array* array = dataset_.root.find_array(name);
    if (array == nullptr) return fail(Code::kInvalidData, url_ + ": has no variable " + name);
    auto values = read_raw(*session_, dataset_, *array);
    if (!values) return fail(std::move(values).error().with(url_));
    return values;
  }
  Result<Values> read_floats(const std::string& name, const Shape& shape) const {
    UPWELL_TRY(Values values, read(name));
    if (values.shape != shape)
      return fail(Code::kInvalidData, url_ + ": " + name + " is of another size than the grid");
    if (values.type == DataType::floating(4)) return values;
    return to_floats(values);
  }

  const std::string& url() const { return url_; }

 private:
  GridFile(io::Session& session, std::string url, Dataset dataset)
      : session_(&session), url_(std::move(url)), dataset_(std::move(dataset)) {}

  io::Session* session_;
  std::string url_;
  Dataset dataset_;
};

/// What a directory of the grid has, raw or in its netCDF file.
class NativeSource {
 public:
  NativeSource(io::Session& session, Listing listing, GridFile file)
      : session_(session), listing_(std::move(listing)), file_(std::move(file)) {}

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
  static std::string digest_of(const ModelGrid& grid) {
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
    if (!listing_.has(name + ".data")) {
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
    const std::string url = listing_.location + name + ".data";
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
    if (listing_.has("RC.data") && listing_.has("RF.data")) {
      UPWELL_TRY(z, profile("RC", levels));
      UPWELL_TRY(zp1, profile("RF", levels + 1));
    } else {
      UPWELL_TRY(z, file_.read_floats("Z", {levels}));
      UPWELL_TRY(zp1, file_.read_floats("Zp1", {levels + 1}));
    }
    Values zl = float_values({levels}), zu = float_values({levels});
    std::copy_n(floats_of(zp1).begin(), levels, floats_of(zl).begin());
    std::copy_n(floats_of(zp1).begin() + 1, levels, floats_of(zu).begin());
    UPWELL_TRY(Values bounds, file_.read_floats("Z_bnds", {levels, 2}));
    grid.z = share(std::move(z));
    grid.zp1 = share(std::move(zp1));
    grid.zl = share(std::move(zl));
    grid.zu = share(std::move(zu));
    grid.z_bounds = share(std::move(bounds));
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
  Listing listing_;
  GridFile file_;
  Values mask_;
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

Result<ModelGrid> load_model_grid(io::Session& session, const std::string& location) {
  UPWELL_TRY(Listing listing, list_grid(session, location));
  const std::optional<std::string> url = listing.netcdf_with("native");
  if (!url)
    return fail(Code::kNotFound, "grid " + location + ": no file *native*.nc in this directory");
  UPWELL_TRY(GridFile file, GridFile::open(session, *url));
  return NativeSource(session, std::move(listing), std::move(file)).load();
}

Result<LatLonCoordinates> load_latlon_coordinates(io::Session& session,
                                                  const std::string& location) {
  UPWELL_TRY(Listing listing, list_grid(session, location));
  const std::optional<std::string> url = listing.netcdf_with("latlon");
  if (!url)
    return fail(Code::kNotFound, "grid " + location + ": no file *latlon*.nc in this directory");
  UPWELL_TRY(GridFile file, GridFile::open(session, *url));
  LatLonCoordinates grid;
  for (const auto& [name, values] :
       {std::pair{"latitude", &grid.latitude}, std::pair{"longitude", &grid.longitude},
        std::pair{"Z", &grid.z}}) {
    UPWELL_TRY(Values read, file.read(name));
    *values = share(to_floats(read));
  }
  return grid;
}

}  // namespace upwell::produce
