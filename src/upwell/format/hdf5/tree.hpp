#pragma once
// From objects and links to the dataset tree.

#include "format/hdf5/objects.hpp"

namespace upwell::format::hdf5 {

/// Lists every object under each path that hard and soft links give it, as h5py does; a group that
/// is its own ancestor is listed once. What could not be read becomes a problem. Fills `pending`
/// with what lies in other files. kInvalidData when the root group is broken.
Result<> build_tree(Objects& objects, const ScanOptions& options, Dataset& dataset,
                    PendingFiles& pending);

}  // namespace upwell::format::hdf5
