// HDF5 filter 5: n-bit. Only the significant bits of each number are stored; the client data
// describe the data type, nested as it is.

#include <fmt/format.h>

#include "codec/bit_reader.hpp"
#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

constexpr size_t kMaxNbitDepth = 64;

// A node of the type tree.
struct NbitType {
  enum class Kind { kAtomic = 1, kArray = 2, kCompound = 3, kNoOp = 4 };
  Kind kind = Kind::kNoOp;
  size_t size = 0;
  size_t offset = 0;  // in the enclosing compound
  // Atomic:
  bool big_endian = false;
  unsigned precision = 0;
  unsigned shift = 0;
  // Array: its element. Compound: its members.
  std::vector<NbitType> parts;
};

class NbitTypeParser {
 public:
  NbitTypeParser(const Params& params, std::span<const uint32_t> values)
      : params_(params), values_(values) {}

  Result<NbitType> parse() { return parse_type(0); }

 private:
  Result<uint32_t> next() {
    if (at_ == values_.size()) return params_.bad("client data end inside the type");
    return values_[at_++];
  }

  Result<NbitType> parse_type(size_t depth) {
    if (depth > kMaxNbitDepth) return params_.bad("types nested too deep");
    NbitType type;
    UPWELL_TRY(const uint32_t kind, next());
    UPWELL_TRY(type.size, next());
    if (kind < 1 || kind > 4) return params_.bad(fmt::format("type class {}", kind));
    if (type.size == 0) return params_.bad("a type of no bytes");
    type.kind = static_cast<NbitType::Kind>(kind);
    switch (type.kind) {
      case NbitType::Kind::kAtomic:
        UPWELL_CHECK(parse_atomic(type));
        break;
      case NbitType::Kind::kArray: {
        UPWELL_TRY(auto element, parse_type(depth + 1));
        if (element.kind == NbitType::Kind::kNoOp) element.size = type.size;
        if (element.size > type.size) return params_.bad("an element larger than its array");
        type.parts.push_back(std::move(element));
        break;
      }
      case NbitType::Kind::kCompound:
        UPWELL_CHECK(parse_compound(type, depth));
        break;
      case NbitType::Kind::kNoOp:
        break;
    }
    return type;
  }

  Result<> parse_atomic(NbitType& type) {
    UPWELL_TRY(const uint32_t order, next());
    UPWELL_TRY(type.precision, next());
    UPWELL_TRY(type.shift, next());
    if (order > 1) return params_.bad(fmt::format("byte order {}", order));
    type.big_endian = order == 1;
    const uint64_t bits = uint64_t{type.size} * 8;
    if (type.precision == 0 || uint64_t{type.precision} + type.shift > bits) {
      return params_.bad(
          fmt::format("{} bits at bit {} of {} bytes", type.precision, type.shift, type.size));
    }
    return {};
  }

  Result<> parse_compound(NbitType& type, size_t depth) {
    UPWELL_TRY(const uint32_t members, next());
    size_t used = 0;
    for (uint32_t i = 0; i < members; ++i) {
      UPWELL_TRY(const uint32_t offset, next());
      UPWELL_TRY(auto member, parse_type(depth + 1));
      member.offset = offset;
      used += member.size;
      if (used > type.size || offset + member.size > type.size) {
        return params_.bad("members larger than their compound");
      }
      type.parts.push_back(std::move(member));
    }
    return {};
  }

  const Params& params_;
  std::span<const uint32_t> values_;
  size_t at_ = 0;
};

class NbitCodec : public BufferCodec {
 public:
  NbitCodec(size_t count, NbitType type)
      : BufferCodec("hdf5_nbit"), count_(count), type_(std::move(type)) {}
  size_t encoded_bound(size_t decoded) const override { return add_saturated(decoded, 16); }

 protected:
  Result<size_t> decoded_size(ByteSpan) const override {
    return multiply_saturated(count_, type_.size);
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    const size_t size = multiply_saturated(count_, type_.size);
    if (size > out.size()) return kDoesNotFit;
    if (size > 0) std::memset(out.data(), 0, size);
    BitReader bits(in);
    for (size_t i = 0; i < count_; ++i) {
      if (!unpack(type_, bits, out.data() + i * type_.size)) {
        return bad(fmt::format("{} bytes end inside element {} of {}", in.size(), i, count_));
      }
    }
    return size;
  }

 private:
  // False when the bits are used up.
  static bool unpack(const NbitType& type, BitReader& bits, uint8_t* out) {
    switch (type.kind) {
      case NbitType::Kind::kAtomic:
        return unpack_atomic(type, bits, out);
      case NbitType::Kind::kNoOp:
        if (!bits.has(uint64_t{type.size} * 8)) return false;
        for (size_t i = 0; i < type.size; ++i) out[i] = static_cast<uint8_t>(bits.read(8));
        return true;
      case NbitType::Kind::kArray: {
        const NbitType& element = type.parts.front();
        for (size_t i = 0; i < type.size / element.size; ++i) {
          if (!unpack(element, bits, out + i * element.size)) return false;
        }
        return true;
      }
      case NbitType::Kind::kCompound:
        for (const NbitType& member : type.parts) {
          if (!unpack(member, bits, out + member.offset)) return false;
        }
        return true;
    }
    return false;
  }

  // The bits come highest first; they go byte by byte to their places in the number.
  static bool unpack_atomic(const NbitType& type, BitReader& bits, uint8_t* out) {
    if (!bits.has(type.precision)) return false;
    if (type.size <= 8) {
      store_number(type, bits.read(type.precision) << type.shift, out);
      return true;
    }
    for (size_t top = size_t{type.shift} + type.precision; top > type.shift;) {
      const size_t byte = (top - 1) / 8;
      const size_t low = std::max<size_t>(byte * 8, type.shift);
      const auto piece = bits.read(static_cast<unsigned>(top - low)) << (low - byte * 8);
      out[type.big_endian ? type.size - 1 - byte : byte] = static_cast<uint8_t>(piece);
      top = low;
    }
    return true;
  }

  static void store_number(const NbitType& type, uint64_t value, uint8_t* out) {
    for (size_t i = 0; i < type.size; ++i) {
      out[type.big_endian ? type.size - 1 - i : i] = static_cast<uint8_t>(value >> (8 * i));
    }
  }

  size_t count_;
  NbitType type_;
};

class NoOpCodec : public Codec {
 public:
  Result<ByteSpan> decode_view(ByteSpan in, size_t limit, Bytes&) const override {
    if (in.size() <= limit) return in;
    return fail(Code::kInvalidData, fmt::format("{} bytes instead of {}", in.size(), limit));
  }
  Result<> decode(ByteSpan in, size_t limit, Bytes& out) const override {
    UPWELL_TRY(const ByteSpan view, decode_view(in, limit, out));
    out.assign(view.begin(), view.end());
    return {};
  }
  size_t encoded_bound(size_t decoded) const override { return decoded; }
};

}  // namespace

std::shared_ptr<const Codec> make_no_op() { return std::make_shared<NoOpCodec>(); }

CodecResult make_hdf5_nbit(const Params& params, size_t) {
  UPWELL_TRY(const auto values, params.cd_values(3));
  if (values[1] != 0) return make_no_op();
  NbitTypeParser parser(params, std::span(values).subspan(3));
  UPWELL_TRY(auto type, parser.parse());
  return std::make_shared<NbitCodec>(values[2], std::move(type));
}

}  // namespace upwell::codec
