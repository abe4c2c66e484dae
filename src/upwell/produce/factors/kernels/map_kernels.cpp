// The only file of its folder, so that Highway's repeated inclusion meets nothing else in a unity
// build.
#include "produce/factors/kernels/map_kernels.hpp"

#include <cstring>
#include <limits>

// Only its headers are used; the assertions of sanitizer builds would need the library.
#define HWY_IS_DEBUG_BUILD 0
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "produce/factors/kernels/map_kernels.cpp"
#include <hwy/foreach_target.h>
// After foreach_target.h.
#include <hwy/cache_control.h>
#include <hwy/highway.h>

#include "codec/simd/dispatch.hpp"

HWY_BEFORE_NAMESPACE();
namespace upwell::produce {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;

inline float nearest_value(const float* field, const uint32_t* source, const uint8_t* ocean,
                           size_t i) {
  const bool has_value = (ocean[i / 8] >> (i % 8) & 1) != 0;
  return has_value ? 0.0F + field[source[i]] : std::numeric_limits<float>::quiet_NaN();
}

void take_nearest_values(const float* field, const uint32_t* source, const uint8_t* ocean,
                         size_t cells, float* out) {
  size_t i = 0;
#if HWY_TARGET <= HWY_AVX2
  const hn::ScalableTag<float> d;
  const hn::RebindToSigned<decltype(d)> di;
  const size_t lanes = hn::Lanes(d);
  const auto nan = hn::Set(d, std::numeric_limits<float>::quiet_NaN());
  // All values go past the caches: a level is written once, and all levels are larger than they
  // are.
  const auto aligned = [&](const float* p) {
    return reinterpret_cast<uintptr_t>(p) % (lanes * sizeof(float)) == 0;
  };
  for (; i < cells && !aligned(out + i); ++i) out[i] = nearest_value(field, source, ocean, i);
  for (; i + 64 < cells; i += lanes) {
    uint64_t bits = 0;
    std::memcpy(&bits, ocean + i / 8, sizeof bits);
    bits >>= i % 8;
    const auto mask = hn::LoadMaskBits(d, reinterpret_cast<const uint8_t*>(&bits));
    if (hn::AllFalse(d, mask)) {
      hn::Stream(nan, d, out + i);
      continue;
    }
    // Lanes that are not ocean look at the first value, which costs no cache line.
    const auto index = hn::IfThenElseZero(
        hn::RebindMask(di, mask), hn::LoadU(di, reinterpret_cast<const int32_t*>(source) + i));
    const auto value = hn::Add(hn::Zero(d), hn::GatherIndex(d, field, index));
    hn::Stream(hn::IfThenElse(mask, value, nan), d, out + i);
  }
  hwy::FlushStream();
#endif
  for (; i < cells; ++i) out[i] = nearest_value(field, source, ocean, i);
}

void sum_row_values(const float* fields, const uint32_t* offsets, const uint32_t* sources,
                    const double* weights, size_t cells, double* out) {
  const hn::CappedTag<double, kLanes> d;
  const hn::Rebind<float, decltype(d)> df;
  for (size_t cell = 0; cell < cells; ++cell) {
    for (size_t lane = 0; lane < kLanes; lane += hn::Lanes(d)) {
      auto sum = hn::Zero(d);
      for (uint32_t e = offsets[cell]; e < offsets[cell + 1]; ++e) {
        const auto value = hn::PromoteTo(d, hn::LoadU(df, fields + sources[e] * kLanes + lane));
        sum = hn::Add(sum, hn::Mul(hn::Set(d, weights[e]), value));
      }
      hn::StoreU(sum, d, out + cell * kLanes + lane);
    }
  }
}

void place_lane_values(const double* sums, const uint8_t* ocean, size_t cells, float* out) {
  for (size_t cell = 0; cell < cells; ++cell) {
    const bool has_value = (ocean[cell / 8] >> (cell % 8) & 1) != 0;
    out[cell] = has_value ? static_cast<float>(sums[cell * kLanes])
                          : std::numeric_limits<float>::quiet_NaN();
  }
}

}  // namespace HWY_NAMESPACE
}  // namespace upwell::produce
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace upwell::produce {

void take_nearest(const float* field, const uint32_t* source, const uint8_t* ocean, size_t cells,
                  float* out) {
  UPWELL_CHOSEN(take_nearest_values)(field, source, ocean, cells, out);
}
void sum_rows(const float* fields, const uint32_t* offsets, const uint32_t* sources,
              const double* weights, size_t cells, double* out) {
  UPWELL_CHOSEN(sum_row_values)(fields, offsets, sources, weights, cells, out);
}
void place_lane(const double* sums, const uint8_t* ocean, size_t cells, float* out) {
  UPWELL_CHOSEN(place_lane_values)(sums, ocean, cells, out);
}

}  // namespace upwell::produce
#endif  // HWY_ONCE
