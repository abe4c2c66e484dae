#include "codec/scale.hpp"

#include <fmt/format.h>

#include "codec/byteswap.hpp"
#include "codec/simd/kernels.hpp"

namespace upwell::codec {
namespace {

constexpr size_t kMaxFills = 8;

template <typename Out>
Result<> unpack_checked(NumberType type, ByteSpan in, const Unpacking& unpacking,
                        std::span<Out> out) {
  if (in.size() / size_of(type) < out.size()) {
    return fail(Code::kInvalidArgument,
                fmt::format("unpack: {} bytes for {} numbers", in.size(), out.size()));
  }
  if (unpacking.fills.size() > kMaxFills) {
    return fail(Code::kInvalidArgument, fmt::format("unpack: {} fill values, at most {}",
                                                    unpacking.fills.size(), kMaxFills));
  }
  simd::unpack(static_cast<int>(type), in.data(), out.size(), unpacking.scale, unpacking.offset,
               unpacking.fills, out.data());
  return {};
}

}  // namespace

size_t size_of(NumberType type) {
  switch (type) {
    case NumberType::kInt8:
    case NumberType::kUint8:
      return 1;
    case NumberType::kInt16:
    case NumberType::kUint16:
      return 2;
    case NumberType::kInt32:
    case NumberType::kUint32:
    case NumberType::kFloat32:
      return 4;
    default:
      return 8;
  }
}

Result<> unpack(NumberType type, ByteSpan in, const Unpacking& unpacking, std::span<float> out) {
  return unpack_checked(type, in, unpacking, out);
}
Result<> unpack(NumberType type, ByteSpan in, const Unpacking& unpacking, std::span<double> out) {
  return unpack_checked(type, in, unpacking, out);
}

IntegerTotals add_up_integers(NumberType type, ByteSpan in, std::optional<uint64_t> fill) {
  return simd::add_up(static_cast<int>(type), in.data(), in.size() / size_of(type), fill);
}

void swap_bytes(MutableByteSpan data, size_t item_size) {
  if (item_size > 1) simd::swap_bytes(data.data(), data.size() / item_size, item_size);
}

}  // namespace upwell::codec
