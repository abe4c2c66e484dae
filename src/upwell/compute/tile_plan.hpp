#pragma once
// How the work of a reduction is cut: tiles of the result, and blocks of what goes into one.

#include <vector>

#include "compute/reduce.hpp"
#include "cube/plan.hpp"

namespace upwell::compute {

/// The cut of one axis of a selection, in selected elements: part i is [bounds[i], bounds[i + 1]).
using AxisCut = std::vector<uint64_t>;

/// What a box may be at most; 0: whatever it comes to. A chunk is cut for `cells` only.
struct TileLimits {
  uint64_t elements = 0;  ///< of a box
  uint64_t cells = 0;     ///< of a tile, which is then one block: all of its values are kept
};

/// The extents by which an array's segments are chunked, the largest along each axis: then no chunk
/// of a segment is decoded for more than a few boxes, whatever the others are like.
Shape chunk_extents(const Array& array);

/// Whether no part of the array is encoded: boxes of it can be read that are no whole chunks.
bool is_plain(const Array& array);

/// Accumulators of a tile that a core needs at once: of blocks some wait for those before them.
constexpr uint64_t accumulators_of(uint64_t blocks) { return blocks > 1 ? 3 : 1; }

/// A grid of boxes over a selection. Along the axes that are kept they are the tiles of the result,
/// along those that are reduced the blocks of a tile. Boxes end where chunks do, and depend on the
/// array and the selection only (and on the limit of cells, where there is one). An axis of groups
/// is whole in every tile.
class TilePlan {
 public:
  TilePlan(const Array& array, const CheckedSelection& selection, const Reduction& reduction,
           const TileLimits& limits);

  uint64_t tiles() const { return tiles_; }
  uint64_t blocks() const { return blocks_; }  ///< of each tile
  /// The part of the selection that block `block` of tile `tile` takes.
  Box unit(uint64_t tile, uint64_t block) const;
  /// The tile as a box of the result.
  Box tile(uint64_t tile) const;
  /// Extents of the largest tile, as a box of the result.
  Shape largest_tile() const;
  /// Extents of the largest box of the selection.
  Shape largest_unit() const;

 private:
  void cut_plain(Shape& extents) const;
  void grow(const Array& array, Shape& extents, uint64_t most_cells) const;
  void cut_cells(const Array& array, Shape& extents, uint64_t most) const;
  void cut_blocks(const Array& array, const CheckedSelection& selection, Shape& extents,
                  const TileLimits& limits) const;

  std::vector<bool> reduced_;
  size_t group_axis_;  // the rank: none
  uint64_t groups_ = 0;
  std::vector<AxisCut> cuts_;
  uint64_t tiles_ = 1, blocks_ = 1;
};

}  // namespace upwell::compute
