#include "compute/tile_plan.hpp"

#include <algorithm>

namespace upwell::compute {
namespace {

/// Chunks along the reduced axes that make a block. Within one, sums are plain sums of doubles; so
/// few that those stay exact to some last bits, so many that adding blocks up costs nothing.
constexpr uint64_t kBlockChunks = 32;
/// Smaller work costs more to plan than to do.
constexpr uint64_t kLeastElements = 1 << 16;
/// Boxes of arrays that are stored without codecs need not be whole chunks.
constexpr uint64_t kMostElements = 1 << 20;
constexpr uint64_t kMostCells = 1 << 17;
/// Counts within a block have 32 bits.
constexpr uint64_t kMostOfCell = 1ULL << 31;

/// Elements of a selection's axis, cut where its elements pass a multiple of `extent`.
AxisCut cut_axis(uint64_t origin, uint64_t n, uint64_t step, uint64_t extent) {
  AxisCut cut{0};
  while (cut.back() < n) {
    const uint64_t at = origin + cut.back() * step;
    const uint64_t end = (at / extent + 1) * extent;
    cut.push_back(std::min(n, cut.back() + (end - at + step - 1) / step));
  }
  return cut;
}

/// Elements that a box of such extents takes of a selection.
uint64_t selected_elements(const Shape& extents, const CheckedSelection& selection) {
  uint64_t elements = 1;
  for (size_t d = 0; d < extents.size(); ++d)
    elements *= std::min(selection.shape[d], (extents[d] - 1) / selection.step[d] + 1);
  return elements;
}

}  // namespace

Shape chunk_extents(const Array& array) {
  Shape extents = array.segments.empty() ? array.shape : Shape(array.shape.size(), 1);
  for (const Segment& segment : array.segments) {
    for (size_t d = 0; d < extents.size(); ++d)
      extents[d] = std::max(extents[d], segment.layout->chunk_shape[d]);
  }
  for (size_t d = 0; d < extents.size(); ++d)
    extents[d] = std::clamp<uint64_t>(extents[d], 1, std::max<uint64_t>(array.shape[d], 1));
  return extents;
}

bool is_plain(const Array& array) {
  return std::all_of(array.segments.begin(), array.segments.end(),
                     [](const Segment& s) { return s.layout->codecs.empty(); });
}

/// Makes a chunk that may be read in parts small: cells first, then what goes into them, so that
/// the last axes, along which elements lie together, stay long.
void TilePlan::cut_plain(Shape& extents) const {
  for (const bool reduced : {false, true}) {
    for (size_t d = 0; d < extents.size(); ++d) {
      if (reduced_[d] != reduced) continue;
      uint64_t now = 1;
      for (size_t i = 0; i < extents.size(); ++i)
        if (reduced || !reduced_[i]) now *= extents[i];
      const uint64_t most = reduced ? kMostElements : kMostCells;
      if (now > most) extents[d] = std::max<uint64_t>(1, most / (now / extents[d]));
    }
  }
}

/// Tiles of so many cells, each with all that goes into them.
void TilePlan::cut_cells(const Array& array, Shape& extents, uint64_t most) const {
  uint64_t cells = 1;
  for (size_t d = 0; d < extents.size(); ++d) {
    if (reduced_[d])
      extents[d] = std::max<uint64_t>(array.shape[d], 1);
    else
      cells *= extents[d];
  }
  for (size_t d = 0; d < extents.size(); ++d) {
    if (reduced_[d] || cells <= most) continue;
    const uint64_t others = cells / extents[d];
    extents[d] = std::max<uint64_t>(1, most / others);
    cells = others * extents[d];
  }
  grow(array, extents, most);
}

/// Joins small chunks of the result, of as many cells at most.
void TilePlan::grow(const Array& array, Shape& extents, uint64_t most_cells) const {
  uint64_t cells = 1;
  for (size_t d = 0; d < extents.size(); ++d) cells *= reduced_[d] ? 1 : extents[d];
  for (size_t d = extents.size(); d-- > 0;) {
    const uint64_t elements = element_count(extents);
    if (reduced_[d] || elements >= kLeastElements) continue;
    const uint64_t grid = (array.shape[d] + extents[d] - 1) / extents[d];
    const uint64_t taken =
        std::max<uint64_t>(std::min({kLeastElements / elements, most_cells / cells, grid}), 1);
    extents[d] *= taken;
    cells *= taken;
  }
}

void TilePlan::cut_blocks(const Array& array, const CheckedSelection& selection, Shape& extents,
                          const TileLimits& limits) const {
  uint64_t chunks = 1, of_cell = 1;
  for (size_t d = 0; d < extents.size(); ++d) {
    if (!reduced_[d]) continue;
    extents[d] = std::min(extents[d], std::max<uint64_t>(kMostOfCell / of_cell, 1));
    of_cell *= extents[d];
  }
  // Blocks grow along the last reduced axis first: those chunks lie together.
  for (size_t d = extents.size(); d-- > 0;) {
    if (!reduced_[d]) continue;
    const uint64_t grid = (array.shape[d] + extents[d] - 1) / extents[d];
    uint64_t most = std::min(kBlockChunks / chunks, kMostOfCell / of_cell);
    if (limits.elements > 0)
      most = std::min(most, limits.elements / selected_elements(extents, selection));
    const uint64_t taken = std::clamp<uint64_t>(grid, 1, std::max<uint64_t>(most, 1));
    extents[d] *= taken;
    of_cell *= taken;
    chunks *= taken;
  }
}

TilePlan::TilePlan(const Array& array, const CheckedSelection& selection,
                   const Reduction& reduction, const TileLimits& limits)
    : reduced_(reduction.reduced), group_axis_(reduced_.size()) {
  if (reduction.groups) {
    group_axis_ = reduction.groups->axis;
    groups_ = reduction.groups->count;
  }
  const size_t rank = selection.shape.size();
  Shape extents = chunk_extents(array);
  if (limits.cells > 0) {
    cut_cells(array, extents, limits.cells);
  } else {
    if (is_plain(array)) cut_plain(extents);
    cut_blocks(array, selection, extents, limits);
    grow(array, extents, UINT64_MAX);
  }
  for (size_t d = 0; d < rank; ++d) {
    cuts_.push_back(
        cut_axis(selection.origin[d], selection.shape[d], selection.step[d], extents[d]));
    (reduced_[d] ? blocks_ : tiles_) *= cuts_.back().size() - 1;
  }
}

Box TilePlan::unit(uint64_t tile, uint64_t block) const {
  Box box{Shape(cuts_.size()), Shape(cuts_.size())};
  for (size_t d = cuts_.size(); d-- > 0;) {
    uint64_t& number = reduced_[d] ? block : tile;
    const uint64_t parts = cuts_[d].size() - 1;
    const uint64_t part = number % parts;
    number /= parts;
    box.origin[d] = cuts_[d][part];
    box.shape[d] = cuts_[d][part + 1] - cuts_[d][part];
  }
  return box;
}

Box TilePlan::tile(uint64_t tile) const {
  const Box whole = unit(tile, 0);
  Box box;
  for (size_t d = 0; d < cuts_.size(); ++d) {
    if (reduced_[d] && d != group_axis_) continue;
    box.origin.push_back(d == group_axis_ ? 0 : whole.origin[d]);
    box.shape.push_back(d == group_axis_ ? groups_ : whole.shape[d]);
  }
  return box;
}

Shape TilePlan::largest_unit() const {
  Shape shape;
  for (const AxisCut& cut : cuts_) {
    uint64_t largest = 0;
    for (size_t i = 1; i < cut.size(); ++i) largest = std::max(largest, cut[i] - cut[i - 1]);
    shape.push_back(largest);
  }
  return shape;
}

Shape TilePlan::largest_tile() const {
  const Shape unit = largest_unit();
  Shape shape;
  for (size_t d = 0; d < cuts_.size(); ++d) {
    if (d == group_axis_)
      shape.push_back(groups_);
    else if (!reduced_[d])
      shape.push_back(unit[d]);
  }
  return shape;
}

}  // namespace upwell::compute
