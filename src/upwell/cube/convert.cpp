// Stored form to memory form and back, element by element type.

#include <fmt/core.h>

#include <algorithm>
#include <cmath>

#include "codec/byteswap.hpp"
#include "cube/values.hpp"

namespace upwell {
namespace {

void swap_elements(uint8_t* data, size_t size, size_t count) {
  codec::swap_bytes({data, size * count}, size);
}

/// The element's bytes as a little-endian number of up to 16 bytes.
struct WideBits {
  uint64_t low = 0, high = 0;
  uint64_t field(uint32_t position, uint32_t bits) const {
    if (bits == 0 || position >= 128) return 0;
    unsigned __int128 v = (static_cast<unsigned __int128>(high) << 64) | low;
    v >>= position;
    return bits >= 64 ? static_cast<uint64_t>(v)
                      : static_cast<uint64_t>(v) & ((uint64_t{1} << bits) - 1);
  }
};

WideBits little_endian_bits(const uint8_t* in, uint32_t size, ByteOrder order) {
  uint8_t bytes[16] = {};
  std::memcpy(bytes, in, size);
  if (order == ByteOrder::kBig) std::reverse(bytes, bytes + size);
  if (order == ByteOrder::kVax) {
    // 16-bit words run from the most significant to the least, each little-endian.
    for (uint32_t i = 0; i + 2 <= size / 2; i += 2) {
      std::swap(bytes[i], bytes[size - 2 - i]);
      std::swap(bytes[i + 1], bytes[size - 1 - i]);
    }
  }
  return {load_le<uint64_t>(bytes), load_le<uint64_t>(bytes + 8)};
}

uint64_t odd_integer(const DataType& type, const uint8_t* in) {
  WideBits bits = little_endian_bits(in, type.size, type.order);
  uint32_t offset = type.layout ? type.layout->offset : 0;
  uint32_t precision =
      type.layout && type.layout->precision > 0 ? type.layout->precision : type.size * 8;
  precision = std::min<uint32_t>(precision, 64);
  uint64_t v = bits.field(offset, precision);
  if (type.kind == Kind::kInt && precision < 64 && (v >> (precision - 1) & 1) != 0)
    v |= ~uint64_t{0} << precision;
  return v;
}

double odd_float(const DataType& type, const uint8_t* in) {
  const BitLayout& l = *type.layout;
  WideBits bits = little_endian_bits(in, type.size, type.order);
  bool negative = bits.field(l.sign_position, 1) != 0;
  uint64_t exponent = bits.field(l.exponent_position, l.exponent_size);
  uint64_t all_ones = l.exponent_size >= 64 ? ~uint64_t{0} : (uint64_t{1} << l.exponent_size) - 1;
  // More mantissa than 64 bits cannot matter to a double: keep the upper 64.
  uint32_t used = std::min<uint32_t>(l.mantissa_size, 64);
  uint64_t mantissa = bits.field(l.mantissa_position + l.mantissa_size - used, used);
  double fraction = std::ldexp(static_cast<double>(mantissa), -static_cast<int>(used));
  double magnitude = 0;
  auto bias = static_cast<int64_t>(l.exponent_bias);
  if (exponent == all_ones && l.mantissa_norm == 2) {
    bool infinite = mantissa == 0;
    magnitude = infinite ? INFINITY : std::nan("");
  } else if (l.mantissa_norm == 2) {
    int64_t e = exponent == 0 ? 1 - bias : static_cast<int64_t>(exponent) - bias;
    magnitude = std::ldexp((exponent == 0 ? 0.0 : 1.0) + fraction, static_cast<int>(e));
  } else {
    magnitude = std::ldexp(fraction * 2, static_cast<int>(static_cast<int64_t>(exponent) - bias));
  }
  return negative ? -magnitude : magnitude;
}

void store_native(uint8_t* out, uint32_t size, uint64_t v) { std::memcpy(out, &v, size); }

Result<> convert_odd_number(const DataType& type, ByteSpan in, size_t count, MutableByteSpan out) {
  if (type.size > 16) return fail(Code::kUnsupported, describe(type) + " is too wide");
  uint32_t size = memory_type(type).size;
  if (type.kind != Kind::kFloat && size > 8) {
    // Wider than any integer of ours: the bytes are kept, in native order.
    if (type.layout || type.order == ByteOrder::kVax)
      return fail(Code::kUnsupported, describe(type) + " is too wide");
    std::memcpy(out.data(), in.data(), count * size);
    if (type.order == ByteOrder::kBig) swap_elements(out.data(), size, count);
    return {};
  }
  for (size_t i = 0; i < count; ++i) {
    const uint8_t* source = in.data() + i * type.size;
    uint8_t* target = out.data() + i * size;
    if (type.kind == Kind::kFloat) {
      double v = odd_float(type, source);
      auto narrow = static_cast<float>(v);
      if (size == 4) {
        std::memcpy(target, &narrow, 4);
      } else {
        std::memcpy(target, &v, 8);
      }
    } else {
      store_native(target, size, odd_integer(type, source));
    }
  }
  return {};
}

bool is_plain_size(uint32_t size) { return size == 1 || size == 2 || size == 4 || size == 8; }

Result<> convert_compound(const DataType& type, ByteSpan in, size_t count, MutableByteSpan out) {
  DataType packed = memory_type(type);
  for (size_t m = 0; m < type.members.size(); ++m) {
    const Member& member = type.members[m];
    const Member& target = packed.members[m];
    for (size_t i = 0; i < count; ++i) {
      UPWELL_CHECK(to_memory(*member.type,
                             in.subspan(i * type.size + member.offset, member.type->size), 1,
                             out.subspan(i * packed.size + target.offset, target.type->size)));
    }
  }
  return {};
}

}  // namespace

Result<> to_memory(const DataType& stored, ByteSpan in, size_t count, MutableByteSpan out) {
  if (count == 0) return {};  // an empty span may have no address
  switch (stored.kind) {
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kBitfield:
    case Kind::kFloat:
      if (stored.layout || stored.order == ByteOrder::kVax || !is_plain_size(stored.size)) {
        if (stored.kind == Kind::kFloat && !stored.layout)
          return fail(Code::kUnsupported, describe(stored));
        return convert_odd_number(stored, in, count, out);
      }
      [[fallthrough]];
    case Kind::kDatetime:
    case Kind::kTimedelta:
      std::memcpy(out.data(), in.data(), count * stored.size);
      if (stored.order == ByteOrder::kBig) swap_elements(out.data(), stored.size, count);
      return {};
    case Kind::kComplex:
      std::memcpy(out.data(), in.data(), count * stored.size);
      if (stored.order == ByteOrder::kBig) swap_elements(out.data(), stored.size / 2, count * 2);
      return {};
    case Kind::kUnicode:
      std::memcpy(out.data(), in.data(), count * stored.size);
      if (stored.order == ByteOrder::kBig) swap_elements(out.data(), 4, count * stored.size / 4);
      return {};
    case Kind::kBool:
    case Kind::kString:
    case Kind::kOpaque:
    case Kind::kReference:
    case Kind::kRegionReference:
    case Kind::kTime:
      std::memcpy(out.data(), in.data(), count * stored.size);
      return {};
    case Kind::kEnum:
      return to_memory(*stored.base, in, count, out);
    case Kind::kArray:
      return to_memory(*stored.base, in, count * element_count(stored.dims), out);
    case Kind::kCompound:
      return convert_compound(stored, in, count, out);
    case Kind::kVlen:
    case Kind::kVlenString:
      break;
  }
  return fail(Code::kInternal, describe(stored) + " holds handles, not values");
}

Result<> from_memory(const DataType& stored, ByteSpan in, size_t count, MutableByteSpan out) {
  if (stored.kind == Kind::kCompound) {
    DataType packed = memory_type(stored);
    std::fill(out.begin(), out.end(), uint8_t{0});
    for (size_t m = 0; m < stored.members.size(); ++m) {
      const Member& target = stored.members[m];
      const Member& source = packed.members[m];
      for (size_t i = 0; i < count; ++i) {
        UPWELL_CHECK(from_memory(*target.type,
                                 in.subspan(i * packed.size + source.offset, source.type->size), 1,
                                 out.subspan(i * stored.size + target.offset, target.type->size)));
      }
    }
    return {};
  }
  if (stored.kind == Kind::kArray)
    return from_memory(*stored.base, in, count * element_count(stored.dims), out);
  if (stored.kind == Kind::kEnum) return from_memory(*stored.base, in, count, out);
  if (stored.has_vlen() || stored.layout || stored.order == ByteOrder::kVax) {
    return fail(Code::kUnsupported, "cannot write " + describe(stored));
  }
  // Swapping is its own inverse, so the plain kinds convert the same way in both directions.
  return to_memory(stored, in, count, out);
}

}  // namespace upwell
