#pragma once
// The netCDF-4 file of `upwell aggregate`: reduced variables and what describes them.

#include <string>
#include <vector>

#include "cli/read_table.hpp"
#include "compute/reduce.hpp"
#include "format/netcdf4/writer.hpp"

namespace upwell::cli {

/// A variable that is to be reduced, and which part of it.
struct ReducedVariable {
  std::string path;  ///< "/a/v"
  const Array* array = nullptr;
  NamedSelection named;
  compute::Reduction reduction;
  std::optional<Column> groups;  ///< with reduction.groups: their coordinate
  std::string comment;           ///< what was done besides, for people

  /// Whether the result has an axis in the place of `axis`: of the kept ones those of which one
  /// element was taken disappear.
  bool is_written(size_t axis) const {
    return reduction.reduced[axis] ? reduction.in_result(axis) : !named.single[axis];
  }
};

/// What a result says of itself: cell_methods (CF 7.3), units and standard name as the function
/// changes them, no valid range where it need not hold any more.
Attributes reduced_attributes(Attributes attributes, const ReducedVariable& variable,
                              const DataType& type);

/// "mean over time, 2010-01-15 to 2019-12-15": what was done, for people. Times of reduced axes are
/// read; where they cannot be, they are left out.
std::string describe_reduction(io::Session& session, const Dataset& dataset,
                               const ReducedVariable& variable);

/// The file with every variable defined: first coordinates and the like, with their values, then
/// `variables` in their order, to be written later. `compress`: shuffle and deflate. kUnsupported
/// where two variables need different arrays of one name.
Result<format::netcdf4::File> plan_reduced_file(io::Session& session, const Dataset& dataset,
                                                const std::vector<ReducedVariable>& variables,
                                                bool compress);

}  // namespace upwell::cli
