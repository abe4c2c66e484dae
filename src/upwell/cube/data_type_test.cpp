#include "cube/data_type.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "cube/values.hpp"

namespace upwell {
namespace {

TEST(DataType, NumpyNamesGoThereAndBack) {
  for (const char* name :
       {"<f4", ">f8", "|i1", "<u2", ">i8", "|S7", "<U3", "|b1", "<c16", "<M8[ns]", ">m8[D]", "|V5",
        "|O", "<f2", R"([["a","<i4"],["b","<f8"]])", R"([["a","<i4"],["m","<f4",[2,3]]])"}) {
    auto type = from_numpy(name);
    ASSERT_TRUE(type) << name;
    EXPECT_EQ(to_numpy(*type).value(), name);
  }
}

TEST(DataType, RefusesUnknownNames) {
  for (const char* name : {"", "<", "<f3", "f", "<i16", "<q8", "|b2", "<M8", "[", "[[\"a\"]]",
                           "<S99999999999999999999", "[[[[[["}) {
    EXPECT_FALSE(from_numpy(name)) << name;
  }
  EXPECT_FALSE(from_zarr3("float12"));
  EXPECT_EQ(from_zarr3("r16")->size, 2U);
}

TEST(DataType, OrderOfSingleBytesDoesNotCount) {
  EXPECT_EQ(DataType::integer(1, ByteOrder::kBig), DataType::integer(1));
  EXPECT_FALSE(DataType::integer(2, ByteOrder::kBig) == DataType::integer(2));
}

TEST(Convert, CompoundLosesGapsAndOrder) {
  DataType stored;
  stored.kind = Kind::kCompound;
  stored.size = 8;
  stored.members = {{"a", 1, std::make_shared<DataType>(DataType::integer(2, ByteOrder::kBig))},
                    {"b", 4, std::make_shared<DataType>(DataType::unsigned_integer(4))}};
  Bytes in{9, 0x01, 0x02, 9, 4, 3, 2, 1};
  Bytes out(memory_type(stored).size);
  ASSERT_EQ(out.size(), 6U);
  ASSERT_TRUE(to_memory(stored, in, 1, out));
  EXPECT_EQ(out, (Bytes{0x02, 0x01, 4, 3, 2, 1}));
  Bytes back(8);
  ASSERT_TRUE(from_memory(stored, out, 1, back));
  EXPECT_EQ(back, (Bytes{0, 0x01, 0x02, 0, 4, 3, 2, 1}));
}

TEST(Convert, NarrowIntegersExtendTheirSign) {
  DataType stored = DataType::integer(2);
  auto layout = std::make_shared<BitLayout>();
  layout->offset = 4;
  layout->precision = 5;
  stored.layout = layout;
  Bytes in{0xF0, 0x01};  // bits 4..8 set: -1
  Bytes out(memory_type(stored).size);
  ASSERT_TRUE(to_memory(stored, in, 1, out));
  EXPECT_EQ(load_le<int16_t>(out.data()), -1);
}

TEST(Convert, HalfFloats) {
  Values values;
  values.type = DataType::floating(2);
  values.shape = {4};
  values.data = {0x00, 0x3C, 0x00, 0xC0, 0x01, 0x00, 0x00, 0x7C};
  EXPECT_EQ(values.number(0), 1.0);
  EXPECT_EQ(values.number(1), -2.0);
  EXPECT_EQ(values.number(2), 0x1p-24);
  EXPECT_TRUE(std::isinf(values.number(3)));
}

Values doubles(const std::vector<double>& numbers) {
  Values out{DataType::floating(8), {numbers.size()}, Bytes(numbers.size() * sizeof(double)), {}};
  std::memcpy(out.data.data(), numbers.data(), out.data.size());
  return out;
}

TEST(Numbers, AreCastOnlyWhereNoneChanges) {
  const DataType i1 = DataType::integer(1), u1 = DataType::unsigned_integer(1),
                 i8 = DataType::integer(8), f4 = DataType::floating(4);
  const auto cast = exact_numbers(doubles({-128, 0, 127}), i1);
  ASSERT_TRUE(cast);
  EXPECT_EQ(cast->type, i1);
  EXPECT_EQ(cast->integer(0), -128);
  EXPECT_EQ(cast->integer(2), 127);
  for (const double v : {-129.0, 128.0, 0.5, std::nan(""), static_cast<double>(INFINITY)})
    EXPECT_FALSE(exact_numbers(doubles({v}), i1)) << v;
  EXPECT_FALSE(exact_numbers(doubles({-1}), u1));
  EXPECT_TRUE(exact_numbers(doubles({255}), u1));
  EXPECT_TRUE(exact_numbers(doubles({0.5, std::nan(""), INFINITY}), f4));
  EXPECT_FALSE(exact_numbers(doubles({0.1}), f4));
  EXPECT_FALSE(exact_numbers(doubles({9223372036854775808.0}), i8));
  EXPECT_TRUE(exact_numbers(make_integer(INT64_MAX), DataType::unsigned_integer(8)));
  EXPECT_FALSE(exact_numbers(make_integer(-1), DataType::unsigned_integer(8)));
  EXPECT_FALSE(exact_numbers(make_integer(INT64_MAX), DataType::floating(8)));
  EXPECT_FALSE(exact_numbers(make_text("1"), i1));
}

}  // namespace
}  // namespace upwell
