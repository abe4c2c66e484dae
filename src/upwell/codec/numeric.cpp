// numcodecs' filters that compute: delta, fixedscaleoffset, quantize, astype. They follow numpy's
// types: what numpy computes in float is computed in float here.

#include <fmt/format.h>

#include <cmath>

#include "codec/factories.hpp"
#include "codec/items.hpp"

namespace upwell::codec {
namespace {

// From items of `stored` to items of `array` and back.
class ItemCodec : public BufferCodec {
 public:
  ItemCodec(std::string name, ItemType array, ItemType stored)
      : BufferCodec(std::move(name)), array_(array), stored_(stored) {}

  size_t encoded_bound(size_t decoded) const override {
    return multiply_saturated(decoded / array_.size, stored_.size);
  }

  Result<> encode(ByteSpan in, Bytes& out) const override {
    if (in.size() % array_.size != 0) {
      return fail(Code::kInvalidArgument, fmt::format("{}: {} bytes are no whole elements of {}",
                                                      name(), in.size(), array_.size));
    }
    const size_t count = in.size() / array_.size;
    out.resize(count * stored_.size);
    return encode_items(in.data(), count, out.data());
  }

 protected:
  Result<size_t> decoded_size(ByteSpan in) const override {
    if (in.size() % stored_.size != 0) {
      return bad(fmt::format("{} bytes are no whole elements of {}", in.size(), stored_.size));
    }
    return multiply_saturated(in.size() / stored_.size, array_.size);
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    UPWELL_TRY(const size_t size, decoded_size(in));
    if (size > out.size()) return kDoesNotFit;
    UPWELL_CHECK(decode_items(in.data(), in.size() / stored_.size, out.data()));
    return size;
  }

  virtual Result<> decode_items(const uint8_t* in, size_t count, uint8_t* out) const = 0;
  virtual Result<> encode_items(const uint8_t* in, size_t count, uint8_t* out) const = 0;

  // Calls fn(Array{}, Stored{}).
  template <typename Fn>
  Result<> with_types(const Fn& fn) const {
    return with_item_type(array_, [&](auto array) -> Result<> {
      return with_item_type(stored_, [&](auto stored) -> Result<> { return fn(array, stored); });
    });
  }

  ItemType array_;
  ItemType stored_;
};

Result<> cast_items(const uint8_t* in, ItemType from, size_t count, uint8_t* out, ItemType to) {
  if (from == to) {
    if (count > 0) std::memcpy(out, in, count * from.size);
    return {};
  }
  return with_item_type(from, [&](auto from_tag) -> Result<> {
    return with_item_type(to, [&](auto to_tag) -> Result<> {
      using From = decltype(from_tag);
      using To = decltype(to_tag);
      for (size_t i = 0; i < count; ++i) {
        store_item<To>(out, i, to.big_endian,
                       cast_item<To>(load_item<From>(in, i, from.big_endian)));
      }
      return {};
    });
  });
}

class CastCodec : public ItemCodec {
 public:
  CastCodec(std::string name, ItemType array, ItemType stored, bool writes)
      : ItemCodec(std::move(name), array, stored), writes_(writes) {}

 protected:
  Result<> decode_items(const uint8_t* in, size_t count, uint8_t* out) const override {
    return cast_items(in, stored_, count, out, array_);
  }
  Result<> encode_items(const uint8_t* in, size_t count, uint8_t* out) const override {
    if (!writes_) return fail(Code::kUnsupported, name() + " is only read, not written");
    return cast_items(in, array_, count, out, stored_);
  }

 private:
  bool writes_;
};

// Integers wrap; the sum is kept in the array's own type, as numpy's cumsum with an output does.
template <typename T>
T wrapping_add(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(static_cast<U>(a) + static_cast<U>(b)));
  } else if constexpr (std::is_same_v<T, Half>) {
    return to_half(static_cast<float>(a) + static_cast<float>(b));
  } else {
    return a + b;
  }
}
template <typename T>
T wrapping_subtract(T a, T b) {
  if constexpr (std::is_integral_v<T>) {
    using U = std::make_unsigned_t<T>;
    return static_cast<T>(static_cast<U>(static_cast<U>(a) - static_cast<U>(b)));
  } else if constexpr (std::is_same_v<T, Half>) {
    return to_half(static_cast<float>(a) - static_cast<float>(b));
  } else {
    return a - b;
  }
}

class DeltaCodec : public ItemCodec {
 public:
  DeltaCodec(ItemType array, ItemType stored) : ItemCodec("delta", array, stored) {}

 protected:
  Result<> decode_items(const uint8_t* in, size_t count, uint8_t* out) const override {
    return with_types([&](auto array, auto stored) -> Result<> {
      using Array = decltype(array);
      using Stored = decltype(stored);
      if constexpr (std::is_same_v<Array, bool> || std::is_same_v<Stored, bool>) {
        return fail(Code::kUnsupported, "delta: boolean elements");
      } else {
        Array sum{};
        for (size_t i = 0; i < count; ++i) {
          const auto step = cast_item<Array>(load_item<Stored>(in, i, stored_.big_endian));
          // The first is taken as it is: 0.0 + -0.0 would lose a sign.
          sum = i == 0 ? step : wrapping_add(sum, step);
          store_item<Array>(out, i, array_.big_endian, sum);
        }
        return {};
      }
    });
  }

