#pragma once
// From the messages of one dataset to an array with its chunk index.

#include "cube/dataset.hpp"
#include "format/format.hpp"
#include "format/hdf5/messages.hpp"
#include "format/hdf5/shared_messages.hpp"
#include "format/hdf5/virtual.hpp"

namespace upwell::format::hdf5 {

/// Reads one dataset. Call `describe`, then `index`, each until it does not need bytes.
class DatasetReader {
 public:
  /// Type, shape, fill, layout, codecs. `array` is complete then but for name, attributes,
  /// dimensions and chunks.
  Result<> describe(Window& window, SharedMessages& shared, const ObjectHeader& header,
                    const ScanOptions& options);
  /// The chunk index; kNeedBytes while nodes are missing.
  Result<> index(Window& window, const FileFacts& facts);
  /// Type and shape are known, whatever else went wrong.
  bool has_space() const { return has_space_; }

  Array array;
  std::vector<VirtualMapping> mappings;  ///< of a virtual dataset
  std::vector<ExternalSlot> slots;       ///< of external raw data
  bool is_virtual = false;
  bool is_external = false;
  std::shared_ptr<const HeapResolver> heap;  ///< set by describe for types that need one

 private:
  Result<> read_types(Window& window, SharedMessages& shared, const ObjectHeader& header);
  Result<> read_filter_pipeline(Window& window, SharedMessages& shared, const ObjectHeader& header);
  Result<> place_contiguous(const FileFacts& facts, uint64_t object_size,
                            const ScanOptions& options);
  Result<> place_compact();
  Result<> place_chunked(const FileFacts& facts);
  void add_segment(std::shared_ptr<const ChunkIndex> chunks);

  Layout layout_;
  std::vector<codec::CodecSpec> codecs_;
  uint64_t bytes_ = 0;  // of all elements
  bool has_space_ = false;
  std::unique_ptr<ChunkWalk> walk_;
};

/// Where the layout of a dataset is known and the rest of its header is not: a walk that asks for
/// the nodes of its version 1 B-tree, whose chunks are nobody's. Null: no such tree.
std::unique_ptr<ChunkWalk> scout_chunks(const FileFacts& facts, const ObjectHeader& header);

/// Cuts a C-order array of contiguous bytes into equal chunks of about `target` bytes along its
/// leading axes; 0: one chunk. Every extent divides its axis, so that no chunk passes the end.
Shape subchunk_shape(const Shape& shape, uint64_t element_size, uint64_t target);

}  // namespace upwell::format::hdf5
