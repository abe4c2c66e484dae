#include "cube/cf.hpp"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <random>

namespace upwell::cf {
namespace {

std::string decoded(const std::string& units, const std::string& calendar, double value) {
  auto parsed = parse_time_units(units, calendar);
  if (!parsed) return parsed.error().to_string();
  auto time = decode_time(*parsed, value);
  return time ? format_time(*time) : time.error().to_string();
}

// Expected values are cftime's.
TEST(CfTime, DecodesEveryCalendar) {
  EXPECT_EQ(decoded("days since 2000-01-01", "standard", 59), "2000-02-29T00:00:00");
  EXPECT_EQ(decoded("days since 2000-01-01", "noleap", 59), "2000-03-01T00:00:00");
  EXPECT_EQ(decoded("days since 2001-01-01", "all_leap", 59), "2001-02-29T00:00:00");
  EXPECT_EQ(decoded("days since 2000-01-01", "360_day", 59), "2000-02-30T00:00:00");
  EXPECT_EQ(decoded("days since 1582-10-04", "standard", 1), "1582-10-15T00:00:00");
  EXPECT_EQ(decoded("days since 1582-10-04", "proleptic_gregorian", 1), "1582-10-05T00:00:00");
  EXPECT_EQ(decoded("days since 1582-10-04", "julian", 1), "1582-10-05T00:00:00");
  EXPECT_EQ(decoded("days since 1900-02-28", "julian", 1), "1900-02-29T00:00:00");
  EXPECT_EQ(decoded("days since 0001-01-01", "standard", 730121), "2000-01-01T00:00:00");
  EXPECT_EQ(decoded("days since 0001-01-01", "proleptic_gregorian", 730119), "2000-01-01T00:00:00");
  EXPECT_EQ(decoded("hours since 1900-01-01", "standard", -1), "1899-12-31T23:00:00");
  EXPECT_EQ(decoded("months since 2000-01-01", "360_day", 13), "2001-02-01T00:00:00");
}

// A part of a day has no exact double, and must not fall into the hour before.
TEST(CfTime, FractionsOfUnitsAreTheInstantsThatWereMeant) {
  for (int hour = 0; hour < 24; ++hour) {
    const std::string clock = fmt::format("T{:02}:00:00", hour);
    EXPECT_EQ(decoded("days since 1970-01-01", "standard", hour / 24.0), "1970-01-01" + clock);
    EXPECT_EQ(decoded("days since 1970-01-01", "noleap", 9000 + hour / 24.0), "1994-08-29" + clock);
    EXPECT_EQ(decoded("days since 1970-01-01", "noleap", -1 + hour / 24.0), "1969-12-31" + clock);
  }
  EXPECT_EQ(decoded("days since 1800-01-01", "standard", 80000 + 1.0 / 3), "2019-01-13T08:00:00");
  EXPECT_EQ(decoded("hours since 1800-01-01 01:00", "standard", 1920008 + 1.0 / 60),
            "2019-01-13T09:01:00");
  // Digits that are there stay.
  EXPECT_EQ(decoded("seconds since 1970-01-01", "standard", 1e-9), "1970-01-01T00:00:00.000000001");
  EXPECT_EQ(decoded("seconds since 1970-01-01", "standard", 1e9 + 0.123456),
            "2001-09-09T01:46:40.123456");
  EXPECT_EQ(decoded("seconds since 1970-01-01", "standard", 1000000.999999),
            "1970-01-12T13:46:40.999999");
}

TEST(CfTime, ReadsTheWaysEpochsAreWritten) {
  for (const char* units :
       {"seconds since 1981-01-01 00:00:00 UTC", "seconds since 1981-01-01T00:00:00Z",
        "second since 1981-1-1", "s since 1981-01-01 0:0:0", "SECONDS SINCE 1981-01-01 00:00:00.0",
        "seconds since 1981-01-01 01:00:00 +01:00", "seconds since 1980-12-31 19:00 -0500",
        "seconds since 1981"}) {
    EXPECT_EQ(decoded(units, "standard", 1.5), "1981-01-01T00:00:01.5") << units;
  }
}

TEST(CfTime, RefusesWhatHasNoMeaning) {
  EXPECT_FALSE(parse_time_units("days since 2000-01-01 525555555"));
  EXPECT_FALSE(parse_time_units("months since 2000-01-01", "standard"));
  EXPECT_FALSE(parse_time_units("days", "standard"));
  EXPECT_FALSE(parse_time_units("days since tomorrow", "standard"));
  EXPECT_FALSE(parse_time_units("days since 2001-02-29", "standard"));
  EXPECT_FALSE(parse_time_units("days since 2000-01-01", "lunar"));
  auto units = parse_time_units("days since 2000-01-01", "standard");
  EXPECT_FALSE(decode_time(*units, std::nan("")));
  EXPECT_FALSE(decode_time(*units, 1e300));
}

TEST(CfTime, EncodesBack) {
  for (const char* calendar :
       {"standard", "proleptic_gregorian", "julian", "noleap", "all_leap", "360_day"}) {
    auto days = parse_time_units("days since 1850-01-01", calendar);
    auto hours = parse_time_units("hours since 0001-01-01", calendar);
    ASSERT_TRUE(days && hours);
    for (int64_t day = -700000; day < 300000; day += 997) {
      auto time = decode_time(*days, day);
      ASSERT_TRUE(time);
      EXPECT_EQ(encode_time_exact(*days, *time), day) << calendar;
      auto in_hours = encode_time_exact(*hours, *time);
      ASSERT_TRUE(in_hours);
      EXPECT_EQ(compare(*decode_time(*hours, *in_hours), *time), 0);
    }
  }
}

TEST(CfTime, SpansCoverWhatTheyName) {
  auto month = parse_time_span("2020-02", Calendar::kStandard);
  ASSERT_TRUE(month);
  EXPECT_EQ(format_time(month->first), "2020-02-01T00:00:00");
  EXPECT_EQ(format_time(month->second), "2020-02-29T23:59:59.999999999");
  auto year = parse_time_span("2020", Calendar::k360Day);
  EXPECT_EQ(format_time(year->second), "2020-12-30T23:59:59.999999999");
  EXPECT_FALSE(parse_time_span("2020-13", Calendar::kStandard));
  EXPECT_FALSE(parse_time_span("soon", Calendar::kStandard));
}

Array packed_array() {
  Array array;
  array.name = "sst";
  array.type = DataType::integer(2);
  Values fill;
  fill.type = DataType::integer(2);
  fill.data = {0x00, 0x80};  // -32768
  array.attributes = {{"_FillValue", fill},
                      {"scale_factor", make_number(0.001)},
                      {"add_offset", make_number(298.15)}};
  return array;
}

TEST(CfDecode, ScalesAndMasks) {
  Values raw;
  raw.type = DataType::integer(2);
  raw.shape = {3};
  raw.data = {0x00, 0x80, 0x00, 0x00, 0xE8, 0x03};
  auto out = decode(decoding_of(packed_array()), raw);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->type.size, 8U);
  EXPECT_TRUE(std::isnan(out->number(0)));
  EXPECT_EQ(out->number(1), 298.15);
  EXPECT_EQ(out->number(2), 1000 * 0.001 + 298.15);
}

TEST(CfDecode, UnsignedBytes) {
  Array array;
  array.type = DataType::integer(1);
  array.attributes = {{"_Unsigned", make_text("true")}};
  Values raw;
  raw.type = DataType::integer(1);
  raw.shape = {1};
  raw.data = {0xFF};
  auto out = decode(decoding_of(array), raw);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->number(0), 255);
}

