#pragma once
// Parts of task lists: for several machines (split), and for trials (subset).

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace upwell::produce {

/// One part of a list: its name ("001", "1992-03") and the indices of its tasks, in order.
struct TaskPart {
  std::string name;
  std::vector<size_t> tasks;
};

/// `count` parts of ceil(n/count) tasks, in order, as EDP's split_task_json: the last ones may have
/// fewer or none. kInvalidArgument: count is 0.
Result<std::vector<TaskPart>> split_by_count(size_t tasks, size_t count);

/// At most `count` parts, in order, of about the same weight; a part has one task at least.
/// `weights`: of each task, such as its bytes.
Result<std::vector<TaskPart>> split_by_weight(const std::vector<uint64_t>& weights, size_t count);

/// A part for each year, month or day (4, 7 or 10 characters of an ISO time), in the order of time;
/// tasks whose time is empty make the part "time_invariant", the last.
std::vector<TaskPart> split_by_time(const std::vector<std::string>& times, size_t characters);

/// How edp_subset_tasklists chooses.
struct SubsetOptions {
  std::string mode = {};  ///< first last first-middle-last random every-nth spread bookends indices
                          ///< percentage alternating
  size_t count = 12;
  size_t step = 10;
  std::optional<int64_t> seed =
      {};  ///< of random: the choice that Python's random makes with this seed
  std::vector<size_t> indices = {};
  double percent = 0;
};

/// The indices of the chosen among n tasks, in their new order (random's and indices' own).
/// kInvalidArgument: an index that is out of range, a count of which nothing can be made, no such
/// mode.
Result<std::vector<size_t>> choose_subset(size_t n, const SubsetOptions& options);

/// `k` of n, as Python's random.seed(seed); random.sample(range(n), k).
std::vector<size_t> python_sample(size_t n, size_t k, int64_t seed);

}  // namespace upwell::produce
