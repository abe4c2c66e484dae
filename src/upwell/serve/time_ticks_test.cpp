#include "serve/time_ticks.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace upwell::serve {
namespace {

using testing::ElementsAre;

std::vector<std::string> words(const std::string& units, double low, double high, int wanted = 6,
                               const std::string& calendar = "standard") {
  auto parsed = cf::parse_time_units(units, calendar);
  EXPECT_TRUE(parsed);
  std::vector<std::string> out;
  double last = -1e300;
  for (const draw::Tick& tick : time_ticks(*parsed, low, high, wanted)) {
    EXPECT_GE(tick.position, low);
    EXPECT_LE(tick.position, high);
    EXPECT_GT(tick.position, last);
    last = tick.position;
    out.push_back(tick.text);
  }
  return out;
}

TEST(TimeTicks, LieOnDatesThatPeopleCountBy) {
  EXPECT_THAT(words("days since 2000-01-01", 14.5, 3650),
              ElementsAre("2002", "2004", "2006", "2008"));
  EXPECT_THAT(words("days since 2000-01-01", 10, 150),
              ElementsAre("2000-02", "2000-03", "2000-04", "2000-05"));
  EXPECT_THAT(words("hours since 2000-02-27", 6, 78),
              ElementsAre("2000-02-27 12:00", "2000-02-28 00:00", "2000-02-28 12:00",
                          "2000-02-29 00:00", "2000-02-29 12:00", "2000-03-01 00:00"));
  EXPECT_THAT(words("seconds since 2000-01-01", 0.5, 3),
              ElementsAre("2000-01-01 00:00:01", "2000-01-01 00:00:02", "2000-01-01 00:00:03"));
}

TEST(TimeTicks, FollowTheCalendar) {
  const auto ticks = words("days since 2001-01-01", 25, 65, 40, "360_day");
  EXPECT_THAT(ticks, testing::Contains("2001-02-30"));
  EXPECT_THAT(words("days since 0001-01-01", 0, 365 * 30, 3), ElementsAre("0010", "0020", "0030"));
}

TEST(TimeTicks, AreNoneWhereThereIsNoTime) {
  EXPECT_TRUE(words("days since 2001-01-01", 5, 5).empty());
  EXPECT_TRUE(words("days since 2001-01-01", -1e300, 1e300).empty());
  EXPECT_TRUE(words("days since 2001-01-01", NAN, 1).empty());
}

}  // namespace
}  // namespace upwell::serve