TEST(CfDecode, LeavesPlainIntegersAlone) {
  Array array;
  array.type = DataType::integer(4);
  Values raw;
  raw.type = DataType::integer(4);
  raw.shape = {1};
  raw.data = {1, 0, 0, 0};
  auto out = decode(decoding_of(array), raw);
  ASSERT_TRUE(out);
  EXPECT_EQ(out->type.kind, Kind::kInt);
}

TEST(CfTotals, AreThoseOfTheDecodedValues) {
  std::mt19937 random(7);
  for (const uint32_t size : {1U, 2U, 4U}) {
    for (const bool is_signed : {false, true}) {
      for (const double scale : {0.0, 0.01, -2.5}) {
        Array array;
        array.type = is_signed ? DataType::integer(size) : DataType::unsigned_integer(size);
        if (scale != 0) {
          array.attributes.push_back({"scale_factor", make_number(scale), false});
          array.attributes.push_back({"add_offset", make_number(273.15), false});
        }
        array.attributes.push_back({"_FillValue", make_integer(7), false});
        array.attributes.push_back({"_Unsigned", make_text(is_signed ? "true" : "false"), false});
        Values raw{array.type, {4001}, Bytes(4001 * size_t{size}), {}};
        for (uint8_t& byte : raw.data) byte = static_cast<uint8_t>(random());
        std::memset(raw.data.data() + 40 * size_t{size}, 0, size);
        raw.data[40 * size_t{size}] = 7;
        const Decoding decoding = decoding_of(array);
        auto totals = decoded_totals(decoding, raw.type, raw.data);
        ASSERT_TRUE(totals);
        auto values = decode(decoding, raw);
        ASSERT_TRUE(values);
        Totals want{0, INFINITY, -INFINITY, 0};
        for (size_t i = 0; i < values->count(); ++i) {
          const double v = values->number(i);
          if (std::isnan(v)) continue;
          ++want.count;
          want.min = std::min(want.min, v);
          want.max = std::max(want.max, v);
          want.sum += v;
        }
        EXPECT_LT(want.count, 4001U);
        EXPECT_EQ(totals->count, want.count);
        EXPECT_EQ(totals->min, want.min);
        EXPECT_EQ(totals->max, want.max);
        // Elements are summed up in float32 precision where they decode to that.
        EXPECT_NEAR(totals->sum, want.sum, 1e-6 * std::abs(want.sum) + 1e-6);
      }
    }
  }
}

}  // namespace
}  // namespace upwell::cf
