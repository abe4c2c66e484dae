#pragma once
// Bytes that were costly to make, by key; the least recently used go first.

#include <cstdint>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

#include "base/bytes.hpp"

namespace upwell::serve {

/// Thread-safe.
class ByteCache {
 public:
  explicit ByteCache(uint64_t capacity) : capacity_(capacity) {}

  std::optional<SharedBytes> get(const std::string& key);
  /// What is larger than a quarter of the capacity is not kept.
  void put(const std::string& key, SharedBytes bytes);

 private:
  using Entry = std::pair<std::string, SharedBytes>;
  std::mutex mutex_;
  uint64_t capacity_;
  uint64_t held_ = 0;
  std::list<Entry> entries_;  // most recent first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key_;
};

}  // namespace upwell::serve
