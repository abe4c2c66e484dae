#include "format/mds/layout.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "format/hdf5/dataset_reader.hpp"

namespace upwell::format::mds {
namespace {

constexpr uint64_t kPlainTiles = 7;   // faces 1 and 2 and the cap: rows of nx values
constexpr uint64_t kTilesOfFace = 3;  // of the faces 4 and 5: rows of 3 nx values
constexpr uint64_t kMaxFaceBytes = 4 << 20;

/// The largest number of rows that divides nx and whose piece of a face is not too large.
uint64_t rows_of_chunk(uint64_t nx, uint64_t item_size) {
  const uint64_t row = kTilesOfFace * nx * item_size;
  uint64_t best = 1;
  for (uint64_t rows = 1; rows <= nx && rows * row <= kMaxFaceBytes; ++rows)
    if (nx % rows == 0) best = rows;
  return best;
}

Shape with_leading_ones(const FieldLayout& field, std::initializer_list<uint64_t> rest) {
  Shape out(field.leading.size(), 1);
  out.insert(out.end(), rest);
  return out;
}

/// Chunk shapes and grids of tiles; `set` fills the chunks of one place of the leading axes, whose
/// values begin at a byte and whose chunks begin at a position.
struct TileSegment {
  uint64_t first_tile = 0, tiles = 0;
  Shape chunk_shape;
  std::vector<codec::CodecSpec> codecs;
};

class TileArray {
 public:
  explicit TileArray(const FieldLayout& field)
      : field_(field),
        granule_(field.parts[0].granule),
        nx_(field.plane[1]),
        item_(field.item_size) {
    level_bytes_ = kTiles * nx_ * nx_ * item_;
  }

  Segment rows() const {
    return segment({0, kTiles, with_leading_ones(field_, {1, 1, nx_}), {}}, [this](uint64_t n) {
      const uint64_t tile = n / nx_, row = n % nx_;
      return std::pair{row_start(tile, row), nx_ * item_};
    });
  }

  Segment plain_tiles() const {
    const uint64_t rows = rows_of_chunk(nx_, item_);
    return segment({0, kPlainTiles, with_leading_ones(field_, {1, rows, nx_}), {}},
                   [this, rows](uint64_t n) {
                     const uint64_t bytes = rows * nx_ * item_;
                     return std::pair{n * bytes, bytes};
                   });
  }

  /// The order of the stored axes is (..., j, tile, i).
  Segment turned_tiles() const {
    const uint64_t rows = rows_of_chunk(nx_, item_);
    const Shape chunk = with_leading_ones(field_, {kTilesOfFace, rows, nx_});
    std::vector<size_t> order(chunk.size());
    for (size_t d = 0; d < order.size(); ++d) order[d] = d;
    std::swap(order[order.size() - 3], order[order.size() - 2]);
    const std::string config = fmt::format("{{\"order\":[{}],\"shape\":[{}],\"itemsize\":{}}}",
                                           fmt::join(order, ","), fmt::join(chunk, ","), item_);
    return segment({kPlainTiles, kTiles - kPlainTiles, chunk, {{"transpose", config}}},
                   [this, rows](uint64_t n) {
                     const uint64_t bytes = rows * kTilesOfFace * nx_ * item_;
                     return std::pair{kPlainTiles * nx_ * nx_ * item_ + n * bytes, bytes};
                   });
  }

 private:
  /// Byte of a tile's row within its level.
  uint64_t row_start(uint64_t tile, uint64_t row) const {
    if (tile < kPlainTiles) return (tile * nx_ + row) * nx_ * item_;
    const uint64_t face = (tile - kPlainTiles) / kTilesOfFace;
    const uint64_t part = (tile - kPlainTiles) % kTilesOfFace;
    const uint64_t values =
        (kPlainTiles + face * kTilesOfFace) * nx_ * nx_ + (row * kTilesOfFace + part) * nx_;
    return values * item_;
  }

