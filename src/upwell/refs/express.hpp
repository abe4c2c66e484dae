#pragma once
// Arrays as references: what a Zarr reader with numcodecs can be told without changing a value.

#include <functional>
#include <memory>
#include <span>
#include <string>

#include "cube/dataset.hpp"
#include "io/session.hpp"

namespace upwell::refs {

struct ExpressOptions {
  /// A chunk that no reference can stand for (its filters were applied in part; it was never
  /// written and Zarr's fill value would mean something else) is stored inline when its encoded
  /// bytes are not more than this.
  uint64_t max_inline_chunk = 64 << 10;
};

/// One array whose chunks can all be said as references or inline bytes of one codec chain.
class ExpressibleArray {
 public:
  /// kUnsupported with the reason when `array` cannot be: a type that numpy has not, a filter that
  /// numcodecs has no name for, segments with different layouts or off the chunk grid. The array,
  /// dataset and session must outlive this.
  static Result<ExpressibleArray> make(io::Session& session, const Dataset& dataset,
                                       const Array& array, const ExpressOptions& options = {});

  /// Codecs without those that no chunk has applied.
  const SegmentLayout& layout() const { return layout_; }
  const Shape& grid() const { return grid_; }
  uint64_t chunk_count() const { return element_count(grid_); }
  /// One unencoded chunk holds the whole array, so that any run of its bytes can be a chunk.
  bool contiguous() const;

  /// Calls visit(first position, references) for blocks of chunks in C order; what lies between the
  /// blocks was never written. Masks are zero. kUnsupported names the chunk that cannot be
  /// expressed.
  Result<> for_each_block(
      const std::function<Result<>(uint64_t, std::span<ChunkRef>)>& visit) const;

 private:
  Result<> fix(uint64_t first, std::span<ChunkRef> block) const;
  Result<> reencode(const std::vector<size_t>& which, uint64_t first,
                    std::span<ChunkRef> block) const;
  Result<SharedBytes> fill_chunk() const;
  Result<> trim_uniform_mask();

  io::Session* session_ = nullptr;
  const Dataset* dataset_ = nullptr;
  const Array* array_ = nullptr;
  ExpressOptions options_;
  SegmentLayout layout_;
  std::vector<codec::CodecSpec> all_codecs_;  // before trimming
  uint32_t uniform_mask_ = 0;
  bool store_missing_ = false;
  Shape grid_;
  std::shared_ptr<const ChunkIndex> chunks_;
};

/// kUnsupported for types that numpy has but some Zarr client in use cannot parse: zarr-python 3
/// then opens nothing of the whole store.
Result<> check_clients(const DataType& type);

/// Whether numcodecs (as zarr-python, xarray and kerchunk use it) knows a codec of this name.
bool numcodecs_knows(std::string_view id);

/// kUnsupported, with the reason, when numcodecs lacks one of these codecs (encoding order) or
/// cannot undo them one after the other: its shuffle wants whole elements, and a fletcher32
/// checksum before it adds four bytes.
Result<> check_numcodecs(std::span<const codec::CodecSpec> codecs, size_t element_size);

}  // namespace upwell::refs
