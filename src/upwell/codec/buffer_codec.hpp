#pragma once
// What the compressors have in common: they write into a buffer that is given to them.

#include "codec/codec.hpp"

namespace upwell::codec {

/// `a + b` and `a * b` that stop at SIZE_MAX, for bounds.
inline size_t add_saturated(size_t a, size_t b) {
  size_t sum = 0;
  return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}
inline size_t multiply_saturated(size_t a, size_t b) {
  size_t product = 0;
  return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

/// A compressor never makes `decoded` bytes much longer; generous, since writers differ in how they
/// frame what does not compress.
inline size_t compressor_bound(size_t decoded) {
  return add_saturated(decoded, decoded / 4 + 65536);
}

/// A codec that decodes into a given buffer.
class BufferCodec : public Codec {
 public:
  /// `name` is used in messages.
  explicit BufferCodec(std::string name) : name_(std::move(name)) {}
  const std::string& name() const { return name_; }

  Result<> decode(ByteSpan in, size_t limit, Bytes& out) const override;
  Result<> decode_into(ByteSpan in, MutableByteSpan out) const override;
  size_t encoded_bound(size_t decoded) const override { return compressor_bound(decoded); }

 protected:
  static constexpr size_t kDoesNotFit = SIZE_MAX;
  /// Writes the decoded bytes to the front of `out` and returns how many, or kDoesNotFit.
  virtual Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const = 0;
  /// The decoded size or an upper bound of it, where the bytes say so; SIZE_MAX otherwise.
  virtual Result<size_t> decoded_size(ByteSpan in) const;
  tl::unexpected<Error> bad(const std::string& message) const;
  tl::unexpected<Error> too_long(size_t limit) const;

 private:
  std::string name_;
};

}  // namespace upwell::codec
