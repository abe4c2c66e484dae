#pragma once
// Variable-length values: from handles into the global heap to values in memory.

#include <memory>

#include "cube/dataset.hpp"
#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

/// For arrays: reads the collections through the session, one batch per nesting level; keeps the
/// last used collections within `cache_bytes`.
std::shared_ptr<const HeapResolver> make_heap_resolver(const FileFacts& facts,
                                                       uint64_t cache_bytes = 32ULL << 20);

/// For attributes and fill values: the same over the window. Appends `count` elements of `type` to
/// out.data and out.heap (out.type and out.shape are the caller's). kNeedBytes while collections
/// are missing; `out` is then unchanged. Types without variable-length parts are fine too.
Result<> resolve_in_window(Window& window, const FileFacts& facts, const DataType& type,
                           ByteSpan stored, uint64_t count, Values& out);

}  // namespace upwell::format::hdf5
