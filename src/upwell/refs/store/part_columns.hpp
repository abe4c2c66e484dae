#pragma once
// The chunks of a part, looked up where they lie. Internal to refs/store.

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "refs/store/arrow.hpp"
#include "refs/store/documents.hpp"

namespace upwell::refs {

inline constexpr const char* kPartFile = "part.json";
inline constexpr const char* kGranulesFile = "granules.arrow";
inline constexpr const char* kChunksFile = "chunks.arrow";
inline constexpr const char* kInlineFile = "inline.arrow";

// In the column "granule" of chunks.arrow, where others are rows of granules.arrow.
inline constexpr uint32_t kNeverWritten = 0xffffffff;
inline constexpr uint32_t kInInlineFile = 0xfffffffe;  // "offset" is a row of inline.arrow

inline constexpr int64_t kNoTime = INT64_MIN;      // "mtime_ns" that is not known
inline constexpr uint64_t kNoSource = UINT64_MAX;  // "length" of what only holds chunks of others

/// Has the session fetch what opening these parts will read, in one batch.
void prefetch_parts(io::Session& session, const std::string& base,
                    const std::vector<StorePart>& parts);

/// The columns of one part. Thread-safe.
class PartColumns {
 public:
  /// `table` learns of the granules that are looked up. kInvalidData when columns are missing.
  static Result<std::shared_ptr<PartColumns>> open(io::Session& session, const std::string& base,
                                                   const StorePart& part, UrlPolicy urls,
                                                   std::shared_ptr<GranuleTable> table);

  /// From now on the session reads granules only in the state that is recorded of them.
  void hold_granules(io::Session& session) { held_to_ = &session; }

  const PartDocument& document() const { return document_; }
  uint64_t rows() const { return chunks_.rows; }
  /// Rows of chunks.arrow; kNoRow gives a chunk that was never written.
  static constexpr uint64_t kNoRow = UINT64_MAX;
  Result<> lookup(std::span<const uint64_t> rows, ChunkRef* out) const;
  Result<arrow::Rows> positions(const SegmentRows& rows) const;
  Result<std::vector<GranuleRecord>> granules() const;

 private:
  struct Block {
    arrow::Rows granule, offset, length, mask;
  };
  Result<Block> block(uint64_t first, uint64_t count) const;
  void prefetch(std::span<const uint64_t> rows) const;
  Result<> answer(const Block& block, uint64_t row, ChunkRef& out) const;
  Result<uint32_t> number_of(uint64_t granule) const;

  PartDocument document_;
  arrow::Table granules_, chunks_, inlined_;
  bool masks_ = false;
  std::optional<Block> all_;                   // of a local file
  mutable std::atomic<uint64_t> touched_ = 0;  // bytes of it that lookups brought into memory
  UrlPolicy urls_;
  io::Session* held_to_ = nullptr;  // where granules must be as recorded
  std::shared_ptr<GranuleTable> table_;
  // Number in table_ of each granule of the part plus one; 0: not looked up yet.
  mutable std::vector<std::atomic<uint32_t>> numbers_;
};

/// The chunks of one segment.
class PartIndex : public ChunkIndex {
 public:
  PartIndex(std::shared_ptr<const PartColumns> columns, SegmentRows rows, uint64_t size)
      : columns_(std::move(columns)), rows_(rows), size_(size) {}
  uint64_t size() const override { return size_; }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override;
  uint64_t next_stored(uint64_t position) const override;
  bool has_filter_masks() const override { return rows_.masks; }
  size_t memory() const override { return sizeof(*this); }

 private:
  /// Row, counted from the first, of the first chunk at `position` or behind it.
  Result<uint64_t> find(uint64_t position) const;
  std::shared_ptr<const PartColumns> columns_;
  SegmentRows rows_;
  uint64_t size_;
  mutable std::mutex mutex_;
  mutable std::optional<arrow::Rows> positions_;  // sparse, once it was asked
};

}  // namespace upwell::refs
