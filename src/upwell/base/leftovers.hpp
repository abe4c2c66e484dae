#pragma once
// Files and directories that must not stay when a signal ends the process.

#include <filesystem>
#include <mutex>

namespace upwell {

/// Until it is forgotten, this file is removed when a signal ends the process. Thread-safe; of more
/// than some dozens at once the others stay.
void note_leftover(const std::filesystem::path& file);
/// It has its own name now, or is gone.
void forget_leftover(const std::filesystem::path& file);

/// The same for directories. While this lives no signal removes one: to make it and note it, or to
/// give it its own name and forget it, is one step. Once a signal removes them, a thread that wants
/// this waits for the end of the process.
class HeldLeftovers {
 public:
  HeldLeftovers();
  void note(const std::filesystem::path& directory);
  void forget(const std::filesystem::path& directory);

 private:
  std::lock_guard<std::mutex> lock_;
};

/// From now on SIGINT, SIGTERM and SIGHUP remove those files and directories and then end the
/// process as they always do. Further ones change nothing at first (`timeout` sends two), and end
/// the process at once when the removal takes long. What the process ignores it still ignores.
void remove_leftovers_on_signals();

}  // namespace upwell
