#pragma once
// CF packing (CF conventions 8.1) over whole buffers: stored * scale_factor + add_offset, fill to
// NaN.

#include <optional>
#include <span>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::codec {

/// Native byte order.
enum class NumberType {
  kInt8,
  kUint8,
  kInt16,
  kUint16,
  kInt32,
  kUint32,
  kInt64,
  kUint64,
  kFloat32,
  kFloat64
};

struct Unpacking {
  std::optional<double> scale;
  std::optional<double> offset;
  /// Bits of the values that stand for nothing (_FillValue, missing_value), as stored, in the low
  /// bits. Floating-point ones are compared by value. At most 8.
  std::span<const uint64_t> fills;
};

/// `out[i]` = NaN where `in[i]` is a fill, else `in[i]` converted to the type of `out`, times
/// scale, plus offset; each step rounded to that type, as numpy does it. `in` needs no alignment
/// and holds out.size() numbers; no overlap. kInvalidArgument when it holds fewer, or with too many
/// fills.
Result<> unpack(NumberType type, ByteSpan in, const Unpacking& unpacking, std::span<float> out);
Result<> unpack(NumberType type, ByteSpan in, const Unpacking& unpacking, std::span<double> out);

size_t size_of(NumberType type);

struct IntegerTotals {
  uint64_t count = 0;  ///< of elements that are not the fill
  int64_t sum = 0;
  int64_t min = INT64_MAX, max = INT64_MIN;  ///< so when count is 0
};
/// Adds up integers of at most four bytes, 2^30 of them at most, without those that equal the low
/// bits of `fill`. `in` needs no alignment; bytes after its last whole number are left out.
IntegerTotals add_up_integers(NumberType type, ByteSpan in, std::optional<uint64_t> fill);

}  // namespace upwell::codec
