#pragma once
// Bits, the highest of each byte first.

#include "base/bytes.hpp"

namespace upwell::codec {

class BitReader {
 public:
  explicit BitReader(ByteSpan in) : in_(in) {}

  bool has(uint64_t bits) const { return bits <= in_.size() * uint64_t{8} - position_; }
  uint64_t position() const { return position_; }

  /// The next 1 to 64 bits as a number. The caller has checked `has`.
  uint64_t read(unsigned bits) {
    const size_t byte = position_ / 8;
    const unsigned skipped = position_ % 8;
    position_ += bits;
    if (byte + 9 <= in_.size()) {
      uint64_t value = load_be<uint64_t>(in_.data() + byte) << skipped;
      if (skipped > 0) value |= in_[byte + 8] >> (8 - skipped);
      return value >> (64 - bits);
    }
    uint64_t value = 0;
    for (uint64_t at = position_ - bits; at < position_; ++at) {
      value = value << 1 | (in_[at / 8] >> (7 - at % 8) & 1U);
    }
    return value;
  }

 private:
  ByteSpan in_;
  uint64_t position_ = 0;
};

}  // namespace upwell::codec
