#pragma once
// Values at points of water, fill at all others, and what range they have.

#include <cmath>
#include <cstdint>
#include <functional>
#include <limits>

#include "produce/granules/llc.hpp"

namespace upwell::produce {

/// Of the values at points of water. No value: min > max.
struct ValueRange {
  double min = std::numeric_limits<double>::infinity();
  double max = -std::numeric_limits<double>::infinity();
  uint64_t not_finite = 0;
  uint64_t first_not_finite = 0;  ///< its place

  bool empty() const { return min > max; }
  void join(const ValueRange& other, uint64_t offset);
};

/// netCDF's fill value, of float32 and of float64.
template <typename T>
inline constexpr T kFillValue = static_cast<T>(9.9692099683868690e+36);

/// Rounds `count` values to Out and replaces those that are not water, and NaN, by fill. The range
/// is of the rounded ones, NaN left out.
template <typename In, typename Out, typename Wet>
ValueRange mask_values(const In* in, uint64_t count, const Wet& wet, Out* out) {
  ValueRange range;
  Out low = std::numeric_limits<Out>::infinity();
  Out high = -std::numeric_limits<Out>::infinity();
  for (uint64_t i = 0; i < count; ++i) {
    if (!wet(i)) {
      out[i] = kFillValue<Out>;
      continue;
    }
    const Out value = static_cast<Out>(in[i]);
    const bool nan = std::isnan(value);
    if (nan || !std::isfinite(value)) {
      if (range.not_finite++ == 0) range.first_not_finite = i;
    }
    if (!nan) {
      low = value < low ? value : low;
      high = value > high ? value : high;
    }
    out[i] = nan ? kFillValue<Out> : value;
  }
  range.min = low;
  range.max = high;
  return range;
}

}  // namespace upwell::produce
