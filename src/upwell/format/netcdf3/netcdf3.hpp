#pragma once
// netCDF classic formats: CDF-1, CDF-2 (64-bit offset), CDF-5 (64-bit data). NetCDF Classic Format
// Specifications, NUG appendix B.

#include "format/format.hpp"

namespace upwell::format::netcdf3 {

/// Reads the header in one or a few growing rounds; every variable's bytes are then known.
///  - char variables are kString of size 1, as netCDF shows them;
///  - record variables have one chunk per record, without the padding between records;
///  - fixed variables are cut into chunks that divide their leading axes (ScanOptions);
///  - numrecs of a file that was still being written (all ones) follows from the object's size;
///  - a variable whose bytes pass the end of the object is a problem of the dataset, with the
///    offset; a broken header is kInvalidData with the offset of what is wrong.
const Format& netcdf3_format();

}  // namespace upwell::format::netcdf3
