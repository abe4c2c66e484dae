#pragma once
// Ranges that were read lately, in memory.

#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>

#include "io/byte_store.hpp"

namespace upwell::io {

/// Keeps the ranges as they were fetched; a range inside one of them is a hit. One cap over all
/// objects, the least recently used block goes first. Thread-safe.
class BlockCache {
 public:
  explicit BlockCache(uint64_t limit) : limit_(limit) {}

  /// `range` is bounded.
  std::optional<SharedBytes> find(const std::string& url, Range range);
  void put(const std::string& url, uint64_t offset, SharedBytes bytes);
  void forget(const std::string& url);
  uint64_t size() const;

 private:
  struct Block;
  /// By offset. No block lies inside another: both offsets and ends ascend, so that only the last
  /// block that begins before a range can hold it.
  using Object = std::map<uint64_t, std::list<Block>::iterator>;
  using Objects = std::unordered_map<std::string, Object>;
  struct Block {
    Objects::value_type* object;  // an iterator would not outlive a rehash
    uint64_t offset;
    SharedBytes bytes;
  };
  void drop_oldest();

  const uint64_t limit_;
  mutable std::mutex mutex_;
  Objects objects_;
  std::list<Block> used_;  // most recently first
  uint64_t size_ = 0;
};

}  // namespace upwell::io
