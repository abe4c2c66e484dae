#pragma once
// The chunks of many granules as one chunk index, at 12 to 24 bytes a reference.

#include <memory>
#include <mutex>
#include <vector>

#include "cube/dataset.hpp"

namespace upwell::refs {

/// References of one array, granule after granule as they arrive. Memory is taken a page at a time,
/// where references are: what was never written takes none. Thread-safe to fill.
class ReferenceStore {
 public:
  /// Takes `count` places, all never written yet; gives the position of the first.
  uint64_t reserve(uint64_t count);
  /// Fills places from `position` on; granule numbers are already those of the result.
  void put(uint64_t position, std::span<const ChunkRef> refs);
  ChunkRef get(uint64_t position) const;
  /// See ChunkIndex; `end` when there is none before it.
  uint64_t next_stored(uint64_t position, uint64_t end) const;
  size_t memory() const;

 private:
  std::mutex mutex_;
  std::vector<std::unique_ptr<DenseChunkIndex>> pages_;  // null: nothing there
  uint64_t used_ = 0;
};

/// The references that one granule gave to one array.
struct Piece {
  uint64_t start = 0;         ///< in the store
  uint64_t chunks_along = 0;  ///< stored chunks along the concat axis
  uint64_t length = 0;        ///< elements along the concat axis
  bool whole = false;         ///< one unencoded chunk of just this piece
};

/// The chunk index of an array that lies in pieces along one axis. A view: costs 32 bytes a
/// granule.
class CombinedIndex : public ChunkIndex {
 public:
  struct Layout {
    size_t axis = 0;    ///< concat axis; ignored when there is one piece
    Shape stored_grid;  ///< of a piece, whatever stands at `axis`
    /// Not empty: each piece is one unencoded stored chunk of `piece_shape` (whatever stands at
    /// `axis`), read as chunks of this shape, of which each is one run of bytes.
    Shape cut;
    Shape piece_shape;
    uint64_t item_size = 0;
    bool masks = false;  ///< some chunk has a filter mask
  };

  /// `pieces` in cube order. `grid`: of the whole.
  CombinedIndex(std::shared_ptr<const ReferenceStore> store, std::vector<Piece> pieces,
                Layout layout, Shape grid);

  uint64_t size() const override { return size_; }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override;
  uint64_t next_stored(uint64_t position) const override;
  bool has_filter_masks() const override { return layout_.masks; }
  size_t memory() const override;

 private:
  ChunkRef get(uint64_t position) const;
  ChunkRef cut_of(const Piece& piece, const Shape& local) const;

  std::shared_ptr<const ReferenceStore> store_;
  std::vector<Piece> pieces_;
  std::vector<uint64_t> first_along_;  // first chunk of each piece along the axis
  Layout layout_;
  Shape grid_;
  uint64_t size_ = 0;
};

}  // namespace upwell::refs
