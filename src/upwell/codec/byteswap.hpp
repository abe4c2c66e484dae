#pragma once
// Byte order of whole buffers.

#include "base/bytes.hpp"

namespace upwell::codec {

/// Reverses the bytes of each element of `item_size` bytes, in place. Bytes after the last whole
/// element stay as they are.
void swap_bytes(MutableByteSpan data, size_t item_size);

}  // namespace upwell::codec
