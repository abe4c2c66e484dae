// The only file of its folder, so that Highway's repeated inclusion meets nothing else in a unity
// build.
#include "codec/simd/kernels.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <type_traits>

// Only its headers are used; the assertions of sanitizer builds would need the library.
#define HWY_IS_DEBUG_BUILD 0
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "codec/simd/kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/highway.h>

#include "codec/simd/dispatch.hpp"

HWY_BEFORE_NAMESPACE();
namespace upwell::codec::simd {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

// Elements that are moved together, so that their bytes stay in the first-level cache.
constexpr size_t kTile = 512;

// The elements from `begin`, in tiles.
void shuffle_rest(const uint8_t* in, size_t count, size_t item, size_t begin, uint8_t* out) {
  for (; begin < count; begin += kTile) {
    const size_t end = std::min(count, begin + kTile);
    for (size_t b = 0; b < item; ++b) {
      for (size_t i = begin; i < end; ++i) out[b * count + i] = in[i * item + b];
    }
  }
}

void unshuffle_rest(const uint8_t* in, size_t count, size_t item, size_t begin, uint8_t* out) {
  for (; begin < count; begin += kTile) {
    const size_t end = std::min(count, begin + kTile);
    for (size_t b = 0; b < item; ++b) {
      for (size_t i = begin; i < end; ++i) out[i * item + b] = in[b * count + i];
    }
  }
}

#if HWY_TARGET != HWY_SCALAR

size_t shuffle_2(const uint8_t* in, size_t count, uint8_t* out) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::Vec<decltype(d)> v0, v1;
    hn::LoadInterleaved2(d, in + 2 * i, v0, v1);
    hn::StoreU(v0, d, out + i);
    hn::StoreU(v1, d, out + count + i);
  }
  return i;
}

size_t unshuffle_2(const uint8_t* in, size_t count, uint8_t* out) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreInterleaved2(hn::LoadU(d, in + i), hn::LoadU(d, in + count + i), d, out + 2 * i);
  }
  return i;
}

size_t shuffle_4(const uint8_t* in, size_t count, uint8_t* out) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::Vec<decltype(d)> v0, v1, v2, v3;
    hn::LoadInterleaved4(d, in + 4 * i, v0, v1, v2, v3);
    hn::StoreU(v0, d, out + i);
    hn::StoreU(v1, d, out + count + i);
    hn::StoreU(v2, d, out + 2 * count + i);
    hn::StoreU(v3, d, out + 3 * count + i);
  }
  return i;
}

size_t unshuffle_4(const uint8_t* in, size_t count, uint8_t* out) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreInterleaved4(hn::LoadU(d, in + i), hn::LoadU(d, in + count + i),
                          hn::LoadU(d, in + 2 * count + i), hn::LoadU(d, in + 3 * count + i), d,
                          out + 4 * i);
  }
  return i;
}

// Eight bytes are four pairs of them.
size_t shuffle_8(const uint8_t* in, size_t count, uint8_t* out) {
  const hn::ScalableTag<uint16_t> d16;
  const hn::Rebind<uint8_t, decltype(d16)> d8;
  const size_t lanes = hn::Lanes(d16);
  const auto low = hn::Set(d16, 0xff);
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::Vec<decltype(d16)> v[4];
    hn::LoadInterleaved4(d16, reinterpret_cast<const uint16_t*>(in + 8 * i), v[0], v[1], v[2],
                         v[3]);
    for (size_t k = 0; k < 4; ++k) {
      hn::StoreU(hn::TruncateTo(d8, hn::And(v[k], low)), d8, out + 2 * k * count + i);
      hn::StoreU(hn::TruncateTo(d8, hn::ShiftRight<8>(v[k])), d8, out + (2 * k + 1) * count + i);
    }
  }
  return i;
}

