#pragma once
// Loops over elements whose type is known at run time. Internal to the numeric codecs.

#include <bit>
#include <limits>
#include <type_traits>

#include "codec/buffer_codec.hpp"
#include "codec/params.hpp"

namespace upwell::codec {

/// Calls fn(T{}) with the C++ type of `type`; half precision is not computed with.
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
      if (type.size == 4) return fn(float{});
      if (type.size == 8) return fn(double{});
      return fail(Code::kUnsupported, "arithmetic on half-precision numbers");
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
  if constexpr (std::is_same_v<To, bool>) {
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
