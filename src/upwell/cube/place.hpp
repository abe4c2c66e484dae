#pragma once
// Strided copies between boxes: how decoded chunks find their place.

#include "cube/values.hpp"

namespace upwell {

/// Element strides of a C-order (or Fortran-order) block.
Shape c_strides(const Shape& shape);
Shape fortran_strides(const Shape& shape);

/// One side of a copy: where the first element is, and how far apart elements lie along each axis
/// (in elements).
template <typename Byte>
struct StridedView {
  Byte* data = nullptr;
  uint64_t start = 0;
  Shape strides;
};

/// Copies `counts` elements of `size` bytes along each axis.
void copy_box(const StridedView<const uint8_t>& from, const StridedView<uint8_t>& to,
              const Shape& counts, size_t size);
/// Writes one element everywhere.
void fill_box(ByteSpan element, const StridedView<uint8_t>& to, const Shape& counts);
/// Fills contiguous memory with copies of one element. out.size() is a multiple of element.size().
void fill_all(ByteSpan element, MutableByteSpan out);

}  // namespace upwell
