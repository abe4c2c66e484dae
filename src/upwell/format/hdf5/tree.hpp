#pragma once
// From objects and links to the dataset tree.

#include "format/hdf5/netcdf4.hpp"
#include "format/hdf5/wanted.hpp"

namespace upwell::format::hdf5 {

/// Lists every object under each path that hard and soft links give it, as h5py does; a group that
/// is its own ancestor is listed once. What is not wanted is left out. What could not be read
/// becomes a problem. Fills `pending` with what lies in other files, and `named` with what
/// name_dimensions needs. kInvalidData when the root group is broken.
Result<> build_tree(Objects& objects, const ScanOptions& options, const Wanted& wanted,
                    Dataset& dataset, PendingFiles& pending, NamedGroup& named);

}  // namespace upwell::format::hdf5
