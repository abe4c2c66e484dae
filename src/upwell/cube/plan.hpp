#pragma once
// Which stored chunks a selection needs, and which of their elements.

#include <functional>

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

/// What a selection takes. Chunks that were never written have no task: there may be many times
/// more of them than of the others.
struct ChunkPlan {
  std::vector<ChunkTask> tasks;  ///< segment by segment in C order
  std::vector<const Segment*>
      with_missing;  ///< segments of which the selection takes chunks never written
};
/// kResourceExhausted when the selection has more chunks to do than memory is for.
Result<ChunkPlan> plan_chunks(const Array& array, const CheckedSelection& selection);

/// Calls `sink` with a box of the selection (in selected elements) for each chunk of a segment that
/// the selection takes and that was never written. `plan`: that of the selection.
Result<> for_each_missing(const Segment& segment, const CheckedSelection& selection,
                          const ChunkPlan& plan, const std::function<Result<>(const Box&)>& sink);

/// The box of the selection (in selected elements) that a segment covers; empty on some axis when
/// none.
Box covered_by(const Segment& segment, const CheckedSelection& selection);
/// Boxes of the selection that no segment covers.
std::vector<Box> uncovered(const Array& array, const CheckedSelection& selection);

}  // namespace upwell
