#pragma once
// The units in which people write thresholds, for conversion between them.

#include <optional>
#include <string>

namespace upwell::compute {

/// value in `to` = value in `from` * scale + offset
struct UnitConversion {
  double scale = 1, offset = 0;
};

/// Between units as UDUNITS writes them: "W m-2", "mg/m^3", "mm per day", "1e-3 kg.s**-1", "µmol
/// m⁻²". The scale is the double next to the true one, so that units that are the same convert
/// by 1. A unit with a zero of its own (degC) has it where it stands alone, and is a difference in
/// products. nullopt where one is not known here or not certain, or they measure different things;
/// equal texts always convert.
std::optional<UnitConversion> unit_conversion(const std::string& from, const std::string& to);

}  // namespace upwell::compute
