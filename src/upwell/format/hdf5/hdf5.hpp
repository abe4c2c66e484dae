#pragma once
// HDF5 and netCDF-4 (HDF5 file format specification version 3): recognising and reading.

#include <optional>
#include <vector>

#include "format/format.hpp"

namespace upwell::format::hdf5 {

/// The line of the list of formats.
const Format& hdf5_format();

/// Where a superblock may begin: 0, 512, 1024, 2048, ... (specification II.A).
std::vector<uint64_t> signature_offsets(uint64_t object_size);
/// The first place of these that is there and holds the signature.
std::optional<uint64_t> find_signature(Window& window);

}  // namespace upwell::format::hdf5
