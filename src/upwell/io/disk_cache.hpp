#pragma once
// Ranges that were read by any process of this user, on disk.

#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "io/byte_store.hpp"

namespace upwell::io {

/// One file per fetched range, below a directory per object and state of the object. Files are
/// written under a temporary name and renamed, and hold their key and a SHA-256, checked at every
/// read: what does not check is removed and is a miss. All processes that use one directory keep
/// it under one cap, the least recently used first. Failing to write is no error: it is a cache.
/// Only the user may read it.
class DiskCache {
 public:
  DiskCache(std::filesystem::path directory, uint64_t limit);

  /// Whether any state of the object may be here.
  bool has_object(const std::string& url) const;
  /// `range` is bounded. A state without ETag and time identifies nothing: always a miss.
  std::optional<SharedBytes> find(const std::string& url, const ObjectInfo& state, Range range);
  void put(const std::string& url, const ObjectInfo& state, uint64_t offset, ByteSpan bytes);

  /// The longest block that begins at 0, whole: for who keeps one block for a state.
  std::optional<SharedBytes> find_front(const std::string& url, const ObjectInfo& state);
  /// Keeps it in the place of the block that find_front finds.
  void put_front(const std::string& url, const ObjectInfo& state, ByteSpan bytes);

 private:
  /// The ranges on disk of one state, as last listed.
  struct Listing {
    std::map<uint64_t, uint64_t> lengths;  // by offset
    std::filesystem::file_time_type listed{};
    int64_t checked_ms = 0;
  };
  std::optional<Range> locate(const std::filesystem::path& directory, Range range);
  void refresh(const std::filesystem::path& directory, Listing& listing) const;
  bool reserve(int usage, uint64_t bytes) const;
  uint64_t evict() const;

  std::filesystem::path root_;
  uint64_t limit_;
  std::mutex mutex_;
  std::unordered_map<std::string, Listing> listings_;
  bool broken_ = false;
};

}  // namespace upwell::io
