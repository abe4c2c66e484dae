#include "produce/granules/resources.hpp"

#include <fmt/format.h>

#include "io/digest.hpp"
#include "produce/factors/edp_config.hpp"
#include "produce/factors/read_edp.hpp"

namespace upwell::produce {
namespace {

SharedValues bounds_of(const std::vector<double>& numbers) {
  Values values{DataType::floating(4), {numbers.size() / 2, 2}, Bytes(numbers.size() * 4), {}};
  for (size_t i = 0; i < numbers.size(); ++i)
    store_le(values.data.data() + 4 * i, static_cast<float>(numbers[i]));
  return std::make_shared<const Values>(std::move(values));
}

Result<Mapper> load_mapper(io::Session& session, const std::string& location) {
  if (location.ends_with(".npz")) {
    UPWELL_TRY(MappingFactors factors, MappingFactors::open(session, location));
    return Mapper::make(std::move(factors), FieldOrder::kTiles);
  }
  const std::string own = location + (location.ends_with('/') ? "" : "/") + kFactorsFile;
  if (session.stat(io::normal_url(own))) {
    UPWELL_TRY(MappingFactors factors, MappingFactors::open(session, io::normal_url(own)));
    return Mapper::make(std::move(factors), FieldOrder::kTiles);
  }
  UPWELL_TRY(Bytes file, convert_edp_factors(session, location));
  UPWELL_TRY(MappingFactors factors, MappingFactors::parse(SharedBytes(std::move(file))));
  return Mapper::make(std::move(factors), FieldOrder::kTiles);
}

template <typename T>
Result<std::shared_ptr<const T>> shared_of(Result<T> made) {
  if (!made) return fail(std::move(made).error());
  return std::make_shared<const T>(std::move(*made));
}

template <typename T>
std::optional<Error> error_of(const Result<T>& made) {
  if (made) return {};
  return made.error();
}

}  // namespace

bool may_pass(Code code) {
  return code == Code::kUnavailable || code == Code::kDeadlineExceeded || code == Code::kChanged;
}

Shared<GridParts>::Made Resources::grid_parts(const std::string& location) {
  return grids_.get(location, [&]() -> Result<GridParts> {
    UPWELL_TRY(const GridPlace place, places_.find(location));
    GridParts parts{shared_of(load_model_grid(session_, place)),
                    shared_of(load_diagnostics(session_, place)),
                    load_latlon_coordinates(session_, place)};
    for (const std::optional<Error>& error :
         {error_of(parts.model), error_of(parts.diagnostics), error_of(parts.latlon)}) {
      if (error && may_pass(error->code)) return fail(*error);
    }
    return parts;
  });
}

Shared<ModelGrid>::Made Resources::native_grid(const std::string& location) {
  UPWELL_TRY(const std::shared_ptr<const GridParts> parts, grid_parts(location));
  return parts->model;
}

Shared<Diagnostics>::Made Resources::diagnostics(const std::string& grid_location) {
  UPWELL_TRY(const std::shared_ptr<const GridParts> parts, grid_parts(grid_location));
  return parts->diagnostics;
}

Shared<Metadata>::Made Resources::metadata(const std::string& location) {
  return metadata_.get(location, [&] { return Metadata::load(session_, location); });
}

Shared<std::vector<PodaacRow>>::Made Resources::podaac(const std::string& location,
                                                       const std::string& file) {
  return podaac_.get(location + "\n" + file, [&]() -> Result<std::vector<PodaacRow>> {
    UPWELL_TRY(std::shared_ptr<const Metadata> metadata, this->metadata(location));
    auto rows = metadata->load_podaac(session_, file);
    if (!rows && rows.error().code == Code::kNotFound) return std::vector<PodaacRow>{};
    return rows;
  });
}

Shared<Config>::Made Resources::config(const std::string& location) {
  return configs_.get(location, [&]() -> Result<Config> {
    UPWELL_TRY(SharedBytes text, session_.read_one(io::normal_url(location)));
    return Config::parse(std::string(as_text(text.span())), location);
  });
}

Shared<Mapper>::Made Resources::mapper(const std::string& factors_location) {
  return mappers_.get(factors_location, [&] { return load_mapper(session_, factors_location); });
}

Shared<std::string>::Made Resources::factors_digest(const std::string& factors_location) {
  return factors_digests_.get(factors_location, [&]() -> Result<std::string> {
    UPWELL_TRY(const std::shared_ptr<const Mapper> mapper, this->mapper(factors_location));
    return io::hex_digest(io::DigestKind::kSha256, mapper->factors().file());
  });
}

Shared<Frame>::Made Resources::native_frame(const std::string& grid, const std::string& metadata,
                                            bool is_3d, TimeAxis time) {
  const std::string key =
      fmt::format("{}\n{}\n{} {}", grid, metadata, is_3d, static_cast<int>(time));
  return frames_.get(key, [&]() -> Result<Frame> {
    UPWELL_TRY(std::shared_ptr<const ModelGrid> native, native_grid(grid));
    UPWELL_TRY(std::shared_ptr<const Metadata> records, this->metadata(metadata));
    return produce::native_frame(*native, *records, is_3d, time);
  });
}

Shared<Frame>::Made Resources::latlon_frame(const std::string& grid, const std::string& factors,
                                            const std::string& metadata, bool is_3d,
                                            TimeAxis time) {
  const std::string key =
      fmt::format("{}\n{}\n{}\n{} {}", grid, factors, metadata, is_3d, static_cast<int>(time));
  return frames_.get(key, [&]() -> Result<Frame> {
    UPWELL_TRY(const std::shared_ptr<const GridParts> parts, grid_parts(grid));
    UPWELL_TRY(const std::optional<LatLonCoordinates> said, parts->latlon);
    UPWELL_TRY(std::shared_ptr<const Mapper> mapper, this->mapper(factors));
    UPWELL_TRY(std::shared_ptr<const ModelGrid> native, native_grid(grid));
    UPWELL_TRY(std::shared_ptr<const Metadata> records, this->metadata(metadata));
    const FactorsHead& head = mapper->factors().head();
    const LatLonBounds bounds{bounds_of(head.grid.latitude_bounds),
                              bounds_of(head.grid.longitude_bounds), bounds_of(head.depth_bounds)};
    const LatLonCoordinates coordinates = said ? *said : latlon_coordinates(head.grid, *native);
    if (coordinates.latitude->count() != head.grid.rows() ||
        coordinates.longitude->count() != head.grid.columns() ||
        (is_3d && coordinates.z->count() != head.levels()))
      return fail(Code::kInvalidData,
                  fmt::format("{}: the factors are for another grid than {} of {}", factors,
                              said ? "the *latlon*.nc" : "the model's", grid));
    return produce::latlon_frame(coordinates, bounds, *records, is_3d, time);
  });
}

Shared<Shape>::Made Resources::chunk_shape(const Shape& shape, size_t element_size) {
  const std::string key = fmt::format("{} {}", fmt::join(shape, " "), element_size);
  return chunks_.get(key,
                     [&] { return format::netcdf4::default_chunk_shape(shape, element_size); });
}

}  // namespace upwell::produce
