#pragma once
// Reductions of windows that move along an axis.

#include "compute/piece.hpp"
#include "compute/work.hpp"

namespace upwell::compute {

/// As reduce, for reduction.rolling. `adder`: of the array. Every result is of the decoded values
/// of its own window, whatever the work is divided into.
Result<> roll(io::Session& session, const Dataset& dataset, const Array& array,
              const CheckedSelection& selection, const Reduction& reduction,
              const ReduceOptions& options, const TileSink& sink, const PieceAdder& adder);

/// What roll reads.
std::vector<Pass> rolling_passes(const Array& array, const CheckedSelection& selection,
                                 const Reduction& reduction, const ReduceOptions& options,
                                 const DataType& type);

/// A good chunk shape for the result.
Shape rolling_tile(const Array& array, const CheckedSelection& selection,
                   const Reduction& reduction);

}  // namespace upwell::compute
