#pragma once
// Byte shuffle: element bytes regrouped by their place in the element (HDF5 filter 2).

#include "base/bytes.hpp"

namespace upwell::codec {

/// `out` as long as `in`; bytes after the last whole element are copied unchanged. No overlap.
void shuffle(ByteSpan in, size_t item_size, uint8_t* out);
void unshuffle(ByteSpan in, size_t item_size, uint8_t* out);

}  // namespace upwell::codec
