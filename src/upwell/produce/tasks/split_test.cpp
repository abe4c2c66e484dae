#include "produce/tasks/split.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace upwell::produce {
namespace {

using ::testing::ElementsAre;
using Indices = std::vector<size_t>;

Indices subset(size_t n, const SubsetOptions& options) {
  auto chosen = choose_subset(n, options);
  EXPECT_TRUE(chosen) << options.mode;
  return chosen.value_or(Indices{});
}

TEST(Split, ByCountAsTheirs) {
  auto parts = split_by_count(10, 6);
  ASSERT_TRUE(parts);
  ASSERT_EQ(parts->size(), 6U);
  EXPECT_EQ((*parts)[0].name, "001");
  EXPECT_THAT((*parts)[4].tasks, ElementsAre(8, 9));
  EXPECT_TRUE((*parts)[5].tasks.empty());
  EXPECT_FALSE(split_by_count(10, 0));
}

TEST(Split, ByWeight) {
  auto parts = split_by_weight({50, 50, 1, 1, 1, 1, 48, 48}, 2);
  ASSERT_TRUE(parts);
  ASSERT_EQ(parts->size(), 2U);
  EXPECT_THAT((*parts)[0].tasks, ElementsAre(0, 1));
  EXPECT_EQ(split_by_weight({5, 5}, 9)->size(), 2U);
  EXPECT_EQ(split_by_weight({}, 3)->size(), 1U);
  EXPECT_EQ(split_by_weight({0, 0, 0}, 2)->size(), 1U);
  EXPECT_EQ(split_by_weight({1, 1, 1000}, 3)->back().tasks, Indices{2});
}

TEST(Split, ByTime) {
  auto parts =
      split_by_time({"1992-02-15T12:00:00", "", "1992-01-16T18:00:00", "1993-01-01T00:00:00"}, 4);
  ASSERT_EQ(parts.size(), 3U);
  EXPECT_EQ(parts[0].name, "1992");
  EXPECT_THAT(parts[0].tasks, ElementsAre(0, 2));
  EXPECT_EQ(parts[2].name, "time_invariant");
}

TEST(Subset, Modes) {
  EXPECT_THAT(subset(5, {.mode = "first", .count = 2}), ElementsAre(0, 1));
  EXPECT_THAT(subset(5, {.mode = "last", .count = 2}), ElementsAre(3, 4));
  EXPECT_EQ(subset(5, {.mode = "last", .count = 12}).size(), 5U);
  EXPECT_THAT(subset(10, {.mode = "first-middle-last"}), ElementsAre(0, 5, 9));
  EXPECT_THAT(subset(2, {.mode = "first-middle-last"}), ElementsAre(0, 1));
  EXPECT_THAT(subset(25, {.mode = "every-nth"}), ElementsAre(0, 10, 20));
  EXPECT_THAT(subset(5, {.mode = "alternating"}), ElementsAre(0, 2, 4));
  EXPECT_THAT(subset(10, {.mode = "spread", .count = 4}), ElementsAre(0, 3, 6, 9));
  EXPECT_THAT(subset(10, {.mode = "bookends", .count = 2}), ElementsAre(0, 1, 8, 9));
  EXPECT_EQ(subset(10, {.mode = "bookends", .count = 5}).size(), 10U);
  EXPECT_THAT(subset(10, {.mode = "indices", .indices = {7, 0}}), ElementsAre(7, 0));
  EXPECT_EQ(subset(10, {.mode = "percentage", .percent = 25}).size(), 2U);
  EXPECT_EQ(subset(10, {.mode = "percentage", .percent = 0}).size(), 1U);
  EXPECT_TRUE(subset(0, {.mode = "first"}).empty());
  EXPECT_FALSE(choose_subset(10, {.mode = "indices", .indices = {10}}));
  EXPECT_FALSE(choose_subset(10, {.mode = "spread", .count = 1}));
  EXPECT_FALSE(choose_subset(10, {.mode = "percentage", .percent = 101}));
  EXPECT_FALSE(choose_subset(10, {.mode = "some"}));
}

// As Python 3.11 prints them: random.seed(42); random.sample(range(n), k).
TEST(Subset, RandomAsPython) {
  EXPECT_THAT(python_sample(18, 5, 42), ElementsAre(3, 0, 8, 17, 14));
  EXPECT_THAT(python_sample(1000, 12, 42),
              ElementsAre(654, 114, 25, 759, 281, 250, 228, 142, 754, 104, 692, 758));
  EXPECT_THAT(python_sample(50, 6, 0), ElementsAre(24, 48, 26, 2, 16, 32));
  EXPECT_THAT(python_sample(12, 12, -7), ElementsAre(5, 2, 6, 0, 1, 9, 4, 8, 10, 3, 11, 7));
  EXPECT_THAT(python_sample(400, 3, 1099511627781), ElementsAre(258, 264, 137));
}

}  // namespace
}  // namespace upwell::produce
