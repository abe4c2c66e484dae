#pragma once
// The image of libhdf5's metadata cache that a file may hold (format specification, "metadata cache
// image"): structures that were not written to their places.

#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

/// Reads the block of `length` bytes at `address` and lays every structure in it over the window,
/// where it belongs. kNeedBytes as usual; kInvalidData for a broken block.
Result<> read_cache_image(Window& window, const FileFacts& facts, uint64_t address,
                          uint64_t length);

}  // namespace upwell::format::hdf5
