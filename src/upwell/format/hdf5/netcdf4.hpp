#pragma once
// What netCDF-4 and HDF5's dimension scales say through attributes: names of dimensions.

#include <string_view>

#include "format/hdf5/objects.hpp"

namespace upwell::format::hdf5 {

/// Fills `dimensions`, `defined` and `dimension_only` of all objects: from DIMENSION_LIST, from
/// _Netcdf4Coordinates, a scale by its own name; what is left gets netCDF-C's phony dimensions (one
/// per length and kind in a group, not twice in a variable, numbered through the file).
void name_dimensions(Objects& objects);

/// Attributes that only the machinery above needs.
bool is_hidden_attribute(const Attribute& attribute);

/// The name of a variable: without the prefix that netCDF-4 gives to one that bears the name of a
/// dimension without being its coordinate.
std::string_view variable_name(std::string_view link_name);

}  // namespace upwell::format::hdf5
