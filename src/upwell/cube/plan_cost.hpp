#pragma once
// What a read would fetch, before it does.

#include <span>

#include "cube/read.hpp"

namespace upwell {

/// A selection of an array.
struct PlannedRead {
  const Array* array = nullptr;
  Selection selection;
  uint64_t pass = 0;   ///< what has been fetched in one is fetched again in the next
  uint64_t times = 1;  ///< in the pass
};

/// Bytes that these reads would fetch from servers: their stored chunks, each once a pass (once
/// where the cache holds all), as far as they are not cached, with the gaps that are fetched with
/// them. Chunks whose length is not known count as 0. Errors as of plan_chunks.
Result<uint64_t> bytes_to_fetch(io::Session& session, const Dataset& dataset,
                                std::span<const PlannedRead> reads);

/// kOverBudget, with the number, when the session has a budget and these reads pass it. Nothing is
/// fetched.
Result<> check_budget(io::Session& session, const Dataset& dataset,
                      std::span<const PlannedRead> reads);

}  // namespace upwell
