#include "produce/factors/factors.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cmath>
#include <cstring>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/url.hpp"
#include "produce/factors/factors_form.hpp"

namespace upwell::produce {
namespace {

tl::unexpected<Error> bad_factors(const std::string& what) {
  return fail(Code::kInvalidData, what);
}

Result<SharedBytes> map_whole(const std::string& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(errno == ENOENT ? Code::kNotFound : Code::kPermissionDenied, std::strerror(errno));
  struct stat info{};
  const bool regular = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  const auto size = static_cast<size_t>(regular ? info.st_size : 0);
  void* begin = size == 0 ? MAP_FAILED : ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  if (begin == MAP_FAILED) return bad_factors("empty, or no file");
  const std::shared_ptr<const void> owner(begin, [size](void* p) { ::munmap(p, size); });
  return SharedBytes(owner, {static_cast<const uint8_t*>(begin), size});
}

}  // namespace

/// Fills MappingFactors::Data from the members of the file.
struct FactorsParser {
  NpzReader npz;
  MappingFactors::Data data;

  /// A view of a stored member with exactly this shape and type.
  template <typename T>
  Result<std::span<const T>> view(const char* name, const std::vector<uint64_t>& shape) {
    UPWELL_TRY(const OwnedArray array, read_array(npz, name));
    const ElementType wanted{sizeof(T) == 8 ? 'f' : 'u', sizeof(T), false};
    const uint8_t* p = array.array.data.data();
    const ByteSpan file = data.file.span();
    if (array.array.type != wanted || array.array.shape != shape)
      return bad_factors(fmt::format("{}.npy has another type or shape than the head says", name));
    const bool in_file =
        array.array.data.empty() || (p >= file.data() && p < file.data() + file.size());
    if (!in_file || reinterpret_cast<uintptr_t>(p) % alignof(T) != 0)
      return bad_factors(fmt::format("{}.npy is compressed or not aligned", name));
    return std::span<const T>(reinterpret_cast<const T*>(p), array.array.data.size() / sizeof(T));
  }

  Result<uint64_t> length(const char* name) {
    UPWELL_TRY(const OwnedArray array, read_array(npz, name));
    if (array.array.shape.empty()) return bad_factors(fmt::format("{}.npy has no dimension", name));
    return array.array.shape[0];
  }

  Result<std::vector<double>> doubles(const char* name, const std::vector<uint64_t>& shape) {
    UPWELL_TRY(const std::span<const double> values, view<double>(name, shape));
    return std::vector<double>(values.begin(), values.end());
  }

