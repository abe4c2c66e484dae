#pragma once
// What the walks of all chunk indexes share: the grid, and where found chunks are put. Internal to
// chunk_walk*.cpp.

#include <memory>
#include <span>
#include <vector>

#include "format/hdf5/chunk_walk.hpp"

namespace upwell::format::hdf5 {

/// The grid of a dataset and the chunks found so far.
class ChunkSink {
 public:
  static Result<ChunkSink> make(const FileFacts& facts, const ChunkedLayout& layout);

  const ChunkedLayout& layout() const { return layout_; }
  const FileFacts& facts() const { return facts_; }
  const Shape& grid() const { return grid_; }
  size_t rank() const { return grid_.size(); }
  uint64_t chunk_bytes() const { return chunk_bytes_; }
  /// No place in the grid: nothing to walk.
  bool nothing() const { return places_ == 0; }
  uint64_t places() const { return places_; }

  /// A chunk by its coordinates in the grid. Undefined address: never written. Outside: skipped.
  Result<> add(std::span<const uint64_t> scaled, uint64_t address, uint64_t length, uint32_t mask);
  std::unique_ptr<ChunkIndex> take();

 private:
  FileFacts facts_;
  ChunkedLayout layout_;
  Shape grid_;
  Shape whole_;  // chunks along each axis that lie inside entirely
  uint64_t places_ = 0;
  uint64_t chunk_bytes_ = 0;
  std::unique_ptr<DenseChunkIndex> dense_;  // null: too many places to believe
  /// Until the chunks are known: extents are only a claim.
  struct Found {
    uint64_t position, offset, length;
    uint32_t mask;
  };
  std::vector<Found> sparse_;
};

/// Chunks along each axis when the dataset is as large as it may become; kUndefined: unlimited.
Result<Shape> max_grid(const ChunkedLayout& layout);

std::unique_ptr<ChunkWalk> make_btree1_walk(ChunkSink sink);
std::unique_ptr<ChunkWalk> make_btree2_walk(ChunkSink sink);
Result<std::unique_ptr<ChunkWalk>> make_fixed_array_walk(ChunkSink sink);
Result<std::unique_ptr<ChunkWalk>> make_extensible_array_walk(ChunkSink sink);

}  // namespace upwell::format::hdf5