size_t unshuffle_8(const uint8_t* in, size_t count, uint8_t* out) {
  const hn::ScalableTag<uint16_t> d16;
  const hn::Rebind<uint8_t, decltype(d16)> d8;
  const size_t lanes = hn::Lanes(d16);
  const auto pair = [&](size_t i, size_t k) HWY_ATTR {
    const auto first = hn::PromoteTo(d16, hn::LoadU(d8, in + 2 * k * count + i));
    const auto second = hn::PromoteTo(d16, hn::LoadU(d8, in + (2 * k + 1) * count + i));
    return hn::Or(first, hn::ShiftLeft<8>(second));
  };
  size_t i = 0;
  for (; i + lanes <= count; i += lanes) {
    hn::StoreInterleaved4(pair(i, 0), pair(i, 1), pair(i, 2), pair(i, 3), d16,
                          reinterpret_cast<uint16_t*>(out + 8 * i));
  }
  return i;
}

size_t swap_vectors(uint8_t* data, size_t bytes, size_t item) {
  const hn::ScalableTag<uint8_t> d;
  const size_t lanes = hn::Lanes(d);
  alignas(16) uint8_t places[16];
  for (size_t i = 0; i < 16; ++i) {
    places[i] = static_cast<uint8_t>(i / item * item + (item - 1 - i % item));
  }
  const auto order = hn::LoadDup128(d, places);
  size_t at = 0;
  for (; at + lanes <= bytes; at += lanes) {
    hn::StoreU(hn::TableLookupBytes(hn::LoadU(d, data + at), order), d, data + at);
  }
  return at;
}

#endif  // HWY_TARGET != HWY_SCALAR

// LoadInterleaved of 16-bit lanes follows the machine's byte order.
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#error "simd/kernels.cpp assumes a little-endian machine"
#endif

void shuffle_items(const uint8_t* in, size_t count, size_t item, uint8_t* out) {
  size_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  if (item == 2) done = shuffle_2(in, count, out);
  if (item == 4) done = shuffle_4(in, count, out);
  if (item == 8) done = shuffle_8(in, count, out);
#endif
  shuffle_rest(in, count, item, done, out);
}

void unshuffle_items(const uint8_t* in, size_t count, size_t item, uint8_t* out) {
  size_t done = 0;
#if HWY_TARGET != HWY_SCALAR
  if (item == 2) done = unshuffle_2(in, count, out);
  if (item == 4) done = unshuffle_4(in, count, out);
  if (item == 8) done = unshuffle_8(in, count, out);
#endif
  unshuffle_rest(in, count, item, done, out);
}

void swap_items(uint8_t* data, size_t count, size_t item) {
  size_t at = 0;
#if HWY_TARGET != HWY_SCALAR
  if (item == 2 || item == 4 || item == 8 || item == 16) {
    at = swap_vectors(data, count * item, item);
  }
#endif
  for (; at < count * item; at += item) std::reverse(data + at, data + at + item);
}

// The loops below are plain: the compiler vectorizes them for each target. Product and sum are
// separate passes over a block, with a barrier between them, so that no target fuses them into one
// rounding.
constexpr size_t kBlock = 1024;

template <typename In, typename Out>
void convert_block(const uint8_t* in, size_t count, Out* out) {
  for (size_t i = 0; i < count; ++i) {
    In value;
    std::memcpy(&value, in + i * sizeof(In), sizeof(In));
    out[i] = static_cast<Out>(value);
  }
}

template <typename In, typename Out>
void mask_block(const uint8_t* in, size_t count, uint64_t fill_bits, Out* out) {
  using Bits = std::conditional_t<
      sizeof(In) == 1, uint8_t,
      std::conditional_t<sizeof(In) == 2, uint16_t,
                         std::conditional_t<sizeof(In) == 4, uint32_t, uint64_t>>>;
  const auto bits = static_cast<Bits>(fill_bits);
  In fill;
  std::memcpy(&fill, &bits, sizeof(In));
  for (size_t i = 0; i < count; ++i) {
    In value;
    std::memcpy(&value, in + i * sizeof(In), sizeof(In));
    out[i] = value == fill ? std::numeric_limits<Out>::quiet_NaN() : out[i];
  }
}

