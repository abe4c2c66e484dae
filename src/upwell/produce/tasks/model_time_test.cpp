#include "produce/tasks/model_time.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "produce/dates.hpp"

namespace upwell::produce {
namespace {

using ::testing::HasSubstr;

constexpr const char* kConfig =
    "ecco_version: 'V4r4'\n"
    "model_start_time: '1992-01-01T12:00:00'\n"
    "model_end_time: '2017-12-31T12:00:00'\n"
    "model_timestep: 1\n"
    "model_timestep_units: 'h'\n";

ModelClock clock_of(const std::string& text) {
  auto config = Config::parse(text, "c.yaml");
  EXPECT_TRUE(config) << config.error().to_string();
  auto clock = model_clock(*config);
  EXPECT_TRUE(clock) << clock.error().to_string();
  return clock.value_or(ModelClock{});
}

/// "start end center"
std::string coverage(int64_t step, Frequency frequency, const std::string& config = kConfig) {
  auto result = coverage_of(clock_of(config), step, frequency);
  if (!result) return result.error().message;
  return *format_time(result->start) + " " + *format_time(result->end) + " " +
         *format_time(result->center);
}

TEST(ModelTime, MonthsOfALeapYearAndTheModelsFirstAndLast) {
  EXPECT_EQ(coverage(732, Frequency::kMonthly),
            "1992-01-01T12:00:00 1992-02-01T00:00:00 1992-01-16T18:00:00");
  EXPECT_EQ(coverage(1428, Frequency::kMonthly),
            "1992-02-01T00:00:00 1992-03-01T00:00:00 1992-02-15T12:00:00");
  EXPECT_EQ(coverage(2172, Frequency::kMonthly),
            "1992-03-01T00:00:00 1992-04-01T00:00:00 1992-03-16T12:00:00");
  EXPECT_EQ(coverage(227904, Frequency::kMonthly),
            "2017-12-01T00:00:00 2017-12-31T12:00:00 2017-12-16T06:00:00");
}

TEST(ModelTime, DaysAndTheLastButOne) {
  EXPECT_EQ(coverage(12, Frequency::kDaily),
            "1992-01-01T12:00:00 1992-01-02T00:00:00 1992-01-01T18:00:00");
  EXPECT_EQ(coverage(18, Frequency::kDaily),
            "1992-01-01T12:00:00 1992-01-02T06:00:00 1992-01-01T21:00:00");
  EXPECT_EQ(coverage(36, Frequency::kDaily),
            "1992-01-02T00:00:00 1992-01-03T00:00:00 1992-01-02T12:00:00");
  EXPECT_EQ(coverage(227904, Frequency::kDaily),
            "2017-12-31T00:00:00 2017-12-31T12:00:00 2017-12-31T06:00:00");
  // Whole, though it ends on the date on which the model ends.
  EXPECT_EQ(coverage(227892, Frequency::kDaily),
            "2017-12-30T00:00:00 2017-12-31T00:00:00 2017-12-30T12:00:00");
}

TEST(ModelTime, Snapshots) {
  EXPECT_EQ(coverage(0, Frequency::kSnapshot),
            "1992-01-01T12:00:00 1992-01-01T12:00:00 1992-01-01T12:00:00");
  EXPECT_EQ(coverage(9'999'999'999, Frequency::kSnapshot),
            "time step 9999999999 is beyond the year 9999");
}

TEST(ModelTime, AMonthBefore) {
  auto before = [](const char* time) {
    return *format_time(month_before(parse_time_span(time)->begin));
  };
  EXPECT_EQ(before("2017-12-31T12:00:00"), "2017-11-30T12:00:00");
  EXPECT_EQ(before("1992-03-31T06:30:00"), "1992-02-29T06:30:00");
  EXPECT_EQ(before("1900-03-30T00:00:00"), "1900-02-28T00:00:00");
  EXPECT_EQ(before("1992-01-15T00:00:00"), "1991-12-15T00:00:00");
  EXPECT_EQ(before("1960-01-31T23:59:59"), "1959-12-31T23:59:59");
  EXPECT_EQ(month_name(month_of(parse_time_span("1969-12-31T23")->begin)), "1969-12");
  EXPECT_EQ(day_name(day_of(-1)), "1969-12-31");
}

std::string config_fault(const std::string& text) {
  auto config = Config::parse(text, "c.yaml");
  if (!config) {
    EXPECT_EQ(config.error().code, Code::kBadConfiguration);
    return config.error().message;
  }
  auto clock = model_clock(*config);
  EXPECT_FALSE(clock);
  if (clock) return "";
  EXPECT_EQ(clock.error().code, Code::kBadConfiguration);
  return clock.error().message;
}

TEST(Config, FaultsHaveLines) {
  EXPECT_EQ(config_fault("a: 1\nmodel_start_time: yesterday\n"),
            "c.yaml:2:19: model_start_time: 'yesterday' is not a time, 'YYYY-MM-DDThh:mm:ss'");
  EXPECT_EQ(config_fault("a: 1\n"),
            "c.yaml: model_start_time: missing; wanted is a time, 'YYYY-MM-DDThh:mm:ss'");
  EXPECT_THAT(config_fault("a: 1\nb: 2\na: 3\n"), HasSubstr("c.yaml:3:1: the key 'a' occurs"));
  EXPECT_THAT(config_fault("a: [1,\nb: 2"), HasSubstr("c.yaml:"));
  EXPECT_THAT(config_fault("- 1\n"), HasSubstr("not a map"));
  EXPECT_THAT(config_fault(std::string(5000, '[')), HasSubstr("c.yaml"));
  std::string text = kConfig;
  text.replace(text.find("'h'"), 3, "'M'");
  EXPECT_THAT(config_fault(text), HasSubstr("c.yaml:5:23: model_timestep_units: 'M' is none of"));
  text = kConfig;
  text.replace(text.find("p: 1"), 4, "p: 1.5");
  EXPECT_THAT(config_fault(text),
              HasSubstr("c.yaml:4:17: model_timestep: '1.5' is not an integer"));
}

TEST(Config, Values) {
  auto config = Config::parse(
      "ecco_production_filestr_grid_label:\n  latlon: '0p50deg'\n  none:\n"
      "geospatial_vertical_min: -6134.5\nsummary:\n",
      "c");
  ASSERT_TRUE(config);
  EXPECT_EQ(*config->member("ecco_production_filestr_grid_label", "latlon"), "0p50deg");
  EXPECT_EQ(*config->member("ecco_production_filestr_grid_label", "native"), std::nullopt);
  EXPECT_EQ(*config->number("geospatial_vertical_min"), -6134.5);
  EXPECT_EQ(config->find("summary"), nullptr);
  EXPECT_FALSE(config->text("ecco_production_filestr_grid_label"));
}

TEST(Config, Check) {
  auto config = Config::parse(
      "array_percision: float32\nmodel_timestep: soon\nhistory: [1, 2]\nsource:\n"
      "latlon_grid_area_extent: 5\nlatlon_effective_grid_radius: ''\nsummary: text\n",
      "c");
  ASSERT_TRUE(config);
  const Config::Check check = config->check();
  EXPECT_THAT(check.unread, testing::ElementsAre("c:1: array_percision"));
  EXPECT_THAT(check.wrong,
              testing::UnorderedElementsAre("c:2:17: model_timestep: 'soon' is not an integer",
                                            "c:3:10: history: wanted is a text",
                                            "c:5:26: latlon_grid_area_extent: wanted is a list"));
  EXPECT_THAT(check.absent, testing::IsSupersetOf({"array_precision", "source", "ecco_version"}));
  EXPECT_EQ(check.read, 6U);
}

}  // namespace
}  // namespace upwell::produce
