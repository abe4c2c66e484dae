#pragma once
// Loops over elements whose type is known at run time. Internal to the numeric codecs.

#include <bit>
#include <cmath>
#include <limits>
#include <type_traits>

#include "codec/buffer_codec.hpp"
#include "codec/params.hpp"

namespace upwell::codec {

/// IEEE 754 binary16, stored and converted.
struct Half {
  uint16_t bits = 0;
  explicit operator float() const {
    const uint32_t sign = static_cast<uint32_t>(bits & 0x8000U) << 16;
    const uint32_t exponent = bits >> 10 & 0x1fU;
    const uint32_t mantissa = bits & 0x3ffU;
    if (exponent == 0) {
      const float magnitude = std::ldexp(static_cast<float>(mantissa), -24);
      return sign != 0 ? -magnitude : magnitude;
    }
    const uint32_t wide = exponent == 31 ? 255 : exponent + 112;
    return std::bit_cast<float>(sign | wide << 23 | mantissa << 13);
  }
  explicit operator double() const { return static_cast<double>(static_cast<float>(*this)); }
};

/// Rounds once, to nearest, ties to even.
inline Half to_half(double value) {
  const auto sign = static_cast<uint16_t>(std::signbit(value) ? 0x8000U : 0U);
  const double magnitude = std::fabs(value);
  const auto with_sign = [&](uint32_t bits) { return Half{static_cast<uint16_t>(sign | bits)}; };
  if (std::isnan(value)) return with_sign(0x7e00U);
  if (magnitude >= 65520) return with_sign(0x7c00U);  // rounds beyond the largest number
  constexpr double kSmallestNormal = 0x1p-14;
  if (magnitude < kSmallestNormal) {
    return with_sign(static_cast<uint32_t>(std::nearbyint(magnitude * 0x1p24)));
  }
  const int exponent = std::ilogb(magnitude);
  // A mantissa that rounds up to 2048 carries into the exponent, as it should.
  const auto mantissa = static_cast<uint32_t>(std::nearbyint(std::ldexp(magnitude, 10 - exponent)));
  return with_sign((static_cast<uint32_t>(exponent + 15) << 10) + (mantissa - 1024));
}

/// Calls fn(T{}) with the C++ type of `type`.
template <typename Fn>
Result<> with_item_type(const ItemType& type, const Fn& fn) {
  const auto by_size = [&](auto one, auto two, auto four, auto eight) -> Result<> {
    switch (type.size) {
      case 1:
        return fn(one);
      case 2:
        return fn(two);
      case 4:
        return fn(four);
      default:
        return fn(eight);
    }
  };
  switch (type.kind) {
    case 'b':
      return fn(bool{});
    case 'i':
      return by_size(int8_t{}, int16_t{}, int32_t{}, int64_t{});
    case 'u':
      return by_size(uint8_t{}, uint16_t{}, uint32_t{}, uint64_t{});
    default:
      if (type.size == 2) return fn(Half{});
      if (type.size == 4) return fn(float{});
      return fn(double{});
  }
}

template <typename T>
T load_item(const uint8_t* items, size_t i, bool big_endian) {
  if constexpr (std::is_same_v<T, bool>) {
    return items[i] != 0;
  } else {
    const uint8_t* p = items + i * sizeof(T);
    return big_endian ? load_be<T>(p) : load_le<T>(p);
  }
}

template <typename T>
void store_item(uint8_t* items, size_t i, bool big_endian, T value) {
  uint8_t* p = items + i * sizeof(T);
  if (big_endian) {
    store_be<T>(p, value);
  } else {
    store_le<T>(p, value);
  }
}

/// A C cast; where that is undefined (floating point out of range), what x86-64 machines and so
/// numpy on them give: the lowest 64-bit integer, cut.
template <typename To, typename From>
To cast_item(From value) {
  if constexpr (std::is_same_v<From, To>) {
    return value;
  } else if constexpr (std::is_same_v<From, Half>) {
    return cast_item<To>(static_cast<float>(value));
  } else if constexpr (std::is_same_v<To, Half>) {
    return to_half(static_cast<double>(value));
  } else if constexpr (std::is_same_v<To, bool>) {
    return value != From{};
  } else if constexpr (std::is_floating_point_v<From> && std::is_integral_v<To>) {
    constexpr From kTwo63 = 9223372036854775808.0;
    if (value >= -kTwo63 && value < kTwo63) {
      return static_cast<To>(static_cast<int64_t>(value));
    }
    if (std::is_same_v<To, uint64_t> && value >= kTwo63 && value < 2 * kTwo63) {
      return static_cast<To>(static_cast<uint64_t>(value));
    }
    return static_cast<To>(std::numeric_limits<int64_t>::min());
  } else {
    return static_cast<To>(value);
  }
}

}  // namespace upwell::codec