  Result<> encode_items(const uint8_t* in, size_t count, uint8_t* out) const override {
    return with_types([&](auto array, auto stored) -> Result<> {
      using Array = decltype(array);
      using Stored = decltype(stored);
      if constexpr (std::is_same_v<Array, bool> || std::is_same_v<Stored, bool>) {
        return fail(Code::kUnsupported, "delta: boolean elements");
      } else {
        Array before{};
        for (size_t i = 0; i < count; ++i) {
          const auto value = load_item<Array>(in, i, array_.big_endian);
          const Array step = i == 0 ? value : wrapping_subtract(value, before);
          store_item<Stored>(out, i, stored_.big_endian, cast_item<Stored>(step));
          before = value;
        }
        return {};
      }
    });
  }
};

struct ScaleAndOffset {
  double scale;
  double offset;
  bool integers;  // both were written as JSON integers, so numpy keeps integer arrays integer
};

class FixedScaleOffsetCodec : public ItemCodec {
 public:
  FixedScaleOffsetCodec(ItemType array, ItemType stored, ScaleAndOffset packing)
      : ItemCodec("fixedscaleoffset", array, stored), packing_(packing) {}

 protected:
  // stored / scale + offset, in float for stored floats, in double for all else.
  Result<> decode_items(const uint8_t* in, size_t count, uint8_t* out) const override {
    return with_types([&](auto array, auto stored) -> Result<> {
      using Array = decltype(array);
      using Stored = decltype(stored);
      using Real = std::conditional_t<std::is_same_v<Stored, float>, float, double>;
      const auto scale = static_cast<Real>(packing_.scale);
      const auto offset = static_cast<Real>(packing_.offset);
      for (size_t i = 0; i < count; ++i) {
        const Real value =
            static_cast<Real>(load_item<Stored>(in, i, stored_.big_endian)) / scale + offset;
        store_item<Array>(out, i, array_.big_endian, cast_item<Array>(value));
      }
      return {};
    });
  }

  // round((array - offset) * scale)
  Result<> encode_items(const uint8_t* in, size_t count, uint8_t* out) const override {
    return with_types([&](auto array, auto stored) -> Result<> {
      using Array = decltype(array);
      using Stored = decltype(stored);
      if constexpr (std::is_integral_v<Array> && !std::is_same_v<Array, bool>) {
        if (packing_.integers) return encode_integers<Array, Stored>(in, count, out);
      }
      using Real = std::conditional_t<std::is_same_v<Array, float>, float, double>;
      const auto scale = static_cast<Real>(packing_.scale);
      const auto offset = static_cast<Real>(packing_.offset);
      for (size_t i = 0; i < count; ++i) {
        const Real value =
            (static_cast<Real>(load_item<Array>(in, i, array_.big_endian)) - offset) * scale;
        store_item<Stored>(out, i, stored_.big_endian, cast_item<Stored>(std::nearbyint(value)));
      }
      return {};
    });
  }

  template <typename Array, typename Stored>
  Result<> encode_integers(const uint8_t* in, size_t count, uint8_t* out) const {
    const auto scale = static_cast<uint64_t>(static_cast<int64_t>(packing_.scale));
    const auto offset = static_cast<uint64_t>(static_cast<int64_t>(packing_.offset));
    for (size_t i = 0; i < count; ++i) {
      const auto value =
          static_cast<uint64_t>(static_cast<int64_t>(load_item<Array>(in, i, array_.big_endian)));
      const auto scaled = static_cast<Array>((value - offset) * scale);
      store_item<Stored>(out, i, stored_.big_endian, cast_item<Stored>(scaled));
    }
    return {};
  }

 private:
  ScaleAndOffset packing_;
};

// The array type and the stored type, which is the array's where it is not given.
Result<std::pair<ItemType, ItemType>> array_and_stored_type(const Params& params) {
  UPWELL_TRY(const ItemType array, params.item_type("dtype"));
  UPWELL_TRY(const ItemType stored, params.item_type("astype", "dtype"));
  return std::pair(array, stored);
}

}  // namespace

CodecResult make_delta(const Params& params, size_t) {
  UPWELL_TRY(const auto types, array_and_stored_type(params));
  return std::make_shared<DeltaCodec>(types.first, types.second);
}

CodecResult make_fixedscaleoffset(const Params& params, size_t) {
  UPWELL_TRY(const auto types, array_and_stored_type(params));
  if ((types.first.kind == 'f' && types.first.size == 2) ||
      (types.second.kind == 'f' && types.second.size == 2)) {
    return fail(Code::kUnsupported, "fixedscaleoffset: half-precision numbers");
  }
  ScaleAndOffset packing{};
  UPWELL_TRY(packing.scale, params.number("scale"));
  UPWELL_TRY(packing.offset, params.number("offset"));
  packing.integers = params.is_integer("scale") && params.is_integer("offset");
  return std::make_shared<FixedScaleOffsetCodec>(types.first, types.second, packing);
}

CodecResult make_quantize(const Params& params, size_t) {
  UPWELL_TRY(const auto types, array_and_stored_type(params));
  return std::make_shared<CastCodec>("quantize", types.first, types.second, /*writes=*/false);
}

CodecResult make_astype(const Params& params, size_t) {
  UPWELL_TRY(const ItemType array, params.item_type("decode_dtype"));
  UPWELL_TRY(const ItemType stored, params.item_type("encode_dtype"));
  return std::make_shared<CastCodec>("astype", array, stored, /*writes=*/true);
}

}  // namespace upwell::codec
