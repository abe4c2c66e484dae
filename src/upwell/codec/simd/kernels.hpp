#pragma once
// Inner loops that are compiled once per instruction set and chosen at run time.

#include <cstddef>
#include <cstdint>

namespace upwell::codec::simd {

/// `count` elements of `item_size` bytes (at least 2), grouped by byte; and back. No overlap.
void shuffle(const uint8_t* in, size_t count, size_t item_size, uint8_t* out);
void unshuffle(const uint8_t* in, size_t count, size_t item_size, uint8_t* out);

}  // namespace upwell::codec::simd
