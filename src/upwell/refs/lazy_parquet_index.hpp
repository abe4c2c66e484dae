#pragma once
// Chunk indexes that lie in Parquet partitions and are read when a chunk is looked up. Internal.

#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "cube/chunk_index.hpp"
#include "io/session.hpp"
#include "refs/url_policy.hpp"

namespace upwell::refs {

/// Reads and keeps partitions of one reference set, over all of its arrays. Thread-safe.
class PartitionStore {
 public:
  using Partition = std::shared_ptr<const DenseChunkIndex>;

  PartitionStore(io::Session& session, std::string base, UrlPolicy urls, uint64_t record_size,
                 size_t capacity, std::shared_ptr<GranuleTable> granules)
      : session_(session),
        base_(std::move(base)),
        urls_(std::move(urls)),
        record_size_(record_size),
        capacity_(std::max<size_t>(capacity, 1)),
        granules_(std::move(granules)) {}

  uint64_t record_size() const { return record_size_; }
  size_t capacity() const { return capacity_; }
  /// Partitions of one array by number; those not in memory come in one batch. A partition that
  /// does not exist holds no chunks: fsspec writes none when there are none.
  Result<std::map<uint64_t, Partition>> get(const std::string& array,
                                            const std::vector<uint64_t>& numbers);
  size_t memory() const;

 private:
  using Key = std::pair<std::string, uint64_t>;
  struct Kept {
    Partition partition;
    std::list<Key>::iterator age;
  };
  Partition find(const Key& key);
  void keep(const Key& key, const Partition& partition);
  Result<Partition> decode(ByteSpan file) const;

  io::Session& session_;
  std::string base_;
  UrlPolicy urls_;
  uint64_t record_size_;
  size_t capacity_;
  std::shared_ptr<GranuleTable> granules_;
  mutable std::mutex mutex_;
  std::map<Key, Kept> kept_;
  std::list<Key> ages_;  // most recently used first
};

class LazyParquetIndex : public ChunkIndex {
 public:
  LazyParquetIndex(std::shared_ptr<PartitionStore> store, std::string array, uint64_t size)
      : store_(std::move(store)), array_(std::move(array)), size_(size) {}

  uint64_t size() const override { return size_; }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override;
  /// What the whole reference set keeps at the moment: partitions are shared.
  size_t memory() const override { return store_->memory(); }

 private:
  std::shared_ptr<PartitionStore> store_;
  std::string array_;
  uint64_t size_;
};

}  // namespace upwell::refs
