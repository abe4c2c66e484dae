#pragma once
// The datatype message, versions 1 to 5 (format specification IV.A.2.d).

#include "cube/data_type.hpp"
#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

/// Reads one type and leaves the cursor behind it. References of the revised kind (version 4) carry
/// "object2", "region2" or "attribute" as tag. kInvalidData for types that contradict themselves,
/// kUnsupported for classes that are not read.
Result<DataType> read_datatype(Cursor& in);

}  // namespace upwell::format::hdf5
