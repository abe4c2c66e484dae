#pragma once
// Chunks that are encoded already, put into a netCDF-4 file beside the library's filters.

#include <filesystem>

#include "format/netcdf4/writer.hpp"

namespace upwell::format::netcdf4 {

/// Writes the chunks of all variables that have encoded ones into a file in which netCDF-C has
/// defined them (H5Dwrite_chunk). To be called by one thread at a time. kCannotWrite names variable
/// and chunk; kInternal when there are not as many chunks as the grid has.
Result<> put_direct_chunks(const std::filesystem::path& path, const File& file);

}  // namespace upwell::format::netcdf4
