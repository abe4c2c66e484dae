#pragma once
// Names of dimensions as netCDF-C gives them: from what netCDF-4 and HDF5's dimension scales say
// through attributes, and invented ("phony") where they say nothing.

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "format/hdf5/objects.hpp"

namespace upwell::format::hdf5 {

/// The links of one group by which netCDF-C finds datasets and types, in the group's order, and
/// its groups. Unlike the dataset tree it holds what cannot be read: that takes numbers too.
struct NamedGroup {
  struct Item {
    const Object* object = nullptr;  ///< dataset or type; null: lies in another file
    std::string link;
  };
  std::string link;
  std::vector<Item> items;
  std::vector<NamedGroup> groups;
};

/// Names the dimensions of all groups and arrays of `dataset`, whose tree `root` describes:
/// - A scale is a dimension of each group that links it, numbered by its _Netcdf4Dimid, or by the
///   next number.
/// - A variable has the dimensions that _Netcdf4Coordinates numbers; else the scales of its
///   DIMENSION_LIST (of several on one axis the last), looked for in its own group and those above.
/// - A variable without either has phony ones. Groups below come first; then each axis takes the
///   first dimension of the variable's group that is as long, unlimited or not alike, and not yet
///   used by the variable, or a new one, phony_dim_N, N the next number of the file.
/// - Where netCDF-C gives no name (a type that it has not, an axis without scale beside one with),
///   one is invented after all others, so that these keep their numbers.
/// `own_names` says whether arrays have the names of their links or those of variables. In a
/// partial dataset no name is invented: that takes all objects.
///
/// An unlimited dimension is as long as its longest variable. `extend`: the others get that shape
/// too; what they lack is their fill value, or where they define none netCDF's own for their type.
void name_dimensions(const Objects& objects, const NamedGroup& root, bool own_names, bool extend,
                     Dataset& dataset);

/// Addresses of the last scale of each axis that DIMENSION_LIST names (kUndefined where none);
/// empty when the first axis has none, which to netCDF-C means that there are none at all.
std::vector<uint64_t> listed_scales(const Object& object);

/// The datasets that REFERENCE_LIST of a scale names, by address, and which axis of each has the
/// scale; nullopt when there is none.
struct ScaleUse {
  uint64_t dataset;
  uint64_t axis;
};
std::optional<std::vector<ScaleUse>> uses_of_scale(const Object& scale);

/// Whether this is the scale of an unlimited dimension.
bool is_unlimited_scale(const Object& object);

/// What _Netcdf4Dimid says.
std::optional<int64_t> dimension_id(const Object& object);
/// What _Netcdf4Coordinates says: the number of each axis's dimension. Empty where it does not.
std::vector<int64_t> dimension_ids(const Object& object);

/// A scale that stands for a dimension and no variable.
bool is_dimension_only(const Object& object);

/// Attributes that only the machinery above needs.
bool is_hidden_attribute(const Attribute& attribute);

/// The name of a variable: without the prefix that netCDF-4 gives to one that bears the name of a
/// dimension without being its coordinate.
std::string_view variable_name(std::string_view link_name);

}  // namespace upwell::format::hdf5
