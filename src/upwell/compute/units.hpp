#pragma once
// The units in which people write thresholds, for conversion between them.

#include <optional>
#include <string>

namespace upwell::compute {

/// value in `to` = value in `from` * scale + offset
struct UnitConversion {
  double scale = 1, offset = 0;
};

/// Between units of temperature, length, speed, pressure, time, density and fractions, in UDUNITS'
/// spellings. nullopt where one is not known here, or they measure different things; equal
/// texts always convert.
std::optional<UnitConversion> unit_conversion(const std::string& from, const std::string& to);

}  // namespace upwell::compute
