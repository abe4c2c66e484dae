#pragma once
// What this machine has.

#include <cstdint>

namespace upwell {

/// Bytes of memory.
uint64_t physical_memory();

}  // namespace upwell
