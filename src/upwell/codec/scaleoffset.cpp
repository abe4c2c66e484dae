// HDF5 filter 6: scale-offset. Numbers less their minimum, in as few bits as they need; floating
// point after scaling by a power of ten. The highest code stands for the fill value.

#include <fmt/format.h>

#include <cmath>

#include "codec/bit_reader.hpp"
#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

struct ScaleOffsetParameters {
  int32_t scale_factor = 0;
  size_t count = 0;
  bool floating = false;
  size_t size = 0;
  bool is_signed = false;
  bool big_endian = false;
  bool has_fill = false;
  uint64_t fill = 0;  // the bits of the fill value
};

// minbits as u32, size of minimum, minimum in up to 16 bytes.
constexpr size_t kScaleOffsetHeader = 21;

class ScaleOffsetCodec : public BufferCodec {
 public:
  explicit ScaleOffsetCodec(const ScaleOffsetParameters& p)
      : BufferCodec("hdf5_scaleoffset"), p_(p) {}
  size_t encoded_bound(size_t decoded) const override {
    return add_saturated(decoded, kScaleOffsetHeader + 1);
  }

 protected:
  Result<size_t> decoded_size(ByteSpan) const override {
    return multiply_saturated(p_.count, p_.size);
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    const size_t size = multiply_saturated(p_.count, p_.size);
    if (size > out.size()) return kDoesNotFit;
    if (in.size() < kScaleOffsetHeader) return bad(fmt::format("a header of {} bytes", in.size()));
    const auto bits = load_le<uint32_t>(in.data());
    if (bits > p_.size * 8) return bad(fmt::format("{} bits for {} bytes", bits, p_.size));
    uint64_t minimum = 0;
    for (size_t i = 0; i < std::min<size_t>(in[4], 8); ++i)
      minimum |= uint64_t{in[5 + i]} << (8 * i);
    const ByteSpan packed = in.subspan(kScaleOffsetHeader);
    if (uint64_t{bits} * p_.count > uint64_t{packed.size()} * 8) {
      return bad(
          fmt::format("{} bytes cannot hold {} numbers of {} bits", packed.size(), p_.count, bits));
    }
    unpack(packed, bits, minimum, out.data());
    return size;
  }

 private:
  void unpack(ByteSpan packed, unsigned bits, uint64_t minimum, uint8_t* out) const {
    switch (p_.size) {
      case 1:
        return unpack_as<uint8_t>(packed, bits, minimum, out);
      case 2:
        return unpack_as<uint16_t>(packed, bits, minimum, out);
      case 4:
        return p_.floating ? unpack_float<float, int32_t>(packed, bits, minimum, out)
                           : unpack_as<uint32_t>(packed, bits, minimum, out);
      default:
        return p_.floating ? unpack_float<double, int64_t>(packed, bits, minimum, out)
                           : unpack_as<uint64_t>(packed, bits, minimum, out);
    }
  }

  template <typename T>
  void store(uint8_t* out, size_t i, T value) const {
    if (p_.big_endian) {
      store_be<T>(out + i * sizeof(T), value);
    } else {
      store_le<T>(out + i * sizeof(T), value);
    }
  }

  // Writers keep numbers of full precision as they are, in little-endian order.
  template <typename T>
  void unpack_whole(ByteSpan packed, uint8_t* out) const {
    for (size_t i = 0; i < p_.count; ++i)
      store<T>(out, i, load_le<T>(packed.data() + i * sizeof(T)));
  }

  // Unsigned arithmetic wraps, which gives the right bits for signed numbers too.
  template <typename T>
  void unpack_as(ByteSpan packed, unsigned bits, uint64_t minimum, uint8_t* out) const {
    if (bits == sizeof(T) * 8) return unpack_whole<T>(packed, out);
    const auto fill_code = static_cast<uint64_t>((uint64_t{1} << bits) - 1);
    BitReader reader(packed);
    for (size_t i = 0; i < p_.count; ++i) {
      const uint64_t code = bits == 0 ? 0 : reader.read(bits);
      const bool fill = p_.has_fill && code == fill_code;
      store<T>(out, i, static_cast<T>(fill ? p_.fill : code + minimum));
    }
  }

  template <typename T, typename Int>
  void unpack_float(ByteSpan packed, unsigned bits, uint64_t minimum_bits, uint8_t* out) const {
    using Bits = std::make_unsigned_t<Int>;
    if (bits == sizeof(T) * 8) return unpack_whole<Bits>(packed, out);
    const T minimum = std::bit_cast<T>(static_cast<Bits>(minimum_bits));
    const T fill_value = std::bit_cast<T>(static_cast<Bits>(p_.fill));
    const T scale = std::pow(T{10}, static_cast<T>(p_.scale_factor));
    const auto fill_code = static_cast<uint64_t>((uint64_t{1} << bits) - 1);
    BitReader reader(packed);
    for (size_t i = 0; i < p_.count; ++i) {
      const uint64_t code = bits == 0 ? 0 : reader.read(bits);
      const bool fill = p_.has_fill && code == fill_code;
      const T value = fill ? fill_value : static_cast<T>(static_cast<Int>(code)) / scale + minimum;
      store<Bits>(out, i, std::bit_cast<Bits>(value));
    }
  }

  ScaleOffsetParameters p_;
};

constexpr uint32_t kFloatDScale = 0;
constexpr uint32_t kFloatEScale = 1;
constexpr uint32_t kClassFloat = 1;

}  // namespace

CodecResult make_hdf5_scaleoffset(const Params& params, size_t) {
  UPWELL_TRY(const auto values, params.cd_values(8));
  const uint32_t scale_type = values[0];
  ScaleOffsetParameters p;
  p.scale_factor = static_cast<int32_t>(values[1]);
  p.count = values[2];
  p.floating = values[3] == kClassFloat;
  p.size = values[4];
  p.is_signed = values[5] == 1;
  p.big_endian = values[6] == 1;
  p.has_fill = values[7] == 1;
  const bool known = p.size == 4 || p.size == 8 || (!p.floating && (p.size == 1 || p.size == 2));
  if (values[3] > kClassFloat || !known) {
    return params.bad(fmt::format("type class {} of {} bytes", values[3], p.size));
  }
  if (scale_type == kFloatEScale) {
    return fail(Code::kUnsupported, "hdf5_scaleoffset: E-scaling, which HDF5 never wrote");
  }
  if (p.floating != (scale_type == kFloatDScale)) {
    return params.bad(fmt::format("scale type {} for type class {}", scale_type, values[3]));
  }
  if (!p.floating) {
    const auto all_bits = static_cast<int32_t>(p.size * 8);
    if (p.scale_factor > all_bits) return params.bad(fmt::format("{} bits", p.scale_factor));
    if (p.scale_factor == all_bits) return make_no_op();
  }
  for (size_t i = 0; p.has_fill && i < (p.size + 3) / 4; ++i) {
    if (8 + i >= values.size()) return params.bad("no fill value in the client data");
    p.fill |= uint64_t{values[8 + i]} << (32 * i);
  }
  return std::make_shared<ScaleOffsetCodec>(p);
}

}  // namespace upwell::codec