  Result<uint64_t> read_head();
  Result<> read_axes(uint64_t levels);
  Result<RowView> read_rows(const std::string& prefix, uint64_t rows);
  Result<> read_own();
};

Result<uint64_t> FactorsParser::read_head() {
  UPWELL_TRY(const SharedBytes text, npz.member(kFactorsHead, 1 << 20));
  const auto json =
      nlohmann::json::parse(as_text(text.span()), nullptr, /*allow_exceptions=*/false);
  if (!json.is_object() || json.value("format", nlohmann::json()) != kFactorsFormat)
    return bad_factors("factors.json does not say that these are mapping factors");
  if (json.value("version", nlohmann::json()) != kFactorsVersion)
    return fail(Code::kUnsupported, "mapping factors of another version than 1");
  const auto shape = json.value("source_shape", nlohmann::json());
  const auto levels = json.value("levels", nlohmann::json());
  if (!shape.is_array() || shape.size() != 3 || !levels.is_number_unsigned() || levels > 10000)
    return bad_factors("factors.json: source_shape or levels are not as they should be");
  uint64_t sources = 1;
  for (size_t i = 0; i < 3; ++i) {
    if (!shape[i].is_number_unsigned() || shape[i] == 0 || shape[i] > uint64_t{1} << 20)
      return bad_factors("factors.json: source_shape is not as it should be");
    data.head.source_shape[i] = shape[i].get<uint64_t>();
    sources *= data.head.source_shape[i];
  }
  // Gather instructions take signed indices.
  if (sources > std::numeric_limits<int32_t>::max())
    return fail(Code::kUnsupported, "a source grid of 2^31 points and more");
  auto text_of = [&](const char* key) {
    const auto value = json.value(key, nlohmann::json());
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  data.head.method = text_of("method");
  data.head.radius = text_of("radius");
  for (const auto& note : json.value("notes", nlohmann::json::array())) {
    if (note.is_string()) data.head.notes.push_back(note.get<std::string>());
  }
  data.head.any_wet_in_column = json.value("any_wet_in_column", nlohmann::json()) == true;
  return levels.get<uint64_t>();
}

Result<> FactorsParser::read_axes(uint64_t levels) {
  LatLonGrid& grid = data.head.grid;
  UPWELL_TRY(const uint64_t rows, length("latitude"));
  UPWELL_TRY(const uint64_t columns, length("longitude"));
  if (rows == 0 || columns == 0 || rows > uint64_t{1} << 20 || columns > uint64_t{1} << 20)
    return bad_factors("an axis of no or too many cells");
  UPWELL_TRY(grid.latitude, doubles("latitude", {rows}));
  UPWELL_TRY(grid.longitude, doubles("longitude", {columns}));
  UPWELL_TRY(grid.latitude_bounds, doubles("latitude_bounds", {rows, 2}));
  UPWELL_TRY(grid.longitude_bounds, doubles("longitude_bounds", {columns, 2}));
  UPWELL_TRY(data.head.depth_bounds, doubles("depth_bounds", {levels, 2}));
  UPWELL_TRY(data.wet,
             view<uint8_t>("wet", {data.head.layers(), bytes_of_bits(data.head.sources())}));
  UPWELL_TRY(data.ocean, view<uint8_t>("ocean", {data.head.layers(), bytes_of_bits(grid.cells())}));
  return {};
}

Result<RowView> FactorsParser::read_rows(const std::string& prefix, uint64_t rows) {
  RowView view_of;
  const std::string offsets = prefix + "offsets", sources = prefix + "sources",
                    weights = prefix + "weights", area = prefix + "area";
  UPWELL_TRY(view_of.offsets, view<uint32_t>(offsets.c_str(), {rows + 1}));
  const uint64_t entries = view_of.offsets.back();
  if (view_of.offsets.front() != 0 ||
      !std::is_sorted(view_of.offsets.begin(), view_of.offsets.end()))
    return bad_factors(offsets + ".npy does not ascend from 0");
  UPWELL_TRY(view_of.sources, view<uint32_t>(sources.c_str(), {entries}));
  UPWELL_TRY(view_of.weights, view<double>(weights.c_str(), {entries}));
  if (npz.has(area + ".npy")) {
    UPWELL_TRY(view_of.area, view<double>(area.c_str(), {rows}));
  }
  const auto most = std::max_element(view_of.sources.begin(), view_of.sources.end());
  if (most != view_of.sources.end() && *most >= data.head.sources())
    return bad_factors(
        fmt::format("{}.npy names source {} of {}", sources, *most, data.head.sources()));
  return view_of;
}

Result<> FactorsParser::read_own() {
  const uint64_t levels = data.head.layers(), cells = data.head.grid.cells();
  UPWELL_TRY(data.own_levels, view<uint32_t>("own_levels", {levels + 1}));
  if (data.own_levels.front() != 0 ||
      !std::is_sorted(data.own_levels.begin(), data.own_levels.end()))
    return bad_factors("own_levels.npy does not ascend from 0");
  UPWELL_TRY(data.own_cells, view<uint32_t>("own_cells", {data.own_levels.back()}));
  for (uint64_t level = 0; level < levels; ++level) {
    uint64_t next = 0;
    for (uint32_t i = data.own_levels[level]; i < data.own_levels[level + 1]; ++i) {
      if (data.own_cells[i] < next || data.own_cells[i] >= cells)
        return bad_factors(
            fmt::format("own_cells.npy: element {} does not ascend or is no cell", i));
      next = uint64_t{data.own_cells[i]} + 1;
    }
  }
  UPWELL_TRY(data.own, read_rows("own_", data.own_cells.size()));
  return {};
}

Result<MappingFactors> MappingFactors::parse(SharedBytes file) {
  UPWELL_TRY(NpzReader npz, NpzReader::open(file));
  FactorsParser parser{std::move(npz), {}};
  parser.data.file = std::move(file);
  UPWELL_TRY(const uint64_t levels, parser.read_head());
  UPWELL_CHECK(parser.read_axes(levels));
  UPWELL_TRY(parser.data.shared, parser.read_rows("", parser.data.head.grid.cells()));
  UPWELL_CHECK(parser.read_own());
  MappingFactors factors;
  factors.data_ = std::make_shared<const Data>(std::move(parser.data));
  return factors;
}

Result<MappingFactors> MappingFactors::open(io::Session& session, const std::string& url) {
  auto factors = [&]() -> Result<MappingFactors> {
    if (io::scheme_of(url) == "file") {
      UPWELL_TRY(SharedBytes file, map_whole(io::file_path_of(url)));
      return parse(std::move(file));
    }
    UPWELL_TRY(SharedBytes file, session.read_one(url));
    return parse(std::move(file));
  }();
  if (!factors) return fail(std::move(factors).error().with(url));
  return factors;
}

std::span<const uint8_t> MappingFactors::wet(uint64_t level) const {
  const uint64_t n = bytes_of_bits(sources());
  return data_->wet.subspan(level * n, n);
}

std::span<const uint8_t> MappingFactors::ocean(uint64_t level) const {
  const uint64_t n = bytes_of_bits(cells());
  return data_->ocean.subspan(level * n, n);
}

MappingFactors::OwnCells MappingFactors::own_cells(uint64_t level) const {
  const uint32_t begin = data_->own_levels[level], end = data_->own_levels[level + 1];
  return {data_->own_cells.subspan(begin, end - begin), begin};
}

LevelFactors MappingFactors::level(uint64_t level) const {
  LevelFactors out;
  out.wet.assign(wet(level).begin(), wet(level).end());
  out.ocean.assign(ocean(level).begin(), ocean(level).end());
  const OwnCells own_here = own_cells(level);
  uint64_t next_own = 0;
  out.rows.offsets.push_back(0);
  for (uint64_t cell = 0; cell < cells(); ++cell) {
    const bool is_own = next_own < own_here.cells.size() && own_here.cells[next_own] == cell;
    const RowView& rows = is_own ? own() : shared();
    const uint64_t row = is_own ? own_here.first + next_own++ : cell;
    const bool has_value = bit_at(out.ocean, cell);
    for (uint32_t e = rows.offsets[row]; has_value && e < rows.offsets[row + 1]; ++e) {
      out.rows.indices.push_back(rows.sources[e]);
      out.rows.values.push_back(rows.weights[e]);
    }
    out.rows.offsets.push_back(static_cast<uint32_t>(out.rows.indices.size()));
    if (!rows.area.empty()) out.area.push_back(has_value ? rows.area[row] : 0);
  }
  return out;
}

}  // namespace upwell::produce
