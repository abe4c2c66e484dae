#include "io/egress_budget.hpp"

#include <gtest/gtest.h>

namespace upwell::io {
namespace {

TEST(EgressBudget, CountsWhatCameAndWhatIsOnItsWay) {
  EgressBudget budget(100);
  EXPECT_TRUE(budget.check(100, "all"));
  EXPECT_TRUE(budget.reserve(60));
  EXPECT_FALSE(budget.reserve(41));
  EXPECT_EQ(budget.left(), 40u);
  budget.settle(60, 10);  // it broke off
  EXPECT_EQ(budget.left(), 90u);
  budget.settle(0, 200);  // more than was told
  EXPECT_EQ(budget.left(), 0u);
  EXPECT_FALSE(budget.reserve(1));
  const auto refused = budget.check(20'000'000, "reading sst");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kOverBudget);
  EXPECT_NE(refused.error().message.find("reading sst takes 20.00 MB"), std::string::npos)
      << refused.error().message;
  EXPECT_EQ(exit_status(Code::kOverBudget), 64);
}

TEST(EgressBudget, SaysWhatIsLeftInUnitsThatShowIt) {
  EgressBudget budget(120'000);
  budget.settle(0, 12'800);
  EXPECT_EQ(budget.state(), "the budget is 120.0 kB, of which 12.8 kB are spent");
  EXPECT_TRUE(budget.reserve(9'000));
  EXPECT_EQ(budget.refusal_of(2'500'000, "reading this"),
            "reading this takes 2.50 MB: the budget is 120.0 kB, of which 12.8 kB are spent and "
            "9000 B on their way; select less, or raise --budget");
}

}  // namespace
}  // namespace upwell::io
