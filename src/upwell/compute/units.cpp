#include "compute/units.hpp"

#include <algorithm>
#include <string_view>

namespace upwell::compute {
namespace {

struct Unit {
  std::string_view names;  ///< between bars
  char measures;           ///< what they measure: those with one letter convert
  double scale, offset;    ///< to the first unit of the letter
};

constexpr Unit kUnits[] = {
    {"|K|kelvin|Kelvin|kelvins|degK|deg_K|degree_K|degrees_K|", 'T', 1, 0},
    {"|degC|deg_C|degree_C|degrees_C|degreeC|degreesC|Celsius|celsius|degree_Celsius|degrees_"
     "Celsius|"
     "degree_celsius|degrees_celsius|°C|",
     'T', 1, 273.15},
    {"|degF|deg_F|degree_F|degrees_F|Fahrenheit|fahrenheit|degree_Fahrenheit|°F|", 'T', 5.0 / 9,
     459.67 * 5 / 9},
    {"|m|metre|metres|meter|meters|", 'L', 1, 0},
    {"|dm|", 'L', 0.1, 0},
    {"|cm|centimeter|centimeters|centimetre|centimetres|", 'L', 0.01, 0},
    {"|mm|millimeter|millimeters|millimetre|millimetres|", 'L', 0.001, 0},
    {"|km|kilometer|kilometers|kilometre|kilometres|", 'L', 1000, 0},
    {"|ft|feet|foot|", 'L', 0.3048, 0},
    {"|m s-1|m/s|m s^-1|m s**-1|meter second-1|metre second-1|meters/second|", 'V', 1, 0},
    {"|cm s-1|cm/s|cm s^-1|", 'V', 0.01, 0},
    {"|mm s-1|mm/s|", 'V', 0.001, 0},
    {"|km h-1|km/h|km hour-1|km hr-1|", 'V', 1 / 3.6, 0},
    {"|knot|knots|kt|kts|", 'V', 1852.0 / 3600, 0},
    {"|Pa|pascal|pascals|", 'P', 1, 0},
    {"|hPa|mbar|mb|millibar|millibars|hectopascal|", 'P', 100, 0},
    {"|kPa|", 'P', 1000, 0},
    {"|dbar|decibar|decibars|", 'P', 1e4, 0},
    {"|bar|", 'P', 1e5, 0},
    {"|s|sec|second|seconds|", 't', 1, 0},
    {"|min|minute|minutes|", 't', 60, 0},
    {"|h|hr|hour|hours|", 't', 3600, 0},
    {"|d|day|days|", 't', 86400, 0},
    {"|1|fraction|", 'f', 1, 0},
    {"|%|percent|", 'f', 0.01, 0},
    {"|1e-3|0.001|g kg-1|g/kg|", 'f', 0.001, 0},
    {"|kg kg-1|kg/kg|", 'f', 1, 0},
    {"|1e-6|ppm|", 'f', 1e-6, 0},
    {"|kg m-3|kg/m3|kg m^-3|", 'D', 1, 0},
    {"|g m-3|g/m3|", 'D', 1e-3, 0},
    {"|mg m-3|mg/m3|mg m^-3|", 'D', 1e-6, 0},
    {"|degree|degrees|deg|degrees_north|degrees_east|degree_north|degree_east|", 'a', 1, 0},
};

const Unit* find_unit(const std::string& name) {
  const std::string barred = "|" + name + "|";
  const auto* at = std::find_if(std::begin(kUnits), std::end(kUnits), [&](const Unit& unit) {
    return unit.names.find(barred) != unit.names.npos;
  });
  return at == std::end(kUnits) ? nullptr : at;
}

}  // namespace

std::optional<UnitConversion> unit_conversion(const std::string& from, const std::string& to) {
  if (from == to) return UnitConversion{};
  const Unit* a = find_unit(from);
  const Unit* b = find_unit(to);
  if (a == nullptr || b == nullptr || a->measures != b->measures) return std::nullopt;
  if (a == b) return UnitConversion{};
  return UnitConversion{a->scale / b->scale, (a->offset - b->offset) / b->scale};
}

}  // namespace upwell::compute
