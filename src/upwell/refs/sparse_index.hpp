#pragma once
// Chunks of an array of which few exist.

#include <vector>

#include "cube/chunk_index.hpp"

namespace upwell::refs {

/// Memory grows with the chunks that exist, not with the grid: a document of a few bytes can claim
/// any grid.
class SparseChunkIndex : public ChunkIndex {
 public:
  explicit SparseChunkIndex(uint64_t size) : size_(size) {}

  void set(uint64_t position, uint32_t granule, uint64_t offset, uint64_t length);
  void set_inline(uint64_t position, Bytes bytes);
  /// Call once after the last set. Of two at one position the later stays.
  void finish();

  uint64_t size() const override { return size_; }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override;
  size_t memory() const override;

 private:
  struct Entry {
    uint64_t position;
    uint64_t offset;  // or index into inline_
    uint64_t length;
    uint32_t granule;
    bool is_inline;
  };
  uint64_t size_;
  std::vector<Entry> entries_;
  std::vector<SharedBytes> inline_;
};

}  // namespace upwell::refs
