#pragma once
// The chunk indexes of HDF5 (format specification III.A.1, VII.A to VII.E, layout message
// IV.A.2.i).

#include <memory>

#include "cube/chunk_index.hpp"
#include "cube/values.hpp"
#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

enum class ChunkIndexKind : uint8_t {
  kBtree1,
  kSingle,
  kImplicit,
  kFixedArray,
  kExtensibleArray,
  kBtree2
};

/// What the layout, dataspace, datatype and filter messages say of a chunked dataset.
struct ChunkedLayout {
  ChunkIndexKind kind = ChunkIndexKind::kBtree1;
  uint64_t address = kUndefined;  ///< of the index; kUndefined: nothing was ever written
  Shape shape;                    ///< dataset extents in elements
  Shape max_shape;                ///< kUndefined for unlimited; {} equals shape
  Shape chunk_shape;              ///< in elements (without the trailing element size)
  uint32_t element_size = 1;
  bool filtered = false;                   ///< the dataset has a filter pipeline
  bool skip_partial_edge_filters = false;  ///< layout flag bit 0: edge chunks are stored unfiltered
  uint64_t single_size = 0;                ///< kSingle with filters: stored bytes
  uint32_t single_mask = 0;
};

/// Walks one index breadth first: every `advance` reads all nodes that are there and asks the
/// window for all that are not, so that an index costs as many rounds as it is deep. Errors name
/// the structure and its offset.
class ChunkWalk {
 public:
  virtual ~ChunkWalk() = default;
  /// True: done; false: window misses bytes (window.take_missing()).
  virtual Result<bool> advance(Window& window) = 0;
  /// After done: C order of the grid ceil(shape / chunk_shape); offsets are absolute in the object
  /// (base address added), granule number 0. Chunks outside the extents (left over from a shrunk
  /// dataset) are skipped. A huge grid with few chunks comes as a sparse index.
  virtual std::unique_ptr<ChunkIndex> take() = 0;
};

/// kInvalidData for layouts that contradict themselves (zero chunk extents, more chunks than the
/// object could index, ...).
Result<std::unique_ptr<ChunkWalk>> walk_chunks(const FileFacts& facts, const ChunkedLayout& layout);

}  // namespace upwell::format::hdf5
