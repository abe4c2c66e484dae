#include "refs/pieces.hpp"

#include <algorithm>

namespace upwell::refs {
namespace {

uint64_t bytes_of(const Array& array, const Shape& extent) {
  return element_count(extent) * std::max<uint64_t>(array.type.size, sizeof(VlenHandle) / 4);
}

Shape chunk_extent(const Array& array) {
  Shape out = array.chunk_shape.size() == array.shape.size() ? array.chunk_shape : array.shape;
  for (uint64_t& n : out) n = std::max<uint64_t>(n, 1);
  return out;
}

/// From the last axis on, so that pieces stay runs of chunks.
void grow(const Array& array, uint64_t bytes, Shape& extent) {
  for (size_t d = array.shape.size(); d-- > 0;) {
    const uint64_t times = std::min(grid_shape(array.shape, extent)[d],
                                    bytes / std::max<uint64_t>(bytes_of(array, extent), 1));
    if (times > 1) extent[d] *= times;
    if (extent[d] < array.shape[d]) break;
  }
}

Pieces pieces_of(const Array& array, Shape extent) {
  Pieces out;
  out.extent = std::move(extent);
  out.grid = grid_shape(array.shape, out.extent);
  out.count = element_count(array.shape) == 0 ? 0 : element_count(out.grid);
  return out;
}

bool has_codecs(const Array& array) {
  return std::any_of(array.segments.begin(), array.segments.end(),
                     [](const Segment& segment) { return !segment.layout->codecs.empty(); });
}

}  // namespace

Pieces Pieces::of(const Array& array, uint64_t bytes) {
  Shape extent = chunk_extent(array);
  grow(array, bytes, extent);
  return pieces_of(array, std::move(extent));
}

Pieces Pieces::of_both(const Array& a, const Array& b, uint64_t bytes) {
  const Shape ours = chunk_extent(a), theirs = chunk_extent(b);
  Shape extent(ours.size());
  for (size_t d = 0; d < extent.size(); ++d)
    extent[d] = std::min(std::max(ours[d], theirs[d]), std::max<uint64_t>(a.shape[d], 1));
  const Array& wider = a.type.size >= b.type.size ? a : b;
  const bool may_cut = !has_codecs(a) && !has_codecs(b);
  for (size_t d = 0; d < extent.size() && bytes_of(wider, extent) > bytes; ++d) {
    const uint64_t least = may_cut ? 1 : std::min(extent[d], std::min(ours[d], theirs[d]));
    const uint64_t row = std::max<uint64_t>(bytes_of(wider, extent) / extent[d], 1);
    extent[d] = std::clamp(bytes / row, least, extent[d]);
  }
  grow(wider, bytes, extent);
  return pieces_of(a, std::move(extent));
}

Selection Pieces::box(const Shape& shape, uint64_t number) const {
  Selection out;
  out.origin.resize(extent.size());
  out.shape.resize(extent.size());
  for (size_t d = extent.size(); d-- > 0;) {
    out.origin[d] = number % grid[d] * extent[d];
    out.shape[d] = std::min(extent[d], shape[d] - out.origin[d]);
    number /= grid[d];
  }
  return out;
}

}  // namespace upwell::refs
