#pragma once
// The states in which a store first saw its objects.

#include <list>
#include <mutex>
#include <unordered_map>

#include "io/byte_store.hpp"

namespace upwell::io {

/// Nanoseconds since 1970. A recorded time in whole seconds stands for that second: many copies
/// keep no more.
bool same_recorded_time(int64_t a, int64_t b);

/// Remembers one state per URL and tells whether a later one contradicts it. Bounded: the least
/// recently used is forgotten. Thread-safe.
class FirstSeen {
 public:
  explicit FirstSeen(size_t limit = 1 << 18) : limit_(limit) {}

  /// Remembers `now` if the URL is new; adds what was not known; kChanged if it contradicts.
  Result<> check(const std::string& url, const ObjectInfo& now, bool size_known = true);
  /// Remembers a recorded state of an object that is not known yet.
  void expect(const std::string& url, const ObjectInfo& state);
  /// What was seen. Not what is expected only: the object may be gone.
  std::optional<ObjectInfo> find(const std::string& url) const;
  void forget(const std::string& url);

 private:
  struct Entry {
    ObjectInfo info;
    bool size_known = false;
    bool seen = true;  // false: only expected so far
    std::list<std::string>::iterator used;
  };
  void insert(const std::string& url, ObjectInfo info, bool size_known, bool seen);

  size_t limit_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Entry> entries_;
  std::list<std::string> order_;  // most recently used first
};

}  // namespace upwell::io
