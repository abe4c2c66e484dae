#pragma once
// Writing netCDF-4 files with netCDF-C.

#include <filesystem>
#include <string>
#include <vector>

#include "cube/dataset.hpp"

namespace upwell::format::netcdf4 {

/// A variable to write: values in memory form, one dimension name per axis.
struct Variable {
  std::string name;
  std::vector<std::string> dimensions;
  Attributes attributes;
  Values values;
  bool deflate = true;  ///< shuffle + deflate 1; not applied to scalars and text
};

struct File {
  Attributes attributes;
  std::vector<Variable> variables;  ///< dimensions of the same name must agree in length
};

/// Writes atomically: the target is whole or not there. kUnsupported for types netCDF-4 has no name
/// for, kCannotWrite otherwise.
Result<> write(const std::filesystem::path& target, const File& file);

}  // namespace upwell::format::netcdf4
