#pragma once
// Arrays as numpy keeps them in .npy files and in pickles: the types that mapping factors are made
// of.

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::produce {

/// Kind and size of one element, as numpy's "<f8".
struct ElementType {
  char kind = 0;     ///< 'b' boolean, 'i', 'u', 'f', 'S' bytes
  size_t size = 0;   ///< bytes of one element
  bool big = false;  ///< big endian
  bool operator==(const ElementType&) const = default;
};

/// kUnsupported unless `text` names a boolean, an integer of 1 to 8 bytes, a float of 4 or 8, or
/// fixed bytes ("|b1", "<i4", ">f8", "|S3"; without a byte order: little endian).
Result<ElementType> parse_element_type(std::string_view text);

/// A view of an array; its owner must outlive it. In C order.
struct NpyArray {
  ElementType type;
  std::vector<uint64_t> shape;
  ByteSpan data;  ///< exactly shape × type.size

  uint64_t size() const;
  /// Any boolean, integer or float array as the wanted type; kInvalidData names the first element
  /// that it cannot hold (a fraction, a negative, too large).
  Result<std::vector<double>> as_doubles() const;
  Result<std::vector<uint32_t>> as_uint32() const;
};

/// Product of the sizes; kInvalidData when it is above `limit`.
Result<uint64_t> element_count(std::span<const uint64_t> shape, uint64_t limit);

/// A .npy file, format versions 1 to 3 (numpy/lib/format.py). kInvalidData for a broken header and
/// for a size that disagrees with it, kUnsupported for other types and for Fortran order of more
/// than one dimension.
Result<NpyArray> parse_npy(ByteSpan file);

/// Header of a version 1 file, padded so that the data begins at a multiple of 64.
std::string npy_header(std::string_view type, std::span<const uint64_t> shape);

}  // namespace upwell::produce