template <typename Out>
void scale_block(Out* out, size_t count, const std::optional<double>& scale,
                 const std::optional<double>& offset) {
  if (scale) {
    const auto factor = static_cast<Out>(*scale);
    for (size_t i = 0; i < count; ++i) out[i] *= factor;
    asm volatile("" ::: "memory");
  }
  if (offset) {
    const auto term = static_cast<Out>(*offset);
    for (size_t i = 0; i < count; ++i) out[i] += term;
    asm volatile("" ::: "memory");
  }
}

template <typename In, typename Out>
void unpack_items(const uint8_t* in, size_t count, const std::optional<double>& scale,
                  const std::optional<double>& offset, std::span<const uint64_t> fills, Out* out) {
  for (size_t begin = 0; begin < count; begin += kBlock) {
    const size_t items = std::min(kBlock, count - begin);
    const uint8_t* source = in + begin * sizeof(In);
    convert_block<In, Out>(source, items, out + begin);
    scale_block(out + begin, items, scale, offset);
    for (const uint64_t fill : fills) mask_block<In, Out>(source, items, fill, out + begin);
  }
}

template <typename Out>
void unpack_any(int type, const uint8_t* in, size_t count, const std::optional<double>& scale,
                const std::optional<double>& offset, std::span<const uint64_t> fills, Out* out) {
  using Unpack = void (*)(const uint8_t*, size_t, const std::optional<double>&,
                          const std::optional<double>&, std::span<const uint64_t>, Out*);
  // In the order of NumberType.
  constexpr Unpack kUnpack[] = {unpack_items<int8_t, Out>,  unpack_items<uint8_t, Out>,
                                unpack_items<int16_t, Out>, unpack_items<uint16_t, Out>,
                                unpack_items<int32_t, Out>, unpack_items<uint32_t, Out>,
                                unpack_items<int64_t, Out>, unpack_items<uint64_t, Out>,
                                unpack_items<float, Out>,   unpack_items<double, Out>};
  kUnpack[type](in, count, scale, offset, fills, out);
}

void unpack_floats(int type, const uint8_t* in, size_t count, const std::optional<double>& scale,
                   const std::optional<double>& offset, std::span<const uint64_t> fills,
                   float* out) {
  unpack_any<float>(type, in, count, scale, offset, fills, out);
}
void unpack_doubles(int type, const uint8_t* in, size_t count, const std::optional<double>& scale,
                    const std::optional<double>& offset, std::span<const uint64_t> fills,
                    double* out) {
  unpack_any<double>(type, in, count, scale, offset, fills, out);
}

// So many that the sum of 16-bit ones fits into 32 bits.
constexpr size_t kSumBlock = 32768;

// Sums of a block in lanes that are wide enough for it; what equals the fill counts for nothing.
template <typename In, typename Wide>
void add_block(const uint8_t* in, size_t count, const std::optional<Wide>& fill,
               IntegerTotals& totals) {
  const hn::ScalableTag<Wide> d;
  const hn::Rebind<In, decltype(d)> narrow;
  const size_t lanes = hn::Lanes(d);
  auto sum = hn::Zero(d);
  auto missing = hn::Zero(d);
  auto min = hn::Set(d, std::numeric_limits<In>::max());
  auto max = hn::Set(d, std::numeric_limits<In>::min());
  const auto low = min;
  const auto high = max;
  const auto fills = hn::Set(d, fill.value_or(0));
  const size_t whole = count - count % lanes;
  for (size_t i = 0; i < whole; i += lanes) {
    const auto value = hn::PromoteTo(d, hn::LoadU(narrow, reinterpret_cast<const In*>(in) + i));
    if (fill) {
      const auto is_fill = hn::Eq(value, fills);
      missing = hn::Sub(missing, hn::VecFromMask(d, is_fill));
      sum = hn::Add(sum, hn::IfThenZeroElse(is_fill, value));
      min = hn::Min(min, hn::IfThenElse(is_fill, low, value));
      max = hn::Max(max, hn::IfThenElse(is_fill, high, value));
    } else {
      sum = hn::Add(sum, value);
      min = hn::Min(min, value);
      max = hn::Max(max, value);
    }
  }
  const auto take = [&](Wide smallest, Wide largest, Wide part, size_t valid) {
    if (valid == 0) return;
    totals.count += valid;
    totals.sum += static_cast<int64_t>(part);
    totals.min = std::min(totals.min, static_cast<int64_t>(smallest));
    totals.max = std::max(totals.max, static_cast<int64_t>(largest));
  };
  for (size_t i = 0; i < lanes; ++i) {
    HWY_ALIGN Wide v[4][hn::MaxLanes(d)];
    hn::Store(min, d, v[0]);
    hn::Store(max, d, v[1]);
    hn::Store(sum, d, v[2]);
    hn::Store(missing, d, v[3]);
    take(v[0][i], v[1][i], v[2][i], whole / lanes - static_cast<size_t>(v[3][i]));
  }
  for (size_t i = whole; i < count; ++i) {
    In value;
    std::memcpy(&value, in + i * sizeof(In), sizeof(In));
    take(value, value, value, fill == static_cast<Wide>(value) ? 0 : 1);
  }
}

