#pragma once
// Count, extremes and mean of a selection in bounded memory.

#include "cube/cf.hpp"
#include "cube/read.hpp"

namespace upwell {

struct Summary {
  uint64_t count = 0;                 ///< elements that are numbers
  uint64_t missing = 0;               ///< fill or NaN
  double min = 0, max = 0, mean = 0;  ///< of those `count`; meaningless when it is 0
};

/// Streams the selection and decodes it as CF says, unless `raw`. The same result on
/// every run: pieces are added in the order of their place, not of their arrival. kInvalidArgument
/// for types that are not numbers.
Result<Summary> summarize(io::Session& session, const Dataset& dataset, const Array& array,
                          const Selection& selection, bool raw, const ReadOptions& options = {});

}  // namespace upwell
