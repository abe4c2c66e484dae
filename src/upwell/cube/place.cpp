#include "cube/place.hpp"

#include <algorithm>

namespace upwell {
namespace {

/// Calls row(from, to) for the first element of every run along the last axis.
template <typename Row>
void for_each_row(uint64_t from, uint64_t to, const Shape& from_strides, const Shape& to_strides,
                  const Shape& counts, const Row& row) {
  size_t outer = counts.empty() ? 0 : counts.size() - 1;
  Shape at(outer, 0);
  while (true) {
    row(from, to);
    size_t d = outer;
    while (d > 0) {
      --d;
      from += from_strides[d];
      to += to_strides[d];
      if (++at[d] < counts[d]) break;
      from -= from_strides[d] * counts[d];
      to -= to_strides[d] * counts[d];
      at[d] = 0;
      if (d == 0) return;
    }
    if (outer == 0) return;
  }
}

template <size_t kSize>
void copy_strided(const uint8_t* from, uint64_t from_stride, uint8_t* to, uint64_t to_stride,
                  uint64_t n) {
  for (uint64_t i = 0; i < n; ++i)
    std::memcpy(to + i * to_stride * kSize, from + i * from_stride * kSize, kSize);
}

void copy_run(const uint8_t* from, uint64_t from_stride, uint8_t* to, uint64_t to_stride,
              uint64_t n, size_t size) {
  if (from_stride == 1 && to_stride == 1) {
    std::memcpy(to, from, n * size);
    return;
  }
  switch (size) {
    case 1:
      return copy_strided<1>(from, from_stride, to, to_stride, n);
    case 2:
      return copy_strided<2>(from, from_stride, to, to_stride, n);
    case 4:
      return copy_strided<4>(from, from_stride, to, to_stride, n);
    case 8:
      return copy_strided<8>(from, from_stride, to, to_stride, n);
    default:
      for (uint64_t i = 0; i < n; ++i)
        std::memcpy(to + i * to_stride * size, from + i * from_stride * size, size);
  }
}

/// Joins trailing axes that are contiguous on both sides, so that rows are as long as they can be.
void merge_axes(Shape& from, Shape& to, Shape& counts) {
  while (counts.size() > 1) {
    size_t last = counts.size() - 1;
    bool contiguous = from[last] == 1 && to[last] == 1 && from[last - 1] == counts[last] &&
                      to[last - 1] == counts[last];
    if (!contiguous) return;
    counts[last - 1] *= counts[last];
    from[last - 1] = to[last - 1] = 1;
    counts.pop_back();
    from.pop_back();
    to.pop_back();
  }
}

}  // namespace

Shape c_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t d = shape.size(); d-- > 1;) strides[d - 1] = strides[d] * shape[d];
  return strides;
}

Shape fortran_strides(const Shape& shape) {
  Shape strides(shape.size(), 1);
  for (size_t d = 1; d < shape.size(); ++d) strides[d] = strides[d - 1] * shape[d - 1];
  return strides;
}

void copy_box(const StridedView<const uint8_t>& from, const StridedView<uint8_t>& to,
              const Shape& counts, size_t size) {
  if (element_count(counts) == 0) return;
  Shape n = counts, from_strides = from.strides, to_strides = to.strides;
  if (n.empty()) n = from_strides = to_strides = {1};
  merge_axes(from_strides, to_strides, n);
  for_each_row(from.start, to.start, from_strides, to_strides, n, [&](uint64_t f, uint64_t t) {
    copy_run(from.data + f * size, from_strides.back(), to.data + t * size, to_strides.back(),
             n.back(), size);
  });
}

void fill_all(ByteSpan element, MutableByteSpan out) {
  if (out.empty()) return;
  if (std::all_of(element.begin(), element.end(), [&](uint8_t b) { return b == element[0]; })) {
    std::memset(out.data(), element[0], out.size());
    return;
  }
  // Double the filled part until it is full.
  std::memcpy(out.data(), element.data(), element.size());
  for (size_t done = element.size(); done < out.size();) {
    size_t n = std::min(done, out.size() - done);
    std::memcpy(out.data() + done, out.data(), n);
    done += n;
  }
}

void fill_box(ByteSpan element, const StridedView<uint8_t>& to, const Shape& counts) {
  if (element_count(counts) == 0) return;
  Shape n = counts, strides = to.strides;
  if (n.empty()) n = strides = {1};
  Shape unused = strides;
  merge_axes(unused, strides, n);
  for_each_row(0, to.start, strides, strides, n, [&](uint64_t, uint64_t t) {
    uint8_t* row = to.data + t * element.size();
    if (strides.back() == 1) {
      fill_all(element, {row, n.back() * element.size()});
      return;
    }
    for (uint64_t i = 0; i < n.back(); ++i) {
      std::memcpy(row + i * strides.back() * element.size(), element.data(), element.size());
    }
  });
}

}  // namespace upwell
