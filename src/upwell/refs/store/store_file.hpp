#pragma once
// One file of a store, which never changes once it is named. Internal to refs/store.

#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "io/session.hpp"

namespace upwell::refs {

/// A local file is mapped into memory, so that what is never looked at costs nothing and what is
/// costs no copy; it can be read to the end when it has been replaced or removed. Of a remote one
/// the ranges that are asked for are read, or all of it when it is small; its ends, which say what
/// is in it, are read whole.
class StoreFile {
 public:
  /// kInvalidData unless it has exactly `size` bytes; of a remote one, that shows when it is read.
  /// The session must outlive this.
  static Result<std::shared_ptr<const StoreFile>> open(io::Session& session, const std::string& url,
                                                       uint64_t size);
  explicit StoreFile(SharedBytes bytes, std::string url = "(memory)", bool mapped = false)
      : url_(std::move(url)), size_(bytes.size()), memory_(std::move(bytes)), mapped_(mapped) {}
  StoreFile(io::Session& session, std::string url, uint64_t size)
      : session_(&session), url_(std::move(url)), size_(size) {}

  /// What opening a remote file of this size will read.
  static std::vector<io::Range> ends(uint64_t size);

  uint64_t size() const { return size_; }
  const std::string& url() const { return url_; }
  /// kInvalidData beyond the end.
  Result<SharedBytes> read(io::Range range) const;
  /// Has the session fetch ranges of a remote file in one batch, for reads that follow.
  void prefetch(const std::vector<io::Range>& ranges) const;
  /// Gives back the memory of what was looked at; it is there again when it is looked at again.
  void release() const;

 private:
  Result<SharedBytes> whole() const;
  io::Session* session_ = nullptr;  // null: all of it is in memory_
  std::string url_;
  uint64_t size_ = 0;
  mutable std::mutex mutex_;
  mutable SharedBytes memory_;  // of a small remote file once it was read
  bool mapped_ = false;
};

}  // namespace upwell::refs
