#pragma once
// One writer of a local reference set at a time.

#include <filesystem>
#include <utility>

#include "base/result.hpp"

namespace upwell::refs {

/// The store's own file, locked: a run that was killed holds nothing. A file that was replaced
/// while we waited is not the store any more.
class StoreLock {
 public:
  /// Waits for other writers. kNotFound when there is no such file.
  static Result<StoreLock> take(const std::filesystem::path& path);
  StoreLock(StoreLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  StoreLock& operator=(StoreLock&&) = delete;
  ~StoreLock();

 private:
  StoreLock() = default;
  int fd_ = -1;
};

}  // namespace upwell::refs
