#include "serve/byte_budget.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

namespace upwell::serve {
namespace {

TEST(ByteBudget, WhatCanNeverFitIsRefusedAtOnce) {
  ByteBudget budget(100);
  auto lease = budget.take(101);
  ASSERT_FALSE(lease);
  EXPECT_EQ(lease.error().code, Code::kResourceExhausted);
  EXPECT_TRUE(budget.take(100));  // given back at once
  EXPECT_TRUE(budget.take(100));
}

TEST(ByteBudget, WaitsAndGivesUp) {
  ByteBudget budget(100, 0.05);
  auto held = budget.take(60);
  ASSERT_TRUE(held);
  EXPECT_TRUE(budget.take(40));
  auto late = budget.take(41);
  ASSERT_FALSE(late);
  EXPECT_EQ(late.error().code, Code::kUnavailable);
}

TEST(ByteBudget, NeverMoreThanTheLimitAndALargeRequestIsServed) {
  ByteBudget budget(100);
  std::atomic<int> used = 0, most = 0, large = 0;
  std::vector<std::jthread> threads;
  for (int t = 0; t < 8; ++t) {
    threads.emplace_back([&, t] {
      const int bytes = t == 0 ? 100 : 10 + t;
      for (int i = 0; i < 200; ++i) {
        auto lease = budget.take(static_cast<uint64_t>(bytes));
        ASSERT_TRUE(lease);
        const int now = used += bytes;
        for (int seen = most; now > seen && !most.compare_exchange_weak(seen, now);) continue;
        if (t == 0) ++large;
        used -= bytes;
      }
    });
  }
  threads.clear();
  EXPECT_LE(most, 100);
  EXPECT_EQ(large, 200);
}

}  // namespace
}  // namespace upwell::serve
