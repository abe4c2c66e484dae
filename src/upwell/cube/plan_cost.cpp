#include "cube/plan_cost.hpp"

#include <map>
#include <set>
#include <string>
#include <vector>

#include "cube/plan.hpp"

namespace upwell {

Result<uint64_t> bytes_to_fetch(io::Session& session, const Dataset& dataset,
                                std::span<const PlannedRead> reads) {
  std::vector<io::ReadRequest> all;
  std::map<std::pair<uint64_t, uint64_t>, std::vector<io::ReadRequest>> passes;
  for (const PlannedRead& read : reads) {
    auto& requests = passes[{read.pass, read.times}];
    UPWELL_TRY(const CheckedSelection selection, check_selection(*read.array, read.selection));
    UPWELL_TRY(const ChunkPlan plan, plan_chunks(*read.array, selection));
    for (const ChunkTask& task : plan.tasks) {
      if (task.ref.state != ChunkRef::State::kStored) continue;
      const Granule& granule = dataset.granules->at(task.ref.granule);
      requests.push_back({granule.url, {task.ref.offset, task.ref.length}, granule.reach});
      all.push_back(requests.back());
    }
  }
  uint64_t bytes = session.bytes_to_fetch(all);
  const bool once = passes.empty() || (passes.size() == 1 && passes.begin()->first.second == 1);
  // Later passes find what the cache holds, with some room for what else is read.
  if (once || bytes <= session.cache_bytes() / 4 * 3) return bytes;
  bytes = 0;
  for (const auto& [pass, requests] : passes)
    bytes += pass.second * session.bytes_to_fetch(requests);
  return bytes;
}

Result<> check_budget(io::Session& session, const Dataset& dataset,
                      std::span<const PlannedRead> reads) {
  if (session.budget() == nullptr || reads.empty()) return {};
  UPWELL_TRY(const uint64_t bytes, bytes_to_fetch(session, dataset, reads));
  std::string names;
  std::set<std::string> named;
  for (const PlannedRead& read : reads)
    if (named.insert(read.array->name).second)
      names += (names.empty() ? "" : ", ") + read.array->name;
  return session.budget()->check(bytes, "reading " + names);
}

}  // namespace upwell
