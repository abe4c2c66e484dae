#include "produce/tasks/job_file.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace upwell::produce {
namespace {

using ::testing::HasSubstr;

std::vector<Job> jobs_of(const std::string& text) {
  auto jobs = parse_job_file(text, "jobs.txt");
  EXPECT_TRUE(jobs) << jobs.error().to_string();
  return jobs.value_or(std::vector<Job>{});
}

std::string fault_of(const std::string& text) {
  auto jobs = parse_job_file(text, "jobs.txt");
  EXPECT_FALSE(jobs) << text;
  if (jobs) return "";
  EXPECT_EQ(jobs.error().code, Code::kInvalidData);
  return jobs.error().message;
}

TEST(JobFile, LinesCommentsAndBlanks) {
  const auto jobs = jobs_of(
      "\xEF\xBB\xBF\n# native:\n\n[0, 'native','AVG_MON','all']   # sea level\r\n"
      "   \t\n(15,\"latlon\",\"avg_day\",[12, 0x24, 1_000],)\n3, '1d', 'snap', [732]");
  ASSERT_EQ(jobs.size(), 3U);
  EXPECT_EQ(jobs[0].line, 4U);
  EXPECT_EQ(jobs[0].grouping, 0);
  EXPECT_EQ(jobs[0].type, ProductType::kNative);
  EXPECT_EQ(jobs[0].frequency, Frequency::kMonthly);
  EXPECT_TRUE(jobs[0].times.all);
  EXPECT_EQ(jobs[1].line, 6U);
  EXPECT_EQ(jobs[1].type, ProductType::kLatLon);
  EXPECT_EQ(jobs[1].frequency, Frequency::kDaily);
  ASSERT_EQ(jobs[1].times.items.size(), 3U);
  EXPECT_EQ(jobs[1].times.items[1].first, 36);
  EXPECT_EQ(jobs[1].times.items[2].first, 1000);
  EXPECT_EQ(jobs[2].type, ProductType::k1D);
  EXPECT_EQ(jobs[2].frequency, Frequency::kSnapshot);
}

TEST(JobFile, TimeInvariant) {
  const auto jobs = jobs_of("[20,'native','TI','all']\n[0,'native','Time-Invariant','in/G.nc']\n");
  ASSERT_EQ(jobs.size(), 2U);
  EXPECT_EQ(jobs[0].frequency, Frequency::kTimeInvariant);
  EXPECT_EQ(jobs[0].input_netcdf, "");
  EXPECT_EQ(jobs[1].input_netcdf, "in/G.nc");
  EXPECT_THAT(fault_of("[20,'native','TI',[1]]"), HasSubstr("jobs.txt:1:19: "));
}

TEST(JobFile, EveryBadLineIsNamed) {
  const std::string fault = fault_of(
      "[0,'native','AVG_MON','all'\n"
      "[0,'native','AVG_MON','all']\n"
      "[0,native,'AVG_MON','all']\n"
      "[0,'natve','AVG_MON','all']\n"
      "[0,'native','MONTHLY','all']\n"
      "[0,'native','AVG_MON']\n"
      "[-1,'native','AVG_MON','all']\n"
      "[0.5,'native','AVG_MON','all']\n"
      "[0,'native','AVG_MON','every']\n"
      "[0,'native','AVG_MON',[7.5]]\n"
      "[0,'native','AVG_MON','all'] x\n"
      "{0:1}\n"
      "hello\n");
  EXPECT_THAT(fault, HasSubstr("jobs.txt: 12 lines cannot be read as a job"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:1:1: '[' is not closed"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:3:4: 'native' is a name"));
  EXPECT_THAT(
      fault,
      HasSubstr("jobs.txt:4:4: the product type is '1D', 'latlon' or 'native', not 'natve'"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:5:13: the frequency is"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:6:1: 3 fields"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:7:2: the groupings id"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:8:2: the groupings id"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:9:23: 'every' is neither"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:10:24: a time step"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:11:30: more follows"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:12:1: a dictionary"));
  EXPECT_THAT(fault, HasSubstr("jobs.txt:13:1: 'hello' is a name"));
}

TEST(PythonLiteral, Values) {
  auto text = [](std::string_view line) {
    const LiteralResult result = parse_python_literal(line);
    EXPECT_TRUE(result.value) << line;
    return result.value && result.value->kind == PythonValue::Kind::kText ? result.value->text
                                                                          : "?";
  };
  EXPECT_EQ(text("'a' \"b\" r'\\n' u'c' # d"), "ab\\nc");
  EXPECT_EQ(text("'\\x41\\u00e9\\101\\t\\q\\''"),
            "A\xC3\xA9"
            "A\t\\q'");
  EXPECT_EQ(text("'''it's'''"), "it's");
  EXPECT_EQ(text("('one')"), "one");
  auto integer = [](std::string_view line) {
    const LiteralResult result = parse_python_literal(line);
    return result.value && result.value->kind == PythonValue::Kind::kInteger
               ? std::optional(result.value->integer)
               : std::nullopt;
  };
  EXPECT_EQ(integer("-12"), -12);
  EXPECT_EQ(integer("0b11"), 3);
  EXPECT_EQ(integer("00"), 0);
  EXPECT_EQ(integer("0732"), std::nullopt);
  EXPECT_EQ(integer("12345678901234567890123"), std::nullopt);
  EXPECT_EQ(integer("1.5"), std::nullopt);
  EXPECT_TRUE(parse_python_literal("1e-5").value);
  EXPECT_TRUE(parse_python_literal("[None, True, b'x', .5]").value);
  EXPECT_FALSE(parse_python_literal("  # only this").value);
  EXPECT_TRUE(parse_python_literal("f'x'").error);
  EXPECT_TRUE(parse_python_literal("'open").error);
  EXPECT_TRUE(parse_python_literal("[1 2]").error);
  EXPECT_TRUE(parse_python_literal(std::string(1000, '[')).error);
}

TimeSelection selection_of(const std::string& literal) {
  const LiteralResult value = parse_python_literal(literal);
  EXPECT_TRUE(value.value) << literal;
  auto result = parse_time_selection(*value.value);
  EXPECT_FALSE(result.error) << literal << ": " << result.error->message;
  return result.selection;
}

int64_t at(const std::string& time) { return parse_time_span(time)->begin; }

TEST(TimeSelection, StepsRangesAndDates) {
  const auto range = selection_of("'732..2172'");
  EXPECT_TRUE(range.selects(732, 0));
  EXPECT_TRUE(range.selects(2172, 0));
  EXPECT_FALSE(range.selects(2173, 0));
  EXPECT_TRUE(selection_of("'732..'").selects(9999, 0));
  EXPECT_FALSE(selection_of("'..732'").selects(733, 0));

  const auto year = selection_of("'1992-01/1992-12'");
  EXPECT_TRUE(year.selects(1, at("1992-01-01T00:00:00")));
  EXPECT_TRUE(year.selects(1, at("1992-12-31T23:59:59")));
  EXPECT_FALSE(year.selects(1, at("1993-01-01")));
  EXPECT_TRUE(selection_of("'1992/1992'").selects(1, at("1992-07-01")));
  EXPECT_TRUE(selection_of("'1992-02-29'").selects(1, at("1992-02-29T12")));
  EXPECT_TRUE(selection_of("'../1992-02'").selects(1, at("1990-01-01")));
  EXPECT_TRUE(selection_of("'1992-02/..'").selects(1, at("2010-01-01")));

  const auto mixed = selection_of("[12, '36..60, 1992-03', '0000000084']");
  EXPECT_EQ(mixed.items.size(), 4U);
  EXPECT_TRUE(mixed.selects(84, 0));
  EXPECT_TRUE(mixed.selects(48, 0));
  EXPECT_FALSE(mixed.selects(13, at("1992-04-01")));
  EXPECT_TRUE(mixed.selects(13, at("1992-03-31T23")));
  // A number alone is a step, not a year.
  EXPECT_FALSE(selection_of("'1992'").selects(7, at("1992-07-01")));
  EXPECT_TRUE(selection_of("'ALL'").all);
}

TEST(TimeSelection, WhatIsNone) {
  for (const char* literal : {"'1992-13'", "'1992-02-30'", "'2172..732'", "'1993/1992'", "'..'",
                              "'../..'", "''", "'1,,2'", "[]", "12", "[-1]", "[99999999999]",
                              "'12..x'", "None", "[[1]]", "'1992-01//1992-02'"}) {
    const LiteralResult value = parse_python_literal(literal);
    ASSERT_TRUE(value.value) << literal;
    EXPECT_TRUE(parse_time_selection(*value.value).error) << literal;
  }
}

}  // namespace
}  // namespace upwell::produce
