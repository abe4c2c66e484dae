#pragma once
// Mappings of a virtual dataset that overlap. Internal to virtual_map.cpp.

#include "cube/dataset.hpp"

namespace upwell::format::hdf5 {

/// Segments of a cube do not overlap: of those that do, the earlier keeps what the later leaves, in
/// as many pieces as that takes. So the last mapping stays, as libhdf5 reads all in turn.
/// kUnsupported for more than kMaxBoxes pieces.
Result<> settle_overlaps(Array& array);

}  // namespace upwell::format::hdf5
