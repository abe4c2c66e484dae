#include "produce/factors/level_batches.hpp"

#include <algorithm>

#include "base/parallel.hpp"

namespace upwell::produce {

Result<Bytes> build_levels(FactorsHead head,
                           const std::function<Result<LevelFactors>(uint64_t level)>& make) {
  const uint64_t levels = head.layers();
  const uint64_t at_once = std::max<uint64_t>(core_count(), 4);  // bounds the memory, too
  FactorsBuilder builder(std::move(head));
  for (uint64_t first = 0; first < levels; first += at_once) {
    const uint64_t n = std::min(at_once, levels - first);
    std::vector<LevelFactors> made(n);
    UPWELL_CHECK(parallel_for(n, [&](size_t i) -> Result<> {
      UPWELL_TRY(made[i], make(first + i));
      return {};
    }));
    for (const LevelFactors& level : made) UPWELL_CHECK(builder.add(level));
  }
  return std::move(builder).finish();
}

}  // namespace upwell::produce
