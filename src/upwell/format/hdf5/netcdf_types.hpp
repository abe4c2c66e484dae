#pragma once
// Which datasets netCDF-C takes for variables, by their types.

#include <set>
#include <string>

#include "cube/data_type.hpp"

namespace upwell::format::hdf5 {

/// The types that netCDF-C knows while it goes through a file. Numbers and text are always known;
/// others when they were met before, or are made of known ones.
class NetcdfTypes {
 public:
  /// Meets the type of a dataset or a named type: whether netCDF-C can use it. A type of a kind
  /// that it does not have is refused once only: it then is on its list.
  bool meet(const DataType& type);

 private:
  bool is_known(const DataType& type) const;
  std::set<std::string> known_;
};

}  // namespace upwell::format::hdf5
