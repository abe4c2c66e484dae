#pragma once
// Chunk indexes of Zarr stores. Nothing is asked of the store before a chunk is looked up.
// Internal to refs/.

#include <list>
#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>
#include <vector>

#include "cube/chunk_index.hpp"
#include "io/session.hpp"
#include "refs/zarr_metadata.hpp"

namespace upwell::refs {

/// URL of `key` below the directory `base` (which ends in '/'). A query of the base, such as a
/// signature, is that of all that lies below it.
std::string zarr_url(const std::string& base, std::string_view key);

/// A chunk an object.
class ZarrObjectIndex : public ChunkIndex {
 public:
  /// `base`: directory of the array, ending in '/'. `session` must outlive this.
  ZarrObjectIndex(io::Session& session, std::string base, ChunkKeys keys, Shape grid,
                  std::shared_ptr<GranuleTable> granules);

  uint64_t size() const override { return size_; }
  /// Asks for every object; no object is no chunk, every other failure an error.
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override;
  Result<> locate(std::span<const uint64_t> positions, ChunkRef* out) const override;
  bool asks_for_each() const override { return far_; }
  size_t memory() const override { return sizeof(*this); }

 private:
  Result<std::string> url_of(uint64_t position) const;

  io::Session& session_;
  std::string base_;
  ChunkKeys keys_;
  Shape grid_;
  uint64_t size_;
  bool far_;
  std::shared_ptr<GranuleTable> granules_;
};

/// Chunks in shards. The shards are chunks of another index, so that shards in shards are one of
/// these over another. The indexes of shards are read when a chunk is looked up, those of a batch
/// together, and the last used ones are kept.
class ShardedChunkIndex : public ChunkIndex {
 public:
  /// `shards` in C order of `shard_grid`; `grid`: of the chunks. `session` must outlive this.
  ShardedChunkIndex(io::Session& session, std::shared_ptr<const ChunkIndex> shards,
                    Shape shard_grid, Shape grid, ZarrShards level,
                    std::shared_ptr<GranuleTable> granules);

  uint64_t size() const override { return size_; }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override;
  size_t memory() const override;

 private:
  /// What is known of one shard. Chunks of a shard that was decoded as a whole lie in `bytes`.
  struct Shard {
    ChunkRef ref;
    SharedBytes bytes;
    std::vector<uint64_t> entries;  // offset and length by turns; empty: there is no shard
    size_t memory() const { return sizeof(Shard) + entries.size() * 8 + bytes.size(); }
  };
  using Shards = std::unordered_map<uint64_t, std::shared_ptr<const Shard>>;
  struct Kept {
    std::shared_ptr<const Shard> shard;
    std::list<uint64_t>::iterator age;
  };

  struct Place {
    uint64_t shard = 0, entry = 0;
  };
  Place place_of(uint64_t position) const;
  Result<Shards> shards_of(const std::vector<uint64_t>& wanted) const;
  Result<> read_shards(const std::vector<uint64_t>& missing, Shards& out) const;
  Result<SharedBytes> decode_whole(ByteSpan stored) const;
  /// The index at its place in the shard's bytes.
  Result<std::vector<uint64_t>> parse_index(ByteSpan stored, uint64_t shard_length) const;
  io::Range index_range(uint64_t shard_length) const;
  void keep(uint64_t number, const std::shared_ptr<const Shard>& shard) const;
  tl::unexpected<Error> explain(Error error, uint64_t shard, const ChunkRef& ref) const;

  io::Session& session_;
  std::shared_ptr<const ChunkIndex> shards_;
  Shape shard_grid_, grid_;
  ZarrShards level_;
  std::shared_ptr<GranuleTable> granules_;
  Shape inside_;  // chunks in a shard along each axis
  uint64_t size_;

  mutable std::mutex mutex_;
  mutable std::list<uint64_t> ages_;
  mutable std::unordered_map<uint64_t, Kept> kept_;
  mutable size_t kept_bytes_ = 0;
};

}  // namespace upwell::refs
