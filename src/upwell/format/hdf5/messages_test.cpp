// Messages and types as literal bytes.

#include "format/hdf5/messages.hpp"

#include <gtest/gtest.h>

#include "format/hdf5/datatype.hpp"

namespace upwell::format::hdf5 {
namespace {

const FileFacts kFacts;

Cursor over(const std::vector<uint8_t>& bytes) { return Cursor(bytes, 1000, kFacts); }

Result<DataType> type_of(const std::vector<uint8_t>& bytes) {
  Cursor in = over(bytes);
  return read_datatype(in);
}

const std::vector<uint8_t> kInt32 = {0x10, 0x08, 0, 0, 4, 0, 0, 0, 0, 0, 32, 0};

std::vector<uint8_t> operator+(std::vector<uint8_t> a, const std::vector<uint8_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(DatatypeTest, Integers) {
  EXPECT_EQ(*type_of(kInt32), DataType::integer(4));
  auto big = type_of({0x10, 0x01, 0, 0, 2, 0, 0, 0, 0, 0, 16, 0});
  EXPECT_EQ(*big, DataType::unsigned_integer(2, ByteOrder::kBig));
  auto odd = type_of({0x10, 0x08, 0, 0, 2, 0, 0, 0, 3, 0, 12, 0});
  ASSERT_TRUE(odd && odd->layout);
  EXPECT_EQ(odd->layout->offset, 3U);
  EXPECT_EQ(odd->layout->precision, 12U);
}

TEST(DatatypeTest, FloatsOfIeeeAreCountedPlain) {
  auto plain = type_of({0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 127, 0, 0, 0});
  EXPECT_EQ(*plain, DataType::floating(4));
  auto vax = type_of({0x11, 0x61, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 23, 8, 0, 23, 129, 0, 0, 0});
  ASSERT_TRUE(vax);
  EXPECT_EQ(vax->order, ByteOrder::kVax);
  ASSERT_TRUE(vax->layout);
  EXPECT_EQ(vax->layout->exponent_bias, 129U);
  EXPECT_FALSE(type_of({0x11, 0x20, 31, 0, 4, 0, 0, 0, 0, 0, 32, 0, 30, 8, 0, 23, 127, 0, 0, 0}));
}

TEST(DatatypeTest, CompoundOfEveryVersion) {
  // Version 1: padded name, offset, dimensions of the member.
  auto v1 = type_of(std::vector<uint8_t>{0x16, 1, 0, 0, 8, 0, 0, 0, 'a', 0, 0, 0, 0, 0, 0, 0,
                                         0,    0, 0, 0, 1, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0,
                                         2,    0, 0, 0, 0, 0, 0, 0, 0,   0, 0, 0, 0, 0, 0, 0} +
                    kInt32);
  ASSERT_TRUE(v1) << v1.error().to_string();
  ASSERT_EQ(v1->members.size(), 1U);
  EXPECT_EQ(v1->members[0].type->kind, Kind::kArray);
  EXPECT_EQ(v1->members[0].type->dims, (std::vector<uint64_t>{2}));
  // Version 3: plain name, offset of one byte.
  auto v3 = type_of(std::vector<uint8_t>{0x36, 1, 0, 0, 8, 0, 0, 0, 'b', 0, 4} + kInt32);
  ASSERT_TRUE(v3) << v3.error().to_string();
  EXPECT_EQ(v3->members[0].name, "b");
  EXPECT_EQ(v3->members[0].offset, 4U);
  // A member that passes the end of its compound.
  auto bad = type_of(std::vector<uint8_t>{0x36, 1, 0, 0, 8, 0, 0, 0, 'b', 0, 5} + kInt32);
  ASSERT_FALSE(bad);
  EXPECT_NE(bad.error().message.find("'b'"), std::string::npos);
  EXPECT_NE(bad.error().message.find("1000"), std::string::npos);
}

TEST(DatatypeTest, NestingHasADepth) {
  std::vector<uint8_t> bytes;
  for (int i = 0; i < 100000; ++i)
    bytes = bytes.size() > 4000 ? bytes : bytes + std::vector<uint8_t>{0x3a, 0, 0, 0, 4, 0, 0,
                                                                       0,    1, 1, 0, 0, 0};
  auto deep = type_of(bytes + kInt32);
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().code, Code::kInvalidData);
}

TEST(DatatypeTest, EveryPrefixIsAnError) {
  auto whole = std::vector<uint8_t>{0x36, 1, 0, 0, 8, 0, 0, 0, 'b', 0, 4} + kInt32;
  for (size_t n = 0; n < whole.size(); ++n)
    EXPECT_FALSE(type_of(std::vector<uint8_t>(whole.begin(), whole.begin() + n))) << n;
}

TEST(DataspaceTest, KindsAndLimits) {
  auto scalar = std::vector<uint8_t>{2, 0, 0, 0};
  Cursor in = over(scalar);
  EXPECT_TRUE(read_dataspace(in)->shape.empty());
  auto null = std::vector<uint8_t>{2, 0, 0, 2};
  in = over(null);
  EXPECT_TRUE(read_dataspace(in)->null_space);
  auto unlimited = std::vector<uint8_t>{2, 1, 1,    1,    5,    0,    0,    0,    0,    0,
                                        0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
  in = over(unlimited);
  auto space = read_dataspace(in);
  ASSERT_TRUE(space);
  EXPECT_EQ(space->shape, Shape{5});
  EXPECT_EQ(space->max_shape, Shape{kUndefined});
  auto rank = std::vector<uint8_t>{2, 33, 0, 1};
  in = over(rank);
  EXPECT_FALSE(read_dataspace(in));
  std::vector<uint8_t> huge = {2, 2, 0, 1};
  huge.insert(huge.end(), 16, 0x7f);
  in = over(huge);
  EXPECT_FALSE(read_dataspace(in));
}

TEST(LayoutTest, Version3AndOldAgree) {
  std::vector<uint8_t> v3 = {3, 2, 2, 8, 0, 0, 0, 0, 0, 0, 0, 10, 0, 0, 0, 4, 0, 0, 0};
  std::vector<uint8_t> v1 = {1, 2, 2, 0, 0,  0, 0, 0, 8, 0, 0, 0,
                             0, 0, 0, 0, 10, 0, 0, 0, 4, 0, 0, 0};
  for (const auto& bytes : {v3, v1}) {
    Cursor in = over(bytes);
    auto layout = read_layout(in);
    ASSERT_TRUE(layout) << layout.error().to_string();
    EXPECT_EQ(layout->cls, Layout::Class::kChunked);
    EXPECT_EQ(layout->address, 8U);
    EXPECT_EQ(layout->chunk, Shape{10});
    EXPECT_EQ(layout->element_size, 4U);
  }
}

TEST(LayoutTest, CompactKnowsWhereItsBytesAre) {
  std::vector<uint8_t> bytes = {3, 0, 2, 0, 7, 8};
  Cursor in = over(bytes);
  auto layout = read_layout(in);
  ASSERT_TRUE(layout);
  EXPECT_EQ(layout->compact_offset, 1004U);
  EXPECT_EQ(layout->compact.size(), 2U);
  bytes[2] = 3;
  in = over(bytes);
  EXPECT_FALSE(read_layout(in));
}

TEST(FiltersTest, BothVersions) {
  std::vector<uint8_t> v1 = {1,   1, 0, 0, 0, 0, 0, 0, 1, 0, 8, 0, 1, 0, 1, 0,
                             'd', 0, 0, 0, 0, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0};
  std::vector<uint8_t> v2 = {2, 1, 1, 0, 1, 0, 1, 0, 6, 0, 0, 0};
  for (const auto& bytes : {v1, v2}) {
    Cursor in = over(bytes);
    auto filters = read_filters(in);
    ASSERT_TRUE(filters) << filters.error().to_string();
    ASSERT_EQ(filters->size(), 1U);
    EXPECT_EQ(filters->at(0).id, 1);
    EXPECT_EQ(filters->at(0).values, std::vector<uint32_t>{6});
    EXPECT_EQ(to_codecs(*filters, 4)->at(0).id, "zlib");
  }
}

TEST(FillTest, DefaultIsNotAValue) {
  std::vector<uint8_t> none = {3, 0x0a};
  Cursor in = over(none);
  EXPECT_FALSE(read_fill(in)->has_value());
  std::vector<uint8_t> set = {3, 0x2a, 2, 0, 0, 0, 0x12, 0x34};
  in = over(set);
  auto fill = read_fill(in);
  ASSERT_TRUE(fill && *fill);
  EXPECT_EQ((**fill)[1], 0x34);
}

TEST(LinkTest, KindsOfLinks) {
  std::vector<uint8_t> hard = {1, 0x04, 7, 0, 0, 0, 0, 0, 0, 0, 1, 'a', 96, 0, 0, 0, 0, 0, 0, 0};
  Cursor in = over(hard);
  auto link = read_link(in);
  ASSERT_TRUE(link) << link.error().to_string();
  EXPECT_EQ(link->name, "a");
  EXPECT_EQ(link->address, 96U);
  EXPECT_EQ(link->order, 7U);
  std::vector<uint8_t> external = {1, 0x08, 64, 1, 'e', 5, 0, 0, 'f', 0, 'p', 0};
  in = over(external);
  link = read_link(in);
  ASSERT_TRUE(link) << link.error().to_string();
  EXPECT_EQ(link->file, "f");
  EXPECT_EQ(link->path, "p");
}

}  // namespace
}  // namespace upwell::format::hdf5
