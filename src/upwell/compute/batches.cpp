#include "compute/batches.hpp"

#include <algorithm>

#include "base/parallel.hpp"
#include "compute/accumulator.hpp"
#include "compute/work.hpp"

namespace upwell::compute {
namespace {

/// The reduction of the group of most elements alone.
Reduction largest_group(const Reduction& reduction) {
  std::vector<uint64_t> elements(reduction.groups->count, 0);
  for (const uint32_t group : reduction.groups->group)
    if (group != kNoGroup) ++elements[group];
  const auto most = std::max_element(elements.begin(), elements.end());
  const auto largest = static_cast<uint32_t>(most - elements.begin());
  Reduction one = reduction;
  one.groups->count = 1;
  for (uint32_t& group : one.groups->group) group = group == largest ? 0 : kNoGroup;
  return one;
}

}  // namespace

Batches batches_of(const Array& array, const CheckedSelection& selection,
                   const Reduction& reduction, const ReduceOptions& options, const DataType& type) {
  const Grouping& groups = *reduction.groups;
  Batches batches;
  std::vector<uint64_t> first(groups.count, UINT64_MAX), last(groups.count, 0);
  for (uint64_t i = 0; i < groups.group.size(); ++i) {
    const uint32_t group = groups.group[i];
    if (group == kNoGroup) continue;
    if (first[group] != UINT64_MAX && last[group] + 1 != i) batches.of_pieces = false;
    first[group] = std::min(first[group], i);
    last[group] = i;
  }
  const Reduction one = largest_group(reduction);
  const TilePlan plan(array, selection, one, tile_limits(selection, one, options, type));
  const auto accumulator = make_accumulator(reduction, type, most_values(selection, reduction));
  const uint64_t of_group = accumulators_of(plan.blocks()) * element_count(plan.largest_tile()) *
                            accumulator->cell_bytes();
  // Another batch of pieces costs nothing; of others it decodes chunks again, and fewer cores are
  // better than that.
  const uint64_t all_cores = options.threads > 0 ? options.threads : core_count();
  const uint64_t cores = batches.of_pieces ? all_cores : 1;
  const uint64_t most = std::max<uint64_t>(1, options.memory_budget / (2 * cores) / of_group);
  // Every block has totals of all groups of its batch: a batch of more than one block adds up
  // cells that have nothing.
  const uint64_t length =
      std::min(plan.largest_unit()[groups.axis], 32 * chunk_extents(array)[groups.axis]);
  for (uint32_t g = 0; g < groups.count; ++g) {
    Batch joined{g, g + 1, first[g], last[g] + 1 - first[g]};
    bool joins = false;
    if (!batches.list.empty()) {
      const Batch& before = batches.list.back();
      joined.begin = std::min(joined.begin, before.begin);
      joined.span = std::max(before.begin + before.span, last[g] + 1) - joined.begin;
      joined.first = before.first;
      joins = g - before.first < most && (!batches.of_pieces || joined.span <= length);
    }
    if (joins)
      batches.list.back() = joined;
    else
      batches.list.push_back({g, g + 1, first[g], last[g] + 1 - first[g]});
  }
  return batches;
}

CheckedSelection selection_of(const Batch& batch, const CheckedSelection& selection, size_t axis) {
  CheckedSelection part = selection;
  part.origin[axis] += batch.begin * part.step[axis];
  part.shape[axis] = batch.span;
  return part;
}

Grouping grouping_of(const Batch& batch, const Grouping& groups) {
  Grouping own;
  own.axis = groups.axis;
  own.count = batch.end - batch.first;
  const auto begin = groups.group.begin() + static_cast<std::ptrdiff_t>(batch.begin);
  own.group.assign(begin, begin + static_cast<std::ptrdiff_t>(batch.span));
  for (uint32_t& group : own.group)
    group = group >= batch.first && group < batch.end ? group - batch.first : kNoGroup;
  return own;
}

std::vector<Box> grouped_parts(const Box& box, const Array& array,
                               const CheckedSelection& selection, const Grouping& groups) {
  const size_t axis = groups.axis;
  const uint64_t extent = chunk_extents(array)[axis];
  const uint64_t end = box.origin[axis] + box.shape[axis];
  const auto chunk_of = [&](uint64_t i) {
    return (selection.origin[axis] + i * selection.step[axis]) / extent;
  };
  std::vector<Box> parts;
  for (uint64_t i = box.origin[axis]; i < end;) {
    const uint64_t first = i;
    bool any = false;
    for (; i < end && chunk_of(i) == chunk_of(first); ++i) any = any || groups.group[i] != kNoGroup;
    if (!any) continue;
    if (!parts.empty() && parts.back().origin[axis] + parts.back().shape[axis] == first) {
      parts.back().shape[axis] += i - first;
    } else {
      parts.push_back(box);
      parts.back().origin[axis] = first;
      parts.back().shape[axis] = i - first;
    }
  }
  return parts;
}

}  // namespace upwell::compute
