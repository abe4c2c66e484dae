#pragma once
// Files that must not stay when a signal ends the process.

#include <filesystem>

namespace upwell {

/// Until it is forgotten, this file is removed when a signal ends the process. Thread-safe; of more
/// than some dozens at once the others stay.
void note_leftover(const std::filesystem::path& file);
/// It has its own name now, or is gone.
void forget_leftover(const std::filesystem::path& file);

/// From now on SIGINT, SIGTERM and SIGHUP remove those files and then end the process as they
/// always do. What the process ignores it still ignores.
void remove_leftovers_on_signals();

}  // namespace upwell
