#include "produce/factors/read_edp.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "base/parallel.hpp"
#include "produce/factors/pickle.hpp"
#include "produce/factors/xz.hpp"

namespace upwell::produce {
namespace {

constexpr uint64_t kLevelsAtOnce = 8;

tl::unexpected<Error> bad_input(const std::string& what) { return fail(Code::kInvalidData, what); }

/// A pickle with the bytes that it views.
struct UnpackedPickle {
  Bytes bytes;
  Pickle pickle;
};

Result<std::unique_ptr<UnpackedPickle>> read_xz_pickle(ByteSpan file) {
  auto out = std::make_unique<UnpackedPickle>();
  UPWELL_TRY(out->bytes, decompress_xz(file));
  UPWELL_TRY(out->pickle, Pickle::read(out->bytes));
  return out;
}

Result<std::vector<double>> doubles_of(const PickleObject& object, const char* what) {
  if (object.kind != PickleObject::Kind::kArray || object.array.type.kind == 'O')
    return bad_input(std::string(what) + " is no array of numbers");
  return object.array.as_doubles();
}

/// [{'lat': bounds, 'lon': bounds}, depth bounds, {'lats_1D', 'lons_1D', 'shape'}, {level: (tile,
/// j, i)}]
struct EdpGrid {
  LatLonGrid grid;
  std::vector<double> depth_bounds;
  std::vector<std::array<std::vector<uint32_t>, 3>> wet;
};

Result<EdpGrid> parse_grid(const Pickle& pickle) {
  EdpGrid out;
  UPWELL_TRY(const PickleObject* bounds, pickle.item(pickle.root(), 0));
  UPWELL_TRY(const PickleObject* depths, pickle.item(pickle.root(), 1));
  UPWELL_TRY(const PickleObject* axes, pickle.item(pickle.root(), 2));
  UPWELL_TRY(const PickleObject* wet, pickle.item(pickle.root(), 3));
  UPWELL_TRY(const PickleObject* lat_bounds, pickle.value(*bounds, "lat"));
  UPWELL_TRY(const PickleObject* lon_bounds, pickle.value(*bounds, "lon"));
  UPWELL_TRY(const PickleObject* lat, pickle.value(*axes, "lats_1D"));
  UPWELL_TRY(const PickleObject* lon, pickle.value(*axes, "lons_1D"));
  UPWELL_TRY(out.grid.latitude, doubles_of(*lat, "lats_1D"));
  UPWELL_TRY(out.grid.longitude, doubles_of(*lon, "lons_1D"));
  UPWELL_TRY(out.grid.latitude_bounds, doubles_of(*lat_bounds, "lat"));
  UPWELL_TRY(out.grid.longitude_bounds, doubles_of(*lon_bounds, "lon"));
  UPWELL_TRY(out.depth_bounds, doubles_of(*depths, "depth bounds"));
  if (out.grid.rows() == 0 || out.grid.columns() == 0 || out.depth_bounds.size() % 2 != 0 ||
      out.grid.latitude_bounds.size() != 2 * out.grid.rows() ||
      out.grid.longitude_bounds.size() != 2 * out.grid.columns())
    return bad_input("axes and their bounds have sizes that disagree");
  for (size_t level = 0; level < out.depth_bounds.size() / 2; ++level) {
    UPWELL_TRY(const PickleObject* points, pickle.value(*wet, static_cast<int64_t>(level)));
    std::array<std::vector<uint32_t>, 3> indices;
    for (size_t axis = 0; axis < 3; ++axis) {
      UPWELL_TRY(const PickleObject* index, pickle.item(*points, axis));
      if (index->kind != PickleObject::Kind::kArray) return bad_input("wet points are no arrays");
      UPWELL_TRY(indices[axis], index->array.as_uint32());
    }
    if (indices[0].size() != indices[1].size() || indices[0].size() != indices[2].size())
      return bad_input(
          fmt::format("wet points of level {} have index arrays of different lengths", level));
    out.wet.push_back(std::move(indices));
  }
  return out;
}

/// The number of points along a tile follows from the largest index: the file does not say it.
Result<std::array<uint64_t, 3>> source_shape(const EdpGrid& grid) {
  uint32_t tile = 0, index = 0;
  for (const auto& [tiles, js, is] : grid.wet) {
    for (const uint32_t t : tiles) tile = std::max(tile, t);
    for (const uint32_t j : js) index = std::max(index, j);
    for (const uint32_t i : is) index = std::max(index, i);
  }
  if (tile > 12 || index >= 8640)
    return bad_input("wet points that are not on 13 tiles of an llc grid");
  // Wet points that do not reach the edge of a tile would make it look smaller; on a global grid
  // they do.
  const uint64_t n = uint64_t{index} + 1;
  return std::array<uint64_t, 3>{13, n, n};
}

Result<LevelFactors> read_level(const EdpGrid& grid, const FactorsHead& head, uint64_t level,
                                SharedBytes matrix, ByteSpan mask, uint64_t& dropped) {
  LevelFactors out;
  const uint64_t cells = head.grid.cells();
  const auto& [tile, j, i] = grid.wet[level];
  std::vector<uint32_t> source(tile.size());
  out.wet.assign(bytes_of_bits(head.sources()), 0);
  for (size_t p = 0; p < source.size(); ++p) {
    source[p] = static_cast<uint32_t>(
        (tile[p] * head.source_shape[1] + j[p]) * head.source_shape[2] + i[p]);
    if (p > 0 && source[p] <= source[p - 1])
      return bad_input(
          fmt::format("latlon_grid.xz: wet points of level {} are not in order", level));
    set_bit(out.wet, source[p]);
  }

  auto read = read_scipy_sparse(std::move(matrix));
  if (!read)
    return fail(std::move(read).error().with(fmt::format("sparse/sparse_matrix_{}.npz", level)));
  if (read->rows != source.size() || read->columns.offsets.size() != cells + 1)
    return bad_input(
        fmt::format("sparse/sparse_matrix_{}.npz: {} × {}, the grid has {} wet points and {} cells",
                    level, read->rows, read->columns.offsets.size() - 1, source.size(), cells));
  out.rows = std::move(read->columns);
  for (uint32_t& index : out.rows.indices) index = source[index];

  auto values = [&]() -> Result<std::vector<double>> {
    UPWELL_TRY(const auto pickle, read_xz_pickle(mask));
    return doubles_of(pickle->pickle.root(), "the land mask");
  }();
  const std::string name = fmt::format("land_mask/ecco_latlon_land_mask_{}.xz", level);
  if (!values) return fail(std::move(values).error().with(name));
  if (values->size() != cells)
    return bad_input(
        fmt::format("{}: {} values, the grid has {} cells", name, values->size(), cells));
  out.ocean.assign(bytes_of_bits(cells), 0);
  for (uint64_t cell = 0; cell < cells; ++cell) {
    if (!std::isnan((*values)[cell])) {
      set_bit(out.ocean, cell);
    } else {
      dropped += out.rows.offsets[cell + 1] - out.rows.offsets[cell];
    }
  }
  return out;
}

}  // namespace

Result<Bytes> convert_edp_factors(io::Session& session, const std::string& directory) {
  const std::string base = directory.ends_with('/') ? directory : directory + "/";
  const std::string grid_url = base + "latlon_grid/latlon_grid.xz";
  auto grid = [&]() -> Result<EdpGrid> {
    UPWELL_TRY(const SharedBytes file, session.read_one(grid_url));
    UPWELL_TRY(const auto unpacked, read_xz_pickle(file.span()));
    return parse_grid(unpacked->pickle);
  }();
  if (!grid) return fail(std::move(grid).error().with(grid_url));
  FactorsHead head;
  UPWELL_TRY(head.source_shape, source_shape(*grid));
  head.grid = grid->grid;
  head.depth_bounds = grid->depth_bounds;
  head.method = "converted";

  const uint64_t levels = head.levels();
  std::vector<io::ReadRequest> requests;
  for (uint64_t level = 0; level < levels; ++level) {
    requests.push_back({fmt::format("{}sparse/sparse_matrix_{}.npz", base, level), {}});
    requests.push_back({fmt::format("{}land_mask/ecco_latlon_land_mask_{}.xz", base, level), {}});
  }
  FactorsBuilder builder(head);
  uint64_t dropped = 0;
  for (uint64_t first = 0; first < levels; first += kLevelsAtOnce) {
    const uint64_t n = std::min(kLevelsAtOnce, levels - first);
    auto files = session.read(std::span(requests).subspan(2 * first, 2 * n));
    std::vector<LevelFactors> read(n);
    std::vector<uint64_t> dropped_of(n, 0);
    UPWELL_CHECK(parallel_for(n, [&](size_t k) -> Result<> {
      for (const size_t file : {2 * k, 2 * k + 1}) {
        if (!files[file]) return fail(std::move(files[file]).error());
      }
      auto level = read_level(*grid, head, first + k, *files[2 * k], files[2 * k + 1]->span(),
                              dropped_of[k]);
      if (!level) return fail(std::move(level).error().with(directory));
      read[k] = std::move(*level);
      return {};
    }));
    for (uint64_t k = 0; k < n; ++k) {
      UPWELL_CHECK(builder.add(read[k]));
      dropped += dropped_of[k];
    }
  }
  UPWELL_TRY(Bytes file, std::move(builder).finish());
  if (dropped > 0)
    return fail(Code::kUnsupported,
                fmt::format("{}: {} matrix entries are of cells that the land mask excludes",
                            directory, dropped));
  return file;
}

}  // namespace upwell::produce
