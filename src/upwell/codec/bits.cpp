// numcodecs' filters on bits: bitround (mantissas cut, nothing to undo) and packbits (booleans, 8
// to a byte).

#include <fmt/format.h>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

// Rounds to nearest, ties to even, keeping `keep` of the mantissa's bits.
template <typename Int>
void round_mantissas(ByteSpan in, unsigned mantissa, unsigned keep, uint8_t* out) {
  const unsigned cut = mantissa - keep;
  const auto half = static_cast<Int>((Int{1} << (cut - 1)) - 1);
  const auto mask = static_cast<Int>(static_cast<Int>(~Int{0} >> cut) << cut);
  for (size_t i = 0; i < in.size() / sizeof(Int); ++i) {
    const auto bits = load_le<Int>(in.data() + i * sizeof(Int));
    const auto last_kept = static_cast<Int>(bits >> cut & 1U);
    store_le<Int>(out + i * sizeof(Int), static_cast<Int>((bits + last_kept + half) & mask));
  }
}

class BitroundCodec : public Codec {
 public:
  BitroundCodec(unsigned keep, size_t item_size) : keep_(keep), item_size_(item_size) {}

  Result<ByteSpan> decode_view(ByteSpan in, size_t limit, Bytes&) const override {
    if (in.size() <= limit) return in;
    return fail(Code::kInvalidData,
                fmt::format("bitround: {} bytes instead of {}", in.size(), limit));
  }
  Result<> decode(ByteSpan in, size_t limit, Bytes& out) const override {
    UPWELL_TRY(const ByteSpan view, decode_view(in, limit, out));
    out.assign(view.begin(), view.end());
    return {};
  }

  /// Little-endian floating point of 2, 4 or 8 bytes.
  Result<> encode(ByteSpan in, Bytes& out) const override {
    const unsigned mantissa = item_size_ == 2 ? 10 : (item_size_ == 4 ? 23 : 52);
    const bool floats = item_size_ == 2 || item_size_ == 4 || item_size_ == 8;
    if (!floats || in.size() % item_size_ != 0 || keep_ > mantissa) {
      return fail(Code::kInvalidArgument,
                  fmt::format("bitround: keep {} bits of elements of {} bytes", keep_, item_size_));
    }
    out.assign(in.begin(), in.end());
    if (keep_ == mantissa) return {};
    if (item_size_ == 2) round_mantissas<uint16_t>(in, mantissa, keep_, out.data());
    if (item_size_ == 4) round_mantissas<uint32_t>(in, mantissa, keep_, out.data());
    if (item_size_ == 8) round_mantissas<uint64_t>(in, mantissa, keep_, out.data());
    return {};
  }

  size_t encoded_bound(size_t decoded) const override { return decoded; }

 private:
  unsigned keep_;
  size_t item_size_;
};

// One byte that counts the padding bits, then the booleans, the first in the highest bit.
class PackbitsCodec : public BufferCodec {
 public:
  PackbitsCodec() : BufferCodec("packbits") {}

  Result<> encode(ByteSpan in, Bytes& out) const override {
    const size_t bytes = (in.size() + 7) / 8;
    out.assign(bytes + 1, 0);
    out[0] = static_cast<uint8_t>(bytes * 8 - in.size());
    for (size_t i = 0; i < in.size(); ++i) {
      if (in[i] != 0) out[1 + i / 8] |= static_cast<uint8_t>(0x80U >> (i % 8));
    }
    return {};
  }
  size_t encoded_bound(size_t decoded) const override { return decoded / 8 + 2; }

 protected:
  Result<size_t> decoded_size(ByteSpan in) const override {
    if (in.empty()) return bad("empty input");
    const size_t bits = multiply_saturated(in.size() - 1, 8);
    if (in[0] > 7 || in[0] > bits) return bad(fmt::format("{} padding bits", in[0]));
    return bits - in[0];
  }
  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    UPWELL_TRY(const size_t size, decoded_size(in));
    if (size > out.size()) return kDoesNotFit;
    for (size_t i = 0; i < size; ++i) out[i] = in[1 + i / 8] >> (7 - i % 8) & 1U;
    return size;
  }
};

}  // namespace

CodecResult make_bitround(const Params& params, size_t item_size) {
  UPWELL_TRY(const int64_t keep, params.integer("keepbits", std::nullopt, 0, 52));
  return std::make_shared<BitroundCodec>(static_cast<unsigned>(keep), item_size);
}

CodecResult make_packbits(const Params&, size_t) { return std::make_shared<PackbitsCodec>(); }

}  // namespace upwell::codec