template <typename In>
void add_items(const uint8_t* in, size_t count, const std::optional<uint64_t>& fill,
               IntegerTotals& totals) {
  using Wide = std::conditional_t<sizeof(In) < 4, int32_t,
                                  std::conditional_t<std::is_signed_v<In>, int64_t, uint64_t>>;
  std::optional<Wide> wide;
  if (fill) wide = static_cast<In>(*fill);
  for (size_t begin = 0; begin < count; begin += kSumBlock) {
    const size_t items = std::min(kSumBlock, count - begin);
    add_block<In, Wide>(in + begin * sizeof(In), items, wide, totals);
  }
}

void add_integers(int type, const uint8_t* in, size_t count, const std::optional<uint64_t>& fill,
                  IntegerTotals& totals) {
  using Add = void (*)(const uint8_t*, size_t, const std::optional<uint64_t>&, IntegerTotals&);
  // In the order of NumberType.
  constexpr Add kAdd[] = {add_items<int8_t>,   add_items<uint8_t>, add_items<int16_t>,
                          add_items<uint16_t>, add_items<int32_t>, add_items<uint32_t>};
  kAdd[type](in, count, fill, totals);
}

}  // namespace HWY_NAMESPACE
}  // namespace upwell::codec::simd
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace upwell::codec::simd {

void shuffle(const uint8_t* in, size_t count, size_t item_size, uint8_t* out) {
  if (count > 0) UPWELL_CHOSEN(shuffle_items)(in, count, item_size, out);
}
void unshuffle(const uint8_t* in, size_t count, size_t item_size, uint8_t* out) {
  if (count > 0) UPWELL_CHOSEN(unshuffle_items)(in, count, item_size, out);
}
void swap_bytes(uint8_t* data, size_t count, size_t item_size) {
  if (count > 0) UPWELL_CHOSEN(swap_items)(data, count, item_size);
}
void unpack(int type, const uint8_t* in, size_t count, std::optional<double> scale,
            std::optional<double> offset, std::span<const uint64_t> fills, float* out) {
  UPWELL_CHOSEN(unpack_floats)(type, in, count, scale, offset, fills, out);
}
void unpack(int type, const uint8_t* in, size_t count, std::optional<double> scale,
            std::optional<double> offset, std::span<const uint64_t> fills, double* out) {
  UPWELL_CHOSEN(unpack_doubles)(type, in, count, scale, offset, fills, out);
}
IntegerTotals add_up(int type, const uint8_t* in, size_t count, std::optional<uint64_t> fill) {
  IntegerTotals totals;
  UPWELL_CHOSEN(add_integers)(type, in, count, fill, totals);
  return totals;
}

}  // namespace upwell::codec::simd
#endif  // HWY_ONCE
