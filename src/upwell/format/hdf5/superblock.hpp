#pragma once
// The superblock, versions 0 to 3, and what its extension says (format specification II).

#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

struct Superblock {
  FileFacts facts;
  uint8_t version = 0;
  uint64_t root = kUndefined;       ///< object header of the root group, relative to the base
  uint64_t extension = kUndefined;  ///< object header of the extension, relative to the base
};

/// kNeedBytes while it is not there; kInvalidData when it is broken or when the object is shorter
/// than the file it says it is; kUnsupported for files that are split over several objects.
Result<Superblock> read_superblock(Window& window);

}  // namespace upwell::format::hdf5
