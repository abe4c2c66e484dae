#include "format/hdf5/chunk_walk.hpp"

#include <algorithm>

#include "format/hdf5/chunk_sink.hpp"

namespace upwell::format::hdf5 {
namespace {

// Up to so many places a grid is dense from the start (12 bytes each). A bigger one has to show its
// chunks first: extents are only a claim.
constexpr uint64_t kAlwaysDense = uint64_t{1} << 16;

Result<uint64_t> checked_product(std::span<const uint64_t> factors, std::string_view what) {
  unsigned __int128 product = 1;
  for (uint64_t f : factors) {
    product *= f;
    if (product >= kUndefined) return fail(Code::kInvalidData, fmt::format("too many {}", what));
  }
  return static_cast<uint64_t>(product);
}

// One chunk, or chunks one behind the other: no structure to read.
class UnindexedWalk : public ChunkWalk {
 public:
  explicit UnindexedWalk(ChunkSink sink) : sink_(std::move(sink)) {}

  Result<bool> advance(Window& window) override {
    const ChunkedLayout& layout = sink_.layout();
    if (sink_.nothing() || layout.address == kUndefined) return true;
    if (layout.kind == ChunkIndexKind::kSingle) {
      Shape zero(sink_.rank());
      uint64_t length = layout.filtered ? layout.single_size : sink_.chunk_bytes();
      UPWELL_CHECK(sink_.add(zero, layout.address, length, layout.single_mask));
      return true;
    }
    return implicit(window.object_size());
  }
  std::unique_ptr<ChunkIndex> take() override { return sink_.take(); }

 private:
  Result<bool> implicit(uint64_t object_size) {
    const ChunkedLayout& layout = sink_.layout();
    UPWELL_TRY(Shape most, max_grid(layout));
    // The chunks are allocated early and all exist: places of the grid that the object cannot hold
    // are a lie.
    if (sink_.places() > object_size / std::max<uint64_t>(sink_.chunk_bytes(), 1)) {
      return fail(Code::kInvalidData,
                  fmt::format("implicit chunk index at offset {}: {} chunks of {} bytes do not fit",
                              sink_.facts().base_address + layout.address, sink_.places(),
                              sink_.chunk_bytes()));
    }
    Shape at(sink_.rank());
    for (uint64_t n = 0; n < sink_.places(); ++n) {
      uint64_t linear = 0;
      for (size_t d = 0; d < at.size(); ++d) linear = linear * most[d] + at[d];
      UPWELL_CHECK(
          sink_.add(at, layout.address + linear * sink_.chunk_bytes(), sink_.chunk_bytes(), 0));
      for (size_t d = at.size(); d-- > 0 && ++at[d] == sink_.grid()[d];) at[d] = 0;
    }
    return true;
  }

  ChunkSink sink_;
};

}  // namespace

Result<ChunkSink> ChunkSink::make(const FileFacts& facts, const ChunkedLayout& layout) {
  size_t rank = layout.shape.size();
  if (layout.chunk_shape.size() != rank || rank == 0 || layout.element_size == 0 ||
      (!layout.max_shape.empty() && layout.max_shape.size() != rank)) {
    return fail(Code::kInvalidData,
                fmt::format("chunked layout of rank {} for a dataset of rank {}, elements of {} "
                            "bytes",
                            layout.chunk_shape.size(), rank, layout.element_size));
  }
  ChunkSink sink;
  sink.facts_ = facts;
  sink.layout_ = layout;
  for (size_t d = 0; d < rank; ++d) {
    uint64_t chunk = layout.chunk_shape[d];
    if (chunk == 0) {
      return fail(Code::kInvalidData, fmt::format("chunk extent 0 along axis {}", d));
    }
    uint64_t whole = layout.shape[d] / chunk;
    sink.whole_.push_back(whole);
    sink.grid_.push_back(whole + (layout.shape[d] % chunk != 0 ? 1 : 0));
  }
  UPWELL_TRY(uint64_t elements, checked_product(layout.chunk_shape, "elements in a chunk"));
  uint64_t sizes[] = {elements, layout.element_size};
  UPWELL_TRY(sink.chunk_bytes_, checked_product(sizes, "bytes in a chunk"));
  UPWELL_TRY(sink.places_, checked_product(sink.grid_, "chunks in a dataset"));
  if (sink.places_ <= kAlwaysDense) {
    sink.dense_ = std::make_unique<DenseChunkIndex>(sink.places_);
  }
  return sink;
}

Result<> ChunkSink::add(std::span<const uint64_t> scaled, uint64_t address, uint64_t length,
                        uint32_t mask) {
  if (address == kUndefined) return {};
  uint64_t position = 0;
  bool edge = false;
  for (size_t d = 0; d < grid_.size(); ++d) {
    if (scaled[d] >= grid_[d]) return {};
    edge |= scaled[d] >= whole_[d];
    position = position * grid_[d] + scaled[d];
  }
  if (edge && layout_.skip_partial_edge_filters) mask = ~uint32_t{0};
  if (address > kUndefined - facts_.base_address) {
    return fail(Code::kInvalidData, fmt::format("chunk {} has the address {}", position, address));
  }
  uint64_t offset = facts_.base_address + address;
  if (dense_) {
    dense_->set(position, 0, offset, length, mask);
  } else {
    sparse_.push_back({position, offset, length, mask});
  }
  return {};
}

std::unique_ptr<ChunkIndex> ChunkSink::take() {
  if (dense_) return std::move(dense_);
  if (sparse_.size() >= places_ / 2) {
    auto dense = std::make_unique<DenseChunkIndex>(places_);
    for (const auto& e : sparse_) dense->set(e.position, 0, e.offset, e.length, e.mask);
    return dense;
  }
  auto index = std::make_unique<SparseChunkIndex>(places_);
  for (const Found& f : sparse_) index->set(f.position, 0, f.offset, f.length, f.mask);
  sparse_ = {};
  index->finish();
  return index;
}

Result<Shape> max_grid(const ChunkedLayout& layout) {
  const Shape& most = layout.max_shape.empty() ? layout.shape : layout.max_shape;
  Shape grid;
  for (size_t d = 0; d < most.size(); ++d) {
    if (most[d] != kUndefined && most[d] < layout.shape[d]) {
      return fail(Code::kInvalidData,
                  fmt::format("axis {} has extent {} but at most {}", d, layout.shape[d], most[d]));
    }
    uint64_t chunk = layout.chunk_shape[d];
    grid.push_back(most[d] == kUndefined ? kUndefined
                                         : most[d] / chunk + (most[d] % chunk != 0 ? 1 : 0));
  }
  return grid;
}

Result<std::unique_ptr<ChunkWalk>> walk_chunks(const FileFacts& facts,
                                               const ChunkedLayout& layout) {
  UPWELL_TRY(ChunkSink sink, ChunkSink::make(facts, layout));
  switch (layout.kind) {
    case ChunkIndexKind::kBtree1:
      return make_btree1_walk(std::move(sink));
    case ChunkIndexKind::kSingle:
    case ChunkIndexKind::kImplicit:
      return std::make_unique<UnindexedWalk>(std::move(sink));
    case ChunkIndexKind::kFixedArray:
      return make_fixed_array_walk(std::move(sink));
    case ChunkIndexKind::kExtensibleArray:
      return make_extensible_array_walk(std::move(sink));
    case ChunkIndexKind::kBtree2:
      return make_btree2_walk(std::move(sink));
  }
  return fail(Code::kInternal, "chunk index kind");
}

}  // namespace upwell::format::hdf5
