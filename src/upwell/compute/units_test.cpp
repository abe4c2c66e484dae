#include "compute/units.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace upwell::compute {
namespace {

struct Row {
  const char *from, *to;
  double scale = 1, offset = 0;
};

void expect_all(const std::vector<Row>& rows) {
  for (const auto& [from, to, scale, offset] : rows) {
    const auto found = unit_conversion(from, to);
    ASSERT_TRUE(found) << from << " to " << to;
    EXPECT_EQ(found->scale, scale) << from << " to " << to;
    EXPECT_EQ(found->offset, offset) << from << " to " << to;
  }
}

TEST(Units, SpellingsOfOneUnitAreOne) {
  for (const char* text :
       {"W/m2",    "W.m-2",   "W m^-2",     "W m**-2",     "W*m-2",        "W·m⁻²",      " W  m-2 ",
        "W / m^2", "W (m)-2", "W/(m m)",    "W (m2)-1",    "watt meter-2", "J s-1 m-2",  "kg s-3",
        "W m²/m4", "1 W m-2", "1e3 mW m-2", "10^3 mW m-2", "10-3 kW m-2",  "0.001 kW/m2"})
    expect_all({{text, "W m-2"}, {"W m-2", text}});
  expect_all({{"mg/m^3", "mg m-3"},
              {"mm/hr", "mm h-1"},
              {"mm per hour", "mm h-1"},
              {"m/s", "m.s-1"},
              {"meters/second", "m s-1"},
              {"degrees_north", "degree"},
              {"degreeE", "deg"},
              {"degrees_Celsius", "°C"},
              {"Kelvin", "degK"},
              {"KELVINS", "K"},
              {"litre", "L"},
              {"µm", "micron"},
              {"μm", "micrometers"},
              {"hectopascal", "mbar"},
              {"millibars", "hPa"},
              {"g kg-1", "1e-3"},
              {"0.001", "mg/g"},
              {"kg kg-1", "1"},
              {"einstein m^-2 day^-1", "mol m-2 d-1"},
              {"g cm-3", "kg/L"},
              {"1000 kg", "tonne"},
              {"Pg", "Gt"},
              {"(K)2", "degC2"},
              {"degC/day", "K d-1"},
              {"1e6 m3/s", "sverdrup"},
              {"s-1", "Hz"}});
}

TEST(Units, ScalesAreNextToTheTrueOnes) {
  expect_all({{"mg/m^3", "kg m-3", 1e-6},
              {"g cm-3", "kg m-3", 1000},
              {"kg m-3", "ug m-3", 1e9},
              {"mm/day", "m s-1", 1 / 86400000.0},
              {"kg m-2 day-1", "kg m-2 s-1", 1 / 86400.0},
              {"kg m-2 d-1", "kg m-2 s-1", 1 / 86400.0},
              {"kg m-2 h-1", "kg m-2 s-1", 1 / 3600.0},
              {"g m-2 s-1", "kg m-2 s-1", 1e-3},
              {"km h-1", "m s-1", 1 / 3.6},
              {"knots", "m s-1", 1852.0 / 3600},
              {"ft", "m", 0.3048},
              {"in/hr", "mm h-1", 25.4},
              {"nautical_mile", "km", 1.852},
              {"atm", "hPa", 1013.25},
              {"dbar", "Pa", 1e4},
              {"MJ m-2 day-1", "W m-2", 1e6 / 86400},
              {"kWh", "J", 3.6e6},
              {"degree", "radian", 0.017453292519943295},
              {"radians", "degrees_east", 57.29577951308232},
              {"arcsec", "degree", 1 / 3600.0},
              {"%", "1", 0.01},
              {"1", "percent", 100},
              {"ppm", "1e-9", 1000},
              {"DU", "mol m-2", 446.2e-6},
              {"10^6 km2", "m2", 1e12},
              {"hectare", "km2", 0.01},
              {"PVU", "K m2 kg-1 s-1", 1e-6},
              {"mS/cm", "S m-1", 0.1},
              {"uatm", "Pa", 0.101325},
              {"days", "min", 1440}});
}

TEST(Units, ZerosOfTheirOwnHoldForUnitsThatStandAlone) {
  expect_all({{"degC", "K", 1, 273.15},
              {"K", "celsius", 1, -273.15},
              {"degF", "K", 5.0 / 9, 45967.0 * 5 / 900},
              {"degC", "degF", 1.8, 32},
              {"degF", "°C", 5.0 / 9, -160 / 9.0},
              {"mK", "degC", 1e-3, -273.15},
              {"(degC)", "K", 1, 273.15},
              {"degF/day", "K/day", 5.0 / 9},
              {"J kg-1 degC-1", "kJ/(kg K)", 1e-3},
              {"1e-3 degC/m", "K km-1"}});
  for (const char* text : {"0.1 degC", "degC/10", "millidegC", "% degC"})
    EXPECT_FALSE(unit_conversion(text, "K")) << text << ": of the scale, or of a difference?";
}

TEST(Units, OthersAreRefused) {
  const std::pair<const char*, const char*> kUnlike[] = {{"m", "K"},
                                                         {"W m-2", "W"},
                                                         {"mm/day", "kg m-2 s-1"},
                                                         {"degree", "1"},
                                                         {"radian", "%"},
                                                         {"s", "Hz"},
                                                         {"W m-2 sr-1", "W m-2"},
                                                         {"C", "degC"},
                                                         {"F", "degF"},
                                                         {"Pa", "PA"},
                                                         {"mPa", "mpa"},
                                                         {"J/kg K", "J kg-1 K-1"},
                                                         {"kg m-3 s", "kg m-3"}};
  for (const auto& [from, to] : kUnlike) EXPECT_FALSE(unit_conversion(from, to)) << from << to;
  // Each is equal to itself alone, whatever is meant.
  for (const char* text : {"month",
                           "year",
                           "yr",
                           "a",
                           "Sv",
                           "ppt",
                           "count",
                           "gpm",
                           "dBZ",
                           "degrees_south",
                           "degs",
                           "degree_west",
                           "days since 2000-01-01",
                           "nmi",
                           "at",
                           "dd",
                           "",
                           " ",
                           "foo",
                           "m 2",
                           "m.2",
                           "m-s",
                           "m2s-1",
                           "m^",
                           "m**",
                           "m-",
                           "m^x",
                           "m^-",
                           "/s",
                           "1/",
                           "m//s",
                           "m per",
                           "(m",
                           "m)",
                           "()",
                           "0 m",
                           "0",
                           "-1 m",
                           "1e",
                           "e-3",
                           "2-3 m",
                           "2003-06-01",
                           "m100",
                           "((m99)99)99",
                           "m99 m99",
                           "9007199254740993 m",
                           "1e99 1e99 m",
                           "m\nkg",
                           "m²s",
                           "Å",
                           "\xff",
                           "m,s",
                           "1e-3 1e-3"}) {
    EXPECT_TRUE(unit_conversion(text, text)) << text;
    EXPECT_FALSE(unit_conversion(text, std::string(text) + " m m-1")) << text;
    for (const char* known : {"m", "s", "1", "m s", "m2", "m-1", "m2 s-1", "degree"})
      EXPECT_FALSE(unit_conversion(text, known)) << text << " to " << known;
  }
  EXPECT_FALSE(unit_conversion(std::string(5000, '(') + "m" + std::string(5000, ')'), "m"));
  EXPECT_TRUE(unit_conversion("(((m)))", "m"));
}

// CF counted practical salinity in 1e-3 once, and counts in 1 now, both with values such as 35.
TEST(Units, PracticalSalinityIsOfOneSize) {
  expect_all({{"psu", "1e-3"}, {"PSU", "practical salinity units"}, {"0.001", "PSS-78"}});
  for (const char* text : {"1", "%", "kg kg-1", "psu m-1"}) {
    EXPECT_FALSE(unit_conversion("psu", text)) << text;
    EXPECT_FALSE(unit_conversion(text, "psu")) << text;
  }
}

}  // namespace
}  // namespace upwell::compute
