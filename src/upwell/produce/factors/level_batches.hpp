#pragma once
// Levels made in parallel and put together in order. Internal.

#include <functional>

#include "produce/factors/factors.hpp"

namespace upwell::produce {

/// Calls make(level) for every level of the head, and its layer for columns, a few at once on all
/// cores, and gives the file.
Result<Bytes> build_levels(FactorsHead head,
                           const std::function<Result<LevelFactors>(uint64_t level)>& make);

}  // namespace upwell::produce
