#include "refs/verify_compare.hpp"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

namespace upwell::refs {
namespace {

template <typename T>
Values values_of_type(DataType type, const std::vector<T>& numbers) {
  Values out;
  out.type = std::move(type);
  out.shape = {numbers.size()};
  out.data.resize(numbers.size() * sizeof(T));
  std::memcpy(out.data.data(), numbers.data(), out.data.size());
  return out;
}

Array described(const std::vector<std::pair<std::string, Values>>& attributes) {
  Array out;
  out.name = "v";
  for (const auto& [name, value] : attributes) out.attributes.push_back({name, value, false});
  return out;
}

Result<std::optional<Mismatch>> compared(const Array& store, const Array& array, Values ours,
                                         Values theirs) {
  const Dataset none;
  return compare_values(none, store, none, array, "/v", std::move(ours), std::move(theirs));
}

TEST(VerifyCompare, EveryBitOfANanCounts) {
  const double quiet = std::numeric_limits<double>::quiet_NaN();
  double payload = quiet;
  uint64_t bits = 0;
  std::memcpy(&bits, &payload, sizeof(bits));
  bits ^= 1;
  std::memcpy(&payload, &bits, sizeof(bits));
  const auto same = compared({}, {}, values_of_type<double>(DataType::floating(8), {1, quiet}),
                             values_of_type<double>(DataType::floating(8), {1, quiet}));
  ASSERT_TRUE(same);
  EXPECT_FALSE(*same);
  const auto other = compared({}, {}, values_of_type<double>(DataType::floating(8), {1, quiet}),
                              values_of_type<double>(DataType::floating(8), {1, payload}));
  ASSERT_TRUE(other && *other);
  EXPECT_EQ((*other)->first, 1u);
  EXPECT_NE((*other)->ours, (*other)->theirs);
  const auto zero = compared({}, {}, values_of_type<float>(DataType::floating(4), {0.0F}),
                             values_of_type<float>(DataType::floating(4), {-0.0F}));
  EXPECT_TRUE(zero && *zero);
}

TEST(VerifyCompare, TimesAreTheSameInstants) {
  const Array days = described({{"units", make_text("days since 2000-01-02")}});
  const Array hours = described({{"units", make_text("hours since 2000-01-01")}});
  const auto same = compared(days, hours, values_of_type<double>(DataType::floating(8), {0, 1.5}),
                             values_of_type<int32_t>(DataType::integer(4), {24, 60}));
  ASSERT_TRUE(same) << same.error().to_string();
  EXPECT_FALSE(*same);
  const auto other = compared(days, hours, values_of_type<double>(DataType::floating(8), {0, 1.5}),
                              values_of_type<int32_t>(DataType::integer(4), {24, 61}));
  ASSERT_TRUE(other && *other);
  EXPECT_EQ((*other)->elements, 1u);
}

TEST(VerifyCompare, WhatIsPackedOtherwiseIsDecoded) {
  const Array half = described({{"scale_factor", make_number(0.5)}});
  const Array tenth = described({{"scale_factor", make_number(0.25)}});
  const auto same = compared(half, tenth, values_of_type<int16_t>(DataType::integer(2), {3, -4}),
                             values_of_type<int16_t>(DataType::integer(2), {6, -8}));
  ASSERT_TRUE(same);
  EXPECT_FALSE(*same);
  const auto other = compared(half, tenth, values_of_type<int16_t>(DataType::integer(2), {3, -4}),
                              values_of_type<int16_t>(DataType::integer(2), {3, -4}));
  ASSERT_TRUE(other && *other);
  EXPECT_EQ((*other)->elements, 2u);
}

TEST(VerifyCompare, TextOfEveryTypeIsText) {
  Values fixed = values_of_type<char>(DataType::fixed_string(2), {'a', 'b', 'c', 0});
  fixed.shape = {2};
  const auto same = compared({}, {}, make_texts({"ab", "c"}), fixed);
  ASSERT_TRUE(same);
  EXPECT_FALSE(*same);
  const auto other = compared({}, {}, make_texts({"ab", "d"}), fixed);
  ASSERT_TRUE(other && *other);
  EXPECT_EQ((*other)->ours, "\"d\"");
  const auto number =
      compared({}, {}, make_texts({"ab"}), values_of_type<float>(DataType::floating(4), {0.0F}));
  ASSERT_FALSE(number);
  EXPECT_EQ(number.error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace upwell::refs
