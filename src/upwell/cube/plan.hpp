#pragma once
// Which stored chunks a selection needs, and which of their elements.

#include "cube/read.hpp"

namespace upwell {

/// The selection with everything spelled out and checked against the array.
struct CheckedSelection {
  Shape origin, shape, step;
};
Result<CheckedSelection> check_selection(const Array& array, const Selection& selection);

/// One stored chunk and the elements of it that are wanted.
struct ChunkTask {
  const Segment* segment = nullptr;
  ChunkRef ref;
  Shape chunk;        ///< coordinates in the segment's grid
  Shape source;       ///< first wanted element, relative to the chunk
  Shape destination;  ///< first wanted element, relative to the selection (in selected elements)
  Shape count;        ///< wanted elements along each axis
  Shape last_source;  ///< last wanted element, relative to the chunk
};

/// All tasks of a selection, segment by segment in C order; missing chunks too.
Result<std::vector<ChunkTask>> plan_chunks(const Array& array, const CheckedSelection& selection);

/// Boxes of the selection (in selected elements) that no segment covers.
struct Box {
  Shape origin, shape;
};
std::vector<Box> uncovered(const Array& array, const CheckedSelection& selection);

}  // namespace upwell
