#pragma once
// Where the bytes of every chunk are.

#include <algorithm>
#include <cstdint>
#include <deque>
#include <limits>
#include <memory>
#include <mutex>
#include <shared_mutex>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/byte_store.hpp"

namespace upwell {

/// One source object of a dataset. `info.size` 0 and empty etag: not known (references carry no
/// identity).
struct Granule {
  std::string url;
  io::ObjectInfo info;
  io::ReachPtr reach = {};  ///< of what names it; null: the user
};

/// The granules of a dataset, by number. Grows, never shrinks; numbers and references stay valid.
/// Thread-safe.
class GranuleTable {
 public:
  /// The number of this URL, added if new.
  uint32_t intern(const std::string& url);
  uint32_t intern(const Granule& granule);
  const Granule& at(uint32_t id) const;
  size_t size() const;

 private:
  mutable std::shared_mutex mutex_;
  std::deque<Granule> granules_;
  std::unordered_map<std::string, uint32_t> ids_;
};

/// One chunk.
struct ChunkRef {
  enum class State : uint8_t {
    kMissing,  ///< never written: fill value
    kStored,   ///< `length` bytes at `offset` of granule number `granule`
    kInline,   ///< `bytes`
  };
  State state = State::kMissing;
  uint32_t granule = 0;
  uint32_t filter_mask = 0;  ///< bit i: codec i was not applied (HDF5)
  uint64_t offset = 0;
  uint64_t length = 0;  ///< io::kToEnd: up to the end of the object
  SharedBytes bytes;    ///< kInline: still encoded by the segment's codecs
  /// kStored: nobody has asked whether the object is there. A read that finds none says that the
  /// chunk was never written.
  bool maybe_missing = false;
};

/// Chunks of one segment in C order of its chunk grid. Immutable once built, thread-safe to read.
class ChunkIndex {
 public:
  virtual ~ChunkIndex() = default;
  virtual uint64_t size() const = 0;
  /// Looks up a batch: out[k] answers positions[k]. May read (lazy Parquet); so batch.
  virtual Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const = 0;
  /// For who reads the chunks anyway: where an object is a chunk, asks the store nothing and leaves
  /// `maybe_missing`, and the length open.
  virtual Result<> locate(std::span<const uint64_t> positions, ChunkRef* out) const {
    return lookup(positions, out);
  }
  /// The first position from `position` on whose chunk may exist; size() when there is none. What
  /// lies between needs no lookup: a grid can have many times more places than chunks.
  virtual uint64_t next_stored(uint64_t position) const { return std::min(position, size()); }
  /// True when every lookup costs a request to a store far away: not for counting.
  virtual bool asks_for_each() const { return false; }
  /// True when some chunk may have skipped a codec (HDF5 filter masks).
  virtual bool has_filter_masks() const { return false; }
  /// Approximate bytes held in memory.
  virtual size_t memory() const = 0;

  Result<ChunkRef> at(uint64_t position) const;
};

/// In memory, 12 to 24 bytes a chunk: columns for offset and length, and for granule and filter
/// mask only where they differ.
class DenseChunkIndex : public ChunkIndex {
 public:
  /// All missing. `granule`: of every stored chunk until one with another number is set.
  explicit DenseChunkIndex(uint64_t size, uint32_t granule = 0);

  void set(uint64_t position, uint32_t granule, uint64_t offset, uint64_t length,
           uint32_t filter_mask = 0);
  void set_inline(uint64_t position, Bytes bytes);
  /// Appends `count` missing chunks.
  void grow(uint64_t count);

  uint64_t size() const override { return offset_.size(); }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override;
  uint64_t next_stored(uint64_t position) const override;
  bool has_filter_masks() const override { return !mask_.empty(); }
  size_t memory() const override;
  /// Without bounds or error: position < size().
  ChunkRef get(uint64_t position) const;

 private:
  void widen_lengths();
  std::vector<uint64_t> offset_;  // kMissingOffset, kInlineOffset, or the offset
  std::vector<uint32_t> length_;  // index into inline_ for inline chunks
  std::vector<uint64_t>
      wide_length_;                // instead of length_, once a chunk passes 4 GiB or is open-ended
  std::vector<uint32_t> granule_;  // empty: all `single_granule_`
  std::vector<uint32_t> mask_;     // empty: all 0
  uint32_t single_granule_ = 0;
  std::vector<SharedBytes> inline_;
};

/// For grids with far more places than chunks: memory grows with the chunks that exist.
class SparseChunkIndex : public ChunkIndex {
 public:
  explicit SparseChunkIndex(uint64_t size) : size_(size) {}

  void set(uint64_t position, uint32_t granule, uint64_t offset, uint64_t length,
           uint32_t filter_mask = 0);
  void set_inline(uint64_t position, Bytes bytes);
  /// Call once after the last set. Of two at one position the later stays.
  void finish();

  uint64_t size() const override { return size_; }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override;
  uint64_t next_stored(uint64_t position) const override;
  bool has_filter_masks() const override { return has_masks_; }
  size_t memory() const override;

 private:
  struct Entry {
    uint64_t position;
    uint64_t offset;  // or index into inline_
    uint64_t length;
    uint32_t granule;
    uint32_t mask;
    bool is_inline;
  };
  std::vector<Entry>::const_iterator from(uint64_t position) const;

  uint64_t size_;
  bool has_masks_ = false;
  std::vector<Entry> entries_;
  std::vector<SharedBytes> inline_;
};

}  // namespace upwell
