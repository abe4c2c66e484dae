#pragma once
// What this machine has.

#include <cstdint>

namespace upwell {

/// Bytes of memory.
uint64_t physical_memory();
/// Most bytes of it that this process has had at once. What getrusage says counts the process that
/// started this one, too.
uint64_t peak_memory();

}  // namespace upwell
