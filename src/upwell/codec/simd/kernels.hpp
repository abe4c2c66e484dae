#pragma once
// Inner loops that are compiled once per instruction set and chosen at run time. Internal to codec.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "codec/scale.hpp"

namespace upwell::codec::simd {

/// `count` elements of `item_size` bytes (at least 2), grouped by byte; and back. No overlap.
void shuffle(const uint8_t* in, size_t count, size_t item_size, uint8_t* out);
void unshuffle(const uint8_t* in, size_t count, size_t item_size, uint8_t* out);

/// `count` elements of `item_size` bytes (at least 2), in place.
void swap_bytes(uint8_t* data, size_t count, size_t item_size);

/// See codec/scale.hpp; `type` is a NumberType.
void unpack(int type, const uint8_t* in, size_t count, std::optional<double> scale,
            std::optional<double> offset, std::span<const uint64_t> fills, float* out);
void unpack(int type, const uint8_t* in, size_t count, std::optional<double> scale,
            std::optional<double> offset, std::span<const uint64_t> fills, double* out);

/// See add_up_integers in codec/scale.hpp; `type` is a NumberType.
IntegerTotals add_up(int type, const uint8_t* in, size_t count, std::optional<uint64_t> fill);

}  // namespace upwell::codec::simd
