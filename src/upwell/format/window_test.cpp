#include "format/window.hpp"

#include <gtest/gtest.h>

namespace upwell::format {
namespace {

Bytes counting(size_t n, uint8_t from = 0) {
  Bytes bytes(n);
  for (size_t i = 0; i < n; ++i) bytes[i] = static_cast<uint8_t>(from + i);
  return bytes;
}

TEST(WindowTest, AsksForWhatIsMissingOnce) {
  Window window(100);
  EXPECT_EQ(window.get(10, 5).error().code, Code::kNeedBytes);
  EXPECT_EQ(window.get(12, 10, 40).error().code, Code::kNeedBytes);
  EXPECT_EQ(window.get(90, 5, 4096).error().code, Code::kNeedBytes);
  EXPECT_EQ(window.take_missing(), (std::vector<io::Range>{{10, 42}, {90, 10}}));
  EXPECT_TRUE(window.take_missing().empty());
}

TEST(WindowTest, ReadsAheadInBlocksWithinTheObject) {
  Window window(10000);
  window.read_ahead(4096);
  EXPECT_FALSE(window.get(2100, 5));
  EXPECT_EQ(window.take_missing(), (std::vector<io::Range>{{0, 6656}}));
  EXPECT_FALSE(window.get(9990, 5));
  EXPECT_EQ(window.take_missing(), (std::vector<io::Range>{{3584, 10000 - 3584}}));
}

TEST(WindowTest, MissingLeavesOutWhatIsThere) {
  Window window(100);
  window.add(20, SharedBytes(counting(10)));
  EXPECT_FALSE(window.get(10, 40));
  EXPECT_EQ(window.take_missing(), (std::vector<io::Range>{{10, 10}, {30, 20}}));
}

TEST(WindowTest, OverlaysWhatIsThereAndWhatComes) {
  Window window(100);
  window.add(0, SharedBytes(counting(20)));
  ByteSpan old = *window.get(5, 3);
  window.overlay(4, SharedBytes(Bytes(2, 200)));
  window.overlay(18, SharedBytes(Bytes(4, 201)));
  window.add(16, SharedBytes(counting(20, 16)));
  auto all = window.get(0, 36);
  ASSERT_TRUE(all);
  for (size_t i = 0; i < 36; ++i)
    EXPECT_EQ((*all)[i], i == 4 || i == 5 ? 200 : i >= 18 && i < 22 ? 201 : i) << i;
  EXPECT_EQ(old[0], 5);
  EXPECT_EQ(window.held(), 36U);
}

TEST(WindowTest, JoinsPartsAndKeepsOldSpans) {
  Window window(100);
  window.add(0, SharedBytes(counting(10)));
  window.add(10, SharedBytes(counting(10, 10)));
  ByteSpan old = *window.get(2, 4);
  auto joined = window.get(5, 10);
  ASSERT_TRUE(joined);
  for (size_t i = 0; i < 10; ++i) EXPECT_EQ((*joined)[i], 5 + i);
  EXPECT_EQ(old[0], 2);
  EXPECT_EQ(old[3], 5);
  EXPECT_EQ(window.held(), 20U);
}

TEST(WindowTest, OverlappingPartsDoNotReplaceEachOther) {
  Window window(30);
  window.add(5, SharedBytes(counting(5, 5)));
  window.add(15, SharedBytes(counting(5, 15)));
  window.add(0, SharedBytes(counting(30)));
  auto all = window.get(0, 30);
  ASSERT_TRUE(all);
  for (size_t i = 0; i < 30; ++i) EXPECT_EQ((*all)[i], i);
  EXPECT_EQ(window.held(), 30U);
}

TEST(WindowTest, PassingTheEndIsInvalid) {
  Window window(16);
  EXPECT_EQ(window.get(10, 7).error().code, Code::kInvalidData);
  EXPECT_EQ(window.get(~uint64_t{0}, 8).error().code, Code::kInvalidData);
  EXPECT_EQ(window.get(8, ~uint64_t{0}).error().code, Code::kInvalidData);
  EXPECT_TRUE(window.take_missing().empty());
  window.add(0, SharedBytes(counting(16)));
  EXPECT_EQ(window.get_up_to(10, 100)->size(), 6U);
}

}  // namespace
}  // namespace upwell::format
