#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "refs/parquet/encodings.hpp"
#include "refs/parquet/reader.hpp"
#include "refs/parquet/writer.hpp"

namespace upwell::parquet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::vector<OutColumn> reference_table(size_t rows) {
  std::vector<OutColumn> columns(4);
  columns[0] = {"path", OutColumn::Kind::kText, {}, {"s3://b/a.nc", "s3://b/b.nc"}, {}};
  columns[1].name = "offset";
  columns[2].name = "size";
  columns[3] = {"raw", OutColumn::Kind::kBytes, {}, {std::string("\0\xff", 2)}, {}};
  for (size_t i = 0; i < rows; ++i) {
    columns[0].rows.push_back(i % 3 == 2 ? OutColumn::kNull : static_cast<uint32_t>(i / 40 % 2));
    columns[1].integers.push_back(static_cast<int64_t>(i) << 30);
    columns[2].integers.push_back(static_cast<int64_t>(i));
    columns[3].rows.push_back(i % 7 == 2 ? 0 : OutColumn::kNull);
  }
  return columns;
}

TEST(Parquet, WhatIsWrittenIsRead) {
  for (const size_t rows : {size_t{1}, size_t{8}, size_t{1000}}) {
    const auto table = reference_table(rows);
    auto file = write_table(table);
    ASSERT_TRUE(file) << file.error().to_string();
    auto columns = read_columns(*file);
    ASSERT_TRUE(columns) << columns.error().to_string();
    ASSERT_EQ(columns->size(), 4U);
    const Column& path = (*columns)[0];
    EXPECT_TRUE(path.utf8);
    for (size_t i = 0; i < rows; ++i) {
      ASSERT_EQ(path.is_null(i), table[0].rows[i] == OutColumn::kNull) << i;
      if (!path.is_null(i)) {
        ASSERT_EQ(as_text(path.value(path.values[i])), table[0].values[table[0].rows[i]]);
      }
      ASSERT_EQ((*columns)[1].integers[i], table[1].integers[i]);
      ASSERT_EQ((*columns)[3].values[i] == Column::kNoValue, table[3].rows[i] == OutColumn::kNull);
    }
    EXPECT_LE(path.ends.size(), 2U) << "a dictionary keeps each path once";
  }
}

TEST(Parquet, ColumnsAreChosenByName) {
  const auto file = write_table(reference_table(5)).value();
  const auto columns = read_columns(file, {"size", "nothing", "path"});
  ASSERT_TRUE(columns);
  ASSERT_EQ(columns->size(), 2U);
  EXPECT_EQ((*columns)[0].name, "size");
  EXPECT_EQ((*columns)[1].name, "path");
}

TEST(Parquet, LimitsHold) {
  const auto file = write_table(reference_table(100)).value();
  EXPECT_EQ(read_columns(file, {}, {99, 1 << 20}).error().code, Code::kResourceExhausted);
  EXPECT_EQ(read_columns(file, {}, {100, 16}).error().code, Code::kResourceExhausted);
}

TEST(Parquet, CutAndChangedFilesAreErrorsOrHarmless) {
  const auto file = write_table(reference_table(50)).value();
  for (size_t n = 0; n < file.size(); ++n) {
    EXPECT_FALSE(read_columns(ByteSpan(file).first(n))) << n;
  }
  for (size_t i = 0; i < file.size(); ++i) {
    for (const uint8_t change : {0x01, 0x80, 0xFF}) {
      Bytes broken = file;
      broken[i] ^= change;
      (void)read_columns(broken, {}, {1 << 12, 1 << 20});
    }
  }
}

TEST(Parquet, UnevenColumnsAreRefused) {
  auto table = reference_table(3);
  table[1].integers.pop_back();
  EXPECT_THAT(write_table(table).error().to_string(), HasSubstr("offset"));
  table = reference_table(3);
  table[0].rows[0] = 2;
  EXPECT_EQ(write_table(table).error().code, Code::kInvalidArgument);
}

TEST(Hybrid, RandomValuesOfEveryWidth) {
  std::mt19937 random(1);
  for (uint32_t width = 1; width <= 32; ++width) {
    std::vector<uint32_t> values;
    while (values.size() < 300) {
      const auto v = static_cast<uint32_t>(random() & (width == 32 ? ~0U : (1U << width) - 1));
      values.insert(values.end(), random() % 4 == 0 ? random() % 20 : 1, v);
    }
    const Bytes encoded = encode_hybrid(values, width);
    ByteCursor in(encoded);
    EXPECT_EQ(decode_hybrid(in, width, values.size()).value(), values) << width;
    EXPECT_EQ(in.left(), 0U);
  }
}

TEST(Delta, ExampleOfTheSpecification) {
  // 1..5: deltas are all 1, so no bits.
  const Bytes bytes = {0x80, 0x01, 4, 5, 2, 2, 0, 0, 0, 0};
  ByteCursor in(bytes);
  EXPECT_THAT(decode_delta(in, 5).value(), ElementsAre(1, 2, 3, 4, 5));
  ByteCursor again(bytes);
  EXPECT_FALSE(decode_delta(again, 6));
}

}  // namespace
}  // namespace upwell::parquet
