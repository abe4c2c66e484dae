#pragma once
// The mapping factors of ECCO-Dataset-Production: a directory of scipy and pickle files.

#include "produce/factors/factors.hpp"

namespace upwell::produce {

/// Reads latlon_grid/latlon_grid.xz, sparse/sparse_matrix_K.npz and
/// land_mask/ecco_latlon_land_mask_K.xz below `directory` (a path or URL), for every level that the
/// grid has, and gives the file of Upwell's own form. Nothing of a pickle is executed. Errors name
/// the file.
Result<Bytes> convert_edp_factors(io::Session& session, const std::string& directory);

}  // namespace upwell::produce
