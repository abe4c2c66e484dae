#pragma once
// How a reduction by groups is divided where memory does not hold the totals of all.

#include <vector>

#include "compute/reduce.hpp"
#include "cube/plan.hpp"

namespace upwell::compute {

/// Groups [first, end) and the part of the axis that they span, which is gone through for them.
struct Batch {
  uint32_t first = 0, end = 0;
  uint64_t begin = 0, span = 0;  ///< in selected elements
};

struct Batches {
  bool of_pieces = true;  ///< every group is one piece of the axis
  std::vector<Batch> list;
};

/// Pieces go some at a time: totals of few, and no chunk is decoded for two batches but those that
/// a border cuts. Other groups go all at once, or as many as memory has the totals of on one core.
/// `type`: of the values that go into cells.
Batches batches_of(const Array& array, const CheckedSelection& selection,
                   const Reduction& reduction, const ReduceOptions& options, const DataType& type);

/// The part of a selection that a batch goes through, and its groups, counted from 0.
CheckedSelection selection_of(const Batch& batch, const CheckedSelection& selection, size_t axis);
Grouping grouping_of(const Batch& batch, const Grouping& groups);

/// The parts of `box` (in selected elements) whose chunks hold something of the groups, in their
/// order along the axis.
std::vector<Box> grouped_parts(const Box& box, const Array& array,
                               const CheckedSelection& selection, const Grouping& groups);

}  // namespace upwell::compute
