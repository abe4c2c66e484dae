#pragma once
// Encodings of levels and values (Apache Parquet, "Encodings"). Internal.

#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::parquet {

/// Bytes that are consumed from the front.
class ByteCursor {
 public:
  explicit ByteCursor(ByteSpan bytes) : bytes_(bytes) {}
  size_t left() const { return bytes_.size() - at_; }
  ByteSpan rest() const { return bytes_.subspan(at_); }
  Result<ByteSpan> take(uint64_t n);
  Result<uint64_t> varint();
  Result<int64_t> zigzag();

 private:
  ByteSpan bytes_;
  size_t at_ = 0;
};

/// The RLE / bit-packed hybrid: exactly `count` values of `width` (0 to 32) bits.
Result<std::vector<uint32_t>> decode_hybrid(ByteCursor& in, uint32_t width, uint64_t count);
Bytes encode_hybrid(std::span<const uint32_t> values, uint32_t width);

/// DELTA_BINARY_PACKED: exactly `count` values. Arithmetic wraps, as the format says.
Result<std::vector<int64_t>> decode_delta(ByteCursor& in, uint64_t count);

}  // namespace upwell::parquet
