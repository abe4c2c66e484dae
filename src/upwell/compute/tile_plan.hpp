#pragma once
// How the work of a reduction is cut: tiles of the result, and blocks of what goes into one.

#include <vector>

#include "cube/plan.hpp"

namespace upwell::compute {

/// The cut of one axis of a selection, in selected elements: part i is [bounds[i], bounds[i + 1]).
using AxisCut = std::vector<uint64_t>;

/// A grid of boxes over a selection. Along the axes that are kept they are the tiles of the result,
/// along those that are reduced the blocks of a tile. Boxes end where chunks do, and depend on the
/// array and the selection only.
class TilePlan {
 public:
  TilePlan(const Array& array, const CheckedSelection& selection, std::vector<bool> reduced);

  uint64_t tiles() const { return tiles_; }
  uint64_t blocks() const { return blocks_; }  ///< of each tile
  /// The part of the selection that block `block` of tile `tile` takes.
  Box unit(uint64_t tile, uint64_t block) const;
  /// The tile as a box of the result.
  Box tile(uint64_t tile) const;
  /// Extents of the largest tile, as a box of the result.
  Shape largest_tile() const;

 private:
  std::vector<bool> reduced_;
  std::vector<AxisCut> cuts_;
  uint64_t tiles_ = 1, blocks_ = 1;
};

}  // namespace upwell::compute
