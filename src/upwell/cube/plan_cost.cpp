#include "cube/plan_cost.hpp"

#include <string>
#include <vector>

#include "cube/plan.hpp"

namespace upwell {

Result<uint64_t> bytes_to_fetch(io::Session& session, const Dataset& dataset,
                                std::span<const PlannedRead> reads) {
  std::vector<io::ReadRequest> requests;
  for (const PlannedRead& read : reads) {
    UPWELL_TRY(const CheckedSelection selection, check_selection(*read.array, read.selection));
    UPWELL_TRY(const ChunkPlan plan, plan_chunks(*read.array, selection));
    for (const ChunkTask& task : plan.tasks) {
      if (task.ref.state != ChunkRef::State::kStored) continue;
      const Granule& granule = dataset.granules->at(task.ref.granule);
      requests.push_back({granule.url, {task.ref.offset, task.ref.length}, granule.reach});
    }
  }
  return session.bytes_to_fetch(requests);
}

Result<> check_budget(io::Session& session, const Dataset& dataset,
                      std::span<const PlannedRead> reads) {
  if (session.budget() == nullptr || reads.empty()) return {};
  UPWELL_TRY(const uint64_t bytes, bytes_to_fetch(session, dataset, reads));
  std::string names;
  for (const PlannedRead& read : reads) names += (names.empty() ? "" : ", ") + read.array->name;
  return session.budget()->check(bytes, "reading " + names);
}

}  // namespace upwell
