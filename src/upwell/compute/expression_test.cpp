#include "compute/expression.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <optional>

namespace upwell::compute {
namespace {

/// The condition with a, b and c of these values and units, or the message.
struct Given {
  double a = 0, b = 0, c = 0;
  DataType type = DataType::floating(8);
  std::string units = {};
  std::optional<DataType> type_of_c = {};
  std::optional<std::string> units_of_c = {};
  bool whole = false;
};

std::string outcome(const std::string& text, const Given& given = {}) {
  auto condition = Condition::parse(text);
  if (!condition) return condition.error().message;
  std::vector<VariableFacts> facts;
  std::vector<std::vector<double>> values;
  for (const std::string& name : condition->names()) {
    const bool whole = given.whole || given.type.kind != Kind::kFloat;
    facts.push_back({name == "c" ? given.type_of_c.value_or(given.type) : given.type,
                     name == "c" ? given.units_of_c.value_or(given.units) : given.units, whole});
    values.push_back({name == "a" ? given.a : name == "b" ? given.b : given.c});
  }
  const auto bound = condition->bind(facts);
  if (!bound) return bound.error().message;
  std::vector<const double*> columns;
  for (const auto& value : values) columns.push_back(value.data());
  std::vector<double> scratch;
  uint8_t holds = 2;
  condition->evaluate(columns, 1, scratch, &holds);
  return holds == 1 ? "yes" : "no";
}

TEST(Condition, MeansWhatPythonMeans) {
  const Given given{2, 3, NAN, DataType::floating(8), ""};
  for (const char* text : {"a < b",
                           "a <= 2",
                           "b > a",
                           "b >= 3",
                           "a == 2",
                           "a != b",
                           "a < 1 or b > 1",
                           "a < 3 and b > 1",
                           "not a > 2",
                           "!(a > 2)",
                           "a < 1 || b > 1 && a == 2",
                           "1 < a < b < 4",
                           "a in (1, 2)",
                           "a not in (1, 3)",
                           "a + b * 2 == 8",
                           "(a + b) * 2 == 10",
                           "-a < -1",
                           "a - -1 == b",
                           "b / a == 1.5",
                           "isnan(c)",
                           "not isnan(a)",
                           "isfinite(b)",
                           "not isfinite(c)",
                           "abs(a - b) == 1",
                           "c != c",
                           "not (c < 1)",
                           "'a' < \"b\"",
                           "a < 1e3",
                           "a - 1 - 1 == 0",
                           "(a < 3) & (b > 1)",
                           "(a > 3) | isnan(c)",
                           "2 == a"})
    EXPECT_EQ(outcome(text, given), "yes") << text;
  for (const char* text : {"c < 1", "c >= 1", "c == c", "a > b", "1 < a < 2", "b in (1, 2)",
                           "a < 3 and not b > 1", "a == 1 or b == 1"})
    EXPECT_EQ(outcome(text, given), "no") << text;
}

TEST(Condition, NumbersBesideFloat32AreFloat32) {
  const Given given{static_cast<double>(0.15F), 0, 0, DataType::floating(4), ""};
  EXPECT_EQ(outcome("a <= 0.15", given), "yes") << "as numpy: 0.15 is no double here";
  EXPECT_EQ(outcome("a == 0.15", given), "yes");
  EXPECT_EQ(outcome("a * 3 == 0.45", {static_cast<double>(0.15F), 0, 0, DataType::floating(4)}),
            static_cast<float>(0.15F * 3) == 0.45F ? "yes" : "no");
  EXPECT_EQ(outcome("a == 0.15", {static_cast<double>(0.15F), 0, 0, DataType::floating(8)}), "no");
}

// What is calculated of written numbers is one written number, as Python makes of it before NumPy
// sees it; each place rounds it by itself.
TEST(Condition, WrittenArithmeticIsANumber) {
  Given given{static_cast<double>(0.3F), 0, 0.1, DataType::floating(4), ""};
  given.type_of_c = DataType::floating(8);
  for (const char* text :
       {"a == 0.1 * 3", "a == 0.1 + 0.2", "a == -0.6 / -2", "a == abs(-0.3)", "a == -(0.1 * -3)",
        "0.1 * 3 == a", "0.1 not in (a, b)", "0.1 in (a, c)", "0.05 + 0.05 in (b, c)"})
    EXPECT_EQ(outcome(text, given), "yes") << text;
  EXPECT_EQ(outcome("0.1 in (a, b, c)", given), "yes") << "rounded for a and b, not for c";
  EXPECT_EQ(outcome("b < 0.1 < c", given), "no");
  EXPECT_THAT(outcome("a < 1 / 0", given), testing::HasSubstr("the result is no number"));
}

TEST(Condition, BitsOfIntegers) {
  const Given given{6, 0, 0, DataType::integer(1), ""};
  EXPECT_EQ(outcome("(a & 2) == 2", given), "yes");
  EXPECT_EQ(outcome("a & 1 == 0", given), "yes") << "& binds closer than ==, as in Python";
  EXPECT_THAT(outcome("(a & 2) == 2", {6, 0, 0, DataType::floating(4)}),
              testing::HasSubstr("& is of two integers"));
  // Flags with a _FillValue are floats once they are decoded.
  Given flags{6, NAN, 0, DataType::floating(4), ""};
  flags.whole = true;
  EXPECT_EQ(outcome("(a & 2) == 2", flags), "yes");
  EXPECT_EQ(outcome("(b & 2) == 2 or (b & 2) == 0 or b & 1 < 5", flags), "no");
  EXPECT_EQ(outcome("isnan(b & 2) and b & 2 != 2", flags), "yes");
  for (const char* text : {"(a / 2) & 1 == 1", "(a & 2.0) == 2", "(a & 2 m) == 2", "(a < 1) & 1"})
    EXPECT_NE(outcome(text, flags), "yes") << text;
}

TEST(Condition, UnitsAreConverted) {
  const Given kelvin{280, 0, 0, DataType::floating(8), "kelvin"};
  EXPECT_EQ(outcome("a > 5 degC", kelvin), "yes");
  EXPECT_EQ(outcome("a > 7 degC", kelvin), "no");
  EXPECT_EQ(outcome("-5 degC < a < 45 degF", kelvin), "yes");
  EXPECT_EQ(outcome("a > 5 K", kelvin), "yes");
  EXPECT_EQ(outcome("a in (280 K, 7 degC)", kelvin), "yes");
  EXPECT_EQ(outcome("a < 11 'km h-1'", {3, 0, 0, DataType::floating(8), "m s-1"}), "yes");
  EXPECT_EQ(outcome("a < 15 %", {0.1, 0, 0, DataType::floating(8), "1"}), "yes");
  EXPECT_THAT(outcome("a > 5 m", kelvin), testing::HasSubstr("cannot be converted to 'kelvin'"));
  EXPECT_THAT(outcome("a > 5 degC", {1, 0, 0, DataType::floating(8), "C"}),
              testing::HasSubstr("write the number without a unit"));
  EXPECT_THAT(outcome("a - 273.15 > 5 degC", kelvin), testing::HasSubstr("different zeros"));
  EXPECT_THAT(outcome("a > 5 degC", {1, 0, 0, DataType::floating(8), ""}),
              testing::HasSubstr("no units"));
}

TEST(Condition, UnitsOfSeveralPartsStandInQuotes) {
  const Given speed{3, 0, 0, DataType::floating(8), "m s-1"};
  for (const auto& [text, unit] : {std::pair{"a < 5 m s-1", "'m s-1'"},
                                   {"a < 5 m/s", "'m/s'"},
                                   {"0 m s^-1 < a", "'m s^-1'"},
                                   {"a < 5 m s**-1 and a > 1", "'m s**-1'"},
                                   {"a < 5 m / s and a > 2", "'m / s'"}})
    EXPECT_THAT(outcome(text, speed), testing::HasSubstr(std::string("in quotes: ") + unit));
  EXPECT_EQ(outcome("a < 5 'm/s'", speed), "yes");
  EXPECT_EQ(outcome("a > 259199999 'mm/day' and a < 259200001 \"mm day⁻¹\"", speed), "yes");
  EXPECT_THAT(outcome("a > 5 µm", speed), testing::HasSubstr("stand in quotes: 5 '°C'"));
  const Given length{3, 2, 0, DataType::floating(8), "m"};
  for (const char* text : {"a < 5 m and b < 3 m", "a < 5 m or b > 1", "a in (3 m, 4 m)",
                           "a < 6 m-b", "a < 6 m - b", "not a > 5 m"})
    EXPECT_EQ(outcome(text, length), "yes") << text;
}

TEST(Condition, FractionsBesidePercentAreDoubted) {
  auto doubt = [](const char* text, const char* units) {
    auto condition = Condition::parse(text);
    EXPECT_TRUE(condition && condition->bind({{DataType::floating(4), units}})) << text;
    return condition->doubt();
  };
  EXPECT_EQ(doubt("ice < 0.15", "percent"),
            "0.15 is compared with percent, so it is 0.15 %; if the fraction is meant, write 15 %");
  EXPECT_THAT(doubt("0.07 <= ice", "%"), testing::HasSubstr("write 7 %"));
  for (const char* text :
       {"ice < 0", "ice < 1", "ice < 15", "ice < 0.15 %", "ice < 15 %", "ice + 0.5 < 3"})
    EXPECT_EQ(doubt(text, "%"), "") << text;
  EXPECT_EQ(doubt("ice < 0.15", "1"), "");
}

TEST(Condition, UnitsWithAnotherZeroAreNotAdded) {
  Given given{10, 12, 283.15, DataType::floating(8), "degC"};
  given.units_of_c = "K";
  EXPECT_EQ(outcome("a == c", given), "yes");
  EXPECT_EQ(outcome("c == a", given), "yes");
  EXPECT_EQ(outcome("a + 2 == b", given), "yes");
  EXPECT_EQ(outcome("b - a < 3 degC", given), "yes") << "the units of both";
  EXPECT_EQ(outcome("a + 2 degC == b", given), "yes");
  for (const char* text : {"a + 5 K > 12", "5 K + a > 12", "a - 5 K > 4", "c - a > 1", "a + c > 1",
                           "b - a > 5 K", "c < a + 2", "a + 273.15 == c", "-a < 5 K"})
    EXPECT_THAT(outcome(text, given), testing::HasSubstr("different zeros")) << text;
  // One zero: a sum has the units of what is added.
  Given far{2000, 500, 2.5, DataType::floating(8), "m"};
  far.units_of_c = "km";
  for (const char* text : {"a + 0.5 km == 2500", "a + b == c", "c == a + b", "a - b > 1 km"})
    EXPECT_EQ(outcome(text, far), "yes") << text;
}

TEST(Condition, ProductsHaveNoUnits) {
  const Given given{2000, 2, 0, DataType::floating(8), "m"};
  for (const char* text : {"a * 2 km > 3", "2 km * a > 3", "a / 2 m > 3"})
    EXPECT_THAT(outcome(text, given), testing::HasSubstr("write it without")) << text;
  EXPECT_THAT(outcome("a > 1 km + 5 m", given), testing::HasSubstr("write the result"));
  EXPECT_THAT(outcome("a * b > 5 m", given), testing::HasSubstr("no units that are known"));
  EXPECT_EQ(outcome("a * 0.001 == b", given), "yes") << "converted by hand";
}

TEST(Condition, MistakesAreShown) {
  const std::pair<const char*, const char*> kWrong[] = {{"", "something is missing"},
                                                        {"a <", "something is missing"},
                                                        {"a = 1", "write == to compare"},
                                                        {"a", "no condition"},
                                                        {"a + 1", "no condition"},
                                                        {"(a < 1", "')' is missing"},
                                                        {"a < 1)", "not expected here"},
                                                        {"a < 1 b", "'b' cannot be converted"},
                                                        {"a and b", "wants a condition"},
                                                        {"not a", "wants a condition"},
                                                        {"(a < 1) + 1 > 0", "is of numbers"},
                                                        {"isnan(a < 1)", "is of numbers"},
                                                        {"sqrt(a) < 1", "is no function"},
                                                        {"a in 1", "comes a list"},
                                                        {"a not 1", "not expected here"},
                                                        {"'a < 1", "no end"},
                                                        {"a < 1 or or b < 1", "not expected here"},
                                                        {"a < .", "no number"},
                                                        {"a > 2003-06-01", "dates are taken by"},
                                                        {"a < 1 | b < 1", "wants a condition"},
                                                        {"a $ 1", "not expected here"}};
  for (const auto& [text, part] : kWrong)
    EXPECT_THAT(outcome(text), testing::HasSubstr(part)) << text;
  EXPECT_THAT(outcome("a < 1 or b = 2"), testing::EndsWith("\n  a < 1 or b = 2\n             ^"));
  EXPECT_THAT(outcome(std::string(5000, '(') + "a"), testing::HasSubstr("nested too deeply"));
  EXPECT_THAT(outcome(std::string(5000, '-') + "a"), testing::HasSubstr("nested too deeply"));
}

}  // namespace
}  // namespace upwell::compute