  /// `place(n)`: first byte in the level and length of chunk n of a level.
  template <typename Place>
  Segment segment(TileSegment part, const Place& place) const {
    Segment out;
    out.origin.assign(field_.leading.size(), 0);
    out.origin.insert(out.origin.end(), {part.first_tile, 0, 0});
    out.shape = field_.leading;
    out.shape.insert(out.shape.end(), {part.tiles, nx_, nx_});
    out.grid = grid_shape(out.shape, part.chunk_shape);
    const uint64_t levels = element_count(field_.leading);
    const uint64_t chunks = element_count(out.grid) / levels;
    auto index = std::make_shared<DenseChunkIndex>(levels * chunks, granule_);
    for (uint64_t level = 0; level < levels; ++level) {
      for (uint64_t n = 0; n < chunks; ++n) {
        const auto [start, length] = place(n);
        index->set(level * chunks + n, granule_,
                   field_.parts[0].first_byte + level * level_bytes_ + start, length);
      }
    }
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = DataType::floating(field_.item_size, ByteOrder::kBig);
    layout->chunk_shape = std::move(part.chunk_shape);
    layout->codecs = std::move(part.codecs);
    out.layout = std::move(layout);
    out.chunks = std::move(index);
    return out;
  }

  const FieldLayout& field_;
  uint32_t granule_;
  uint64_t nx_, item_, level_bytes_;
};

/// `like`: of another part; its layout is used where it is the same.
Segment run_of_bytes(const FieldLayout& field, const FieldPart& part, uint64_t subchunk_bytes,
                     const Segment* like) {
  Segment out;
  out.origin.assign(field.leading.size(), 0);
  out.origin.insert(out.origin.end(), part.origin.begin(), part.origin.end());
  out.shape = field.leading;
  out.shape.insert(out.shape.end(), part.shape.begin(), part.shape.end());
  const Shape chunk = hdf5::subchunk_shape(out.shape, field.item_size, subchunk_bytes);
  out.grid = grid_shape(out.shape, chunk);
  const uint64_t bytes = element_count(chunk) * field.item_size;
  auto index = std::make_shared<DenseChunkIndex>(element_count(out.grid), part.granule);
  for (uint64_t n = 0; n < index->size(); ++n)
    index->set(n, part.granule, part.first_byte + n * bytes, bytes);
  out.chunks = std::move(index);
  if (like != nullptr && like->layout->chunk_shape == chunk) {
    out.layout = like->layout;
    return out;
  }
  auto layout = std::make_shared<SegmentLayout>();
  layout->type = DataType::floating(field.item_size, ByteOrder::kBig);
  layout->chunk_shape = chunk;
  out.layout = std::move(layout);
  return out;
}

}  // namespace

bool is_compact_llc(uint64_t nx, uint64_t ny) {
  return nx >= 2 && ny % nx == 0 && ny / nx == kTiles;
}

Array make_field(const FieldLayout& field, const ScanOptions& options) {
  Array out;
  out.name = field.name;
  out.type = DataType::floating(field.item_size, ByteOrder::kBig);
  out.shape = field.leading;
  out.dimensions = field.leading_names;
  if (field.tiles) {
    const uint64_t nx = field.plane[1];
    out.shape.insert(out.shape.end(), {kTiles, nx, nx});
    out.dimensions.emplace_back("tile");
  } else {
    out.shape.insert(out.shape.end(), field.plane.begin(), field.plane.end());
  }
  out.dimensions.insert(out.dimensions.end(), field.plane_names.begin(), field.plane_names.end());
  if (!field.tiles) {
    // Whoever cuts later can do so with one run of bytes, not with several parts.
    const bool parts = field.parts.size() > 1 && options.subchunk_bytes == 0;
    const uint64_t bytes = parts ? kMaxFaceBytes : options.subchunk_bytes;
    for (const FieldPart& part : field.parts)
      out.segments.push_back(
          run_of_bytes(field, part, bytes, out.segments.empty() ? nullptr : &out.segments[0]));
  } else if (options.one_layout) {
    out.segments.push_back(TileArray(field).rows());
  } else {
    out.segments.push_back(TileArray(field).plain_tiles());
    out.segments.push_back(TileArray(field).turned_tiles());
  }
  out.chunk_shape = out.segments[0].layout->chunk_shape;
  return out;
}

Array make_values(std::string name, std::vector<std::string> dimensions, const Values& values) {
  Array out;
  out.name = std::move(name);
  out.type = values.type;
  out.shape = values.shape;
  out.chunk_shape = values.shape;
  out.dimensions = std::move(dimensions);
  auto layout = std::make_shared<SegmentLayout>();
  layout->type = values.type;
  layout->chunk_shape = values.shape;
  auto index = std::make_shared<DenseChunkIndex>(1);
  index->set_inline(0, values.data);
  Segment segment;
  segment.origin.assign(values.shape.size(), 0);
  segment.shape = values.shape;
  segment.grid.assign(values.shape.size(), 1);
  segment.layout = std::move(layout);
  segment.chunks = std::move(index);
  out.segments.push_back(std::move(segment));
  return out;
}

}  // namespace upwell::format::mds
