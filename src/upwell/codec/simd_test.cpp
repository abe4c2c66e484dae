#include <gtest/gtest.h>

#include <cmath>
#include <random>

#include "codec/byteswap.hpp"
#include "codec/scale.hpp"
#include "codec/shuffle.hpp"

namespace upwell::codec {
namespace {

Bytes random_bytes(size_t size) {
  std::mt19937 random(42);
  Bytes bytes(size);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  return bytes;
}

TEST(Shuffle, MovesEachByteToItsGroup) {
  for (const size_t item : {1, 2, 3, 4, 5, 8, 12, 16, 33}) {
    for (size_t count = 0; count < 300; count += count < 70 ? 1 : 37) {
      for (const size_t rest : {size_t{0}, item - 1}) {
        const Bytes raw = random_bytes(count * item + rest);
        Bytes shuffled(raw.size());
        shuffle(raw, item, shuffled.data());
        if (item > 1) {
          for (size_t i = 0; i < count * item; ++i) {
            ASSERT_EQ(shuffled[i % item * count + i / item], raw[i]) << item << " " << count;
          }
        }
        Bytes back(raw.size());
        unshuffle(shuffled, item, back.data());
        ASSERT_EQ(back, raw) << item << " " << count;
      }
    }
  }
}

TEST(SwapBytes, ReversesEachElement) {
  for (const size_t item : {1, 2, 3, 4, 8, 16, 24}) {
    for (const size_t count : {0, 1, 2, 15, 16, 17, 64, 65, 1000}) {
      const Bytes raw = random_bytes(count * item + (item > 1 ? 1 : 0));
      Bytes swapped = raw;
      swap_bytes(swapped, item);
      for (size_t i = 0; i < count * item; ++i) {
        ASSERT_EQ(swapped[i], raw[i / item * item + item - 1 - i % item]) << item;
      }
      if (item > 1) {
        EXPECT_EQ(swapped.back(), raw.back());
      }
    }
  }
}

template <typename T>
T element_at(ByteSpan bytes, size_t i) {
  T value;
  std::memcpy(&value, bytes.data() + i * sizeof(T), sizeof(T));
  return value;
}

template <typename In, typename Out>
void check_unpack(NumberType type) {
  const size_t count = 3001;
  // One byte off, so that nothing is aligned by luck.
  const Bytes bytes = random_bytes(count * sizeof(In) + 1);
  const ByteSpan in = ByteSpan(bytes).subspan(1);
  const auto at = [&](size_t i) { return element_at<In>(in, i); };
  uint64_t fills[2] = {0, 0};
  const In first = at(17);
  const In second = at(2900);
  std::memcpy(&fills[0], &first, sizeof(In));
  std::memcpy(&fills[1], &second, sizeof(In));
  for (const std::optional<double> scale : {std::optional<double>(), {0.01}, {-3.7}}) {
    for (const std::optional<double> offset : {std::optional<double>(), {273.15}}) {
      std::vector<Out> out(count);
      ASSERT_TRUE(unpack(type, in, {scale, offset, fills}, std::span<Out>(out)));
      for (size_t i = 0; i < count; ++i) {
        // volatile: every step is rounded.
        volatile Out expected = static_cast<Out>(at(i));
        if (scale) expected = expected * static_cast<Out>(*scale);
        if (offset) expected = expected + static_cast<Out>(*offset);
        const Out want = expected;
        if (at(i) == first || at(i) == second || std::isnan(want)) {
          ASSERT_TRUE(std::isnan(out[i])) << i;
        } else {
          ASSERT_EQ(out[i], want) << i;
        }
      }
    }
  }
}

TEST(Unpack, RoundsEachStepAsNumpyDoes) {
  check_unpack<int8_t, float>(NumberType::kInt8);
  check_unpack<int8_t, double>(NumberType::kInt8);
  check_unpack<uint8_t, float>(NumberType::kUint8);
  check_unpack<uint8_t, double>(NumberType::kUint8);
  check_unpack<int16_t, float>(NumberType::kInt16);
  check_unpack<int16_t, double>(NumberType::kInt16);
  check_unpack<uint16_t, float>(NumberType::kUint16);
  check_unpack<uint16_t, double>(NumberType::kUint16);
  check_unpack<int32_t, float>(NumberType::kInt32);
  check_unpack<int32_t, double>(NumberType::kInt32);
  check_unpack<uint32_t, float>(NumberType::kUint32);
  check_unpack<uint32_t, double>(NumberType::kUint32);
  check_unpack<int64_t, double>(NumberType::kInt64);
  check_unpack<uint64_t, double>(NumberType::kUint64);
  check_unpack<float, float>(NumberType::kFloat32);
  check_unpack<float, double>(NumberType::kFloat32);
  check_unpack<double, double>(NumberType::kFloat64);
}

TEST(Unpack, RefusesTooFewBytes) {
  std::vector<float> out(3);
  const Bytes in(5);
  EXPECT_FALSE(unpack(NumberType::kInt16, in, {}, std::span<float>(out)));
}

template <typename In>
void check_add_up(NumberType type) {
  // Longer than one block of partial sums, and not aligned.
  const size_t count = 70001;
  const Bytes bytes = random_bytes(count * sizeof(In) + 1);
  const ByteSpan in = ByteSpan(bytes).subspan(1);
  const auto at = [&](size_t i) { return element_at<In>(in, i); };
  for (const bool filled : {false, true}) {
    IntegerTotals want;
    for (size_t i = 0; i < count; ++i) {
      if (filled && at(i) == at(3)) continue;
      ++want.count;
      want.sum += at(i);
      want.min = std::min<int64_t>(want.min, at(i));
      want.max = std::max<int64_t>(want.max, at(i));
    }
    uint64_t bits = 0;
    std::memcpy(&bits, in.data() + 3 * sizeof(In), sizeof(In));
    const auto got = add_up_integers(type, in, filled ? std::optional(bits) : std::nullopt);
    EXPECT_EQ(got.count, want.count);
    EXPECT_EQ(got.sum, want.sum);
    EXPECT_EQ(got.min, want.min);
    EXPECT_EQ(got.max, want.max);
  }
}

TEST(AddUp, IsExact) {
  check_add_up<int8_t>(NumberType::kInt8);
  check_add_up<uint8_t>(NumberType::kUint8);
  check_add_up<int16_t>(NumberType::kInt16);
  check_add_up<uint16_t>(NumberType::kUint16);
  check_add_up<int32_t>(NumberType::kInt32);
  check_add_up<uint32_t>(NumberType::kUint32);
  for (const uint16_t extreme : {uint16_t{0}, uint16_t{0xffff}, uint16_t{0x8000}}) {
    const std::vector<uint16_t> same(100000, extreme);
    const ByteSpan in(reinterpret_cast<const uint8_t*>(same.data()), 2 * same.size());
    EXPECT_EQ(add_up_integers(NumberType::kUint16, in, {}).sum, 100000LL * extreme);
    EXPECT_EQ(add_up_integers(NumberType::kInt16, in, {}).sum,
              100000LL * static_cast<int16_t>(extreme));
    EXPECT_EQ(add_up_integers(NumberType::kUint16, in, extreme).count, 0U);
  }
}

}  // namespace
}  // namespace upwell::codec
