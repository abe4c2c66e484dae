#pragma once
// What `upwell read` writes: .npy, .nc, .zarr, .csv.

#include <string>

#include "cli/read_table.hpp"

namespace upwell::cli {

/// What an output of this name holds beside the array. kInvalidArgument unless it ends in .npy, .nc
/// (.nc4), .zarr or .csv, or is "-" for CSV on standard output.
Result<Company> company_of(const std::string& target);

/// Writes by the ending of `target`. In CSV times are ISO 8601; one that the calendar cannot hold
/// is an error.
Result<> write_table(const std::string& target, Table table);

}  // namespace upwell::cli
