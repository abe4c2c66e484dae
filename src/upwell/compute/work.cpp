#include "compute/work.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>

#include "base/parallel.hpp"
#include "compute/accumulator.hpp"
#include "cube/fetch.hpp"

namespace upwell::compute {
namespace {

/// Elements of a box whose condition or weights are in memory; a chunk may have more.
constexpr uint64_t kCompanyElements = 1 << 20;

/// Requests to a store far away that are on their way at once, where each core waits for its own.
constexpr size_t kRemoteThreads = 8;

}  // namespace

uint64_t most_values(const CheckedSelection& selection, const Reduction& reduction) {
  if (reduction.rolling) return reduction.rolling->window;
  uint64_t most = 1;
  for (size_t d = 0; d < selection.shape.size(); ++d) {
    if (!reduction.reduced[d]) continue;
    uint64_t along = selection.shape[d];
    if (reduction.groups && reduction.groups->axis == d) {
      std::vector<uint64_t> of_group(reduction.groups->count, 0);
      for (const uint32_t group : reduction.groups->group)
        if (group != kNoGroup) ++of_group[group];
      along = *std::max_element(of_group.begin(), of_group.end());
    }
    most *= along;
  }
  return most;
}

uint64_t company_bytes(const Reduction& reduction, const Shape& box) {
  uint64_t bytes = 0;
  if (reduction.where) {
    bytes += element_count(box);
    for (const BesideArray& array : reduction.where->arrays) bytes += array.memory(box);
  }
  if (reduction.weights)
    bytes += element_count(box) * sizeof(double) + reduction.weights->array.memory(box);
  return 2 * bytes;  // a piece takes its part
}

TileLimits tile_limits(const CheckedSelection& selection, const Reduction& reduction,
                       const ReduceOptions& options, const DataType& type) {
  TileLimits limits;
  if (reduction.where || reduction.weights) limits.elements = kCompanyElements;
  if (reduction.function != Function::kQuantile) return limits;
  const uint64_t cores = options.threads > 0 ? options.threads : core_count();
  const uint64_t groups = reduction.groups ? reduction.groups->count : 1;
  uint64_t elements = 1;  // that are read for a cell
  for (size_t d = 0; d < selection.shape.size(); ++d)
    if (reduction.reduced[d]) elements *= selection.shape[d];
  const uint64_t of_cell =
      groups * make_accumulator(reduction, type, most_values(selection, reduction))->cell_bytes() +
      elements * company_bytes(reduction, Shape(selection.shape.size(), 1));
  limits.cells = std::max<uint64_t>(1, options.memory_budget / (2 * cores) / of_cell);
  return limits;
}

uint64_t tiles_of_chunk(const Array& array, const CheckedSelection& selection,
                        const Reduction& reduction, const TilePlan& plan) {
  const Shape extents = chunk_extents(array);
  const Shape unit = plan.largest_unit();
  uint64_t tiles = 1;
  for (size_t d = 0; d < extents.size(); ++d) {
    if (reduction.reduced[d] || array.segments.empty()) continue;
    const uint64_t taken = std::min(selection.shape[d], (extents[d] - 1) / selection.step[d] + 1);
    tiles *= (taken + unit[d] - 1) / unit[d];
  }
  return is_plain(array) ? 1 : tiles;
}

std::string megabytes(uint64_t bytes) { return fmt::format("{} MB", (bytes >> 20) + 1); }

Result<> check_chunks(const Array& array, const CheckedSelection& selection,
                      const ReduceOptions& options) {
  for (const Segment& segment : array.segments) {
    const SegmentLayout& layout = *segment.layout;
    const uint64_t need = decoding_bytes(layout);
    if (layout.codecs.empty() || need <= options.memory_budget ||
        element_count(covered_by(segment, selection).shape) == 0)
      continue;
    return fail(Code::kInvalidArgument,
                fmt::format("{}: one chunk of {} elements takes {}, and decoding it needs {}, more "
                            "than the {} MB that memory was limited to",
                            array.name, fmt::join(layout.chunk_shape, " x "),
                            megabytes(element_count(layout.chunk_shape) * layout.type.size),
                            megabytes(need), options.memory_budget >> 20));
  }
  return {};
}

namespace {

std::vector<const BesideArray*> company_of(const Reduction& reduction) {
  std::vector<const BesideArray*> arrays;
  if (reduction.where)
    for (const BesideArray& array : reduction.where->arrays) arrays.push_back(&array);
  if (reduction.weights) arrays.push_back(&reduction.weights->array);
  return arrays;
}

}  // namespace

Result<> check_company_chunks(const Reduction& reduction, const CheckedSelection& selection,
                              const ReduceOptions& options) {
  for (const BesideArray* beside : company_of(reduction)) {
    const Selection own = beside->selection_of({selection.origin, selection.shape, selection.step});
    UPWELL_TRY(const CheckedSelection checked, check_selection(beside->array(), own));
    UPWELL_CHECK(check_chunks(beside->array(), checked, options));
  }
  return {};
}

uint64_t company_decoding(const Reduction& reduction) {
  uint64_t most = 0;
  for (const BesideArray* beside : company_of(reduction))
    for (const Segment& segment : beside->array().segments)
      most = std::max(most, decoding_bytes(*segment.layout));
  return most;
}

size_t threads_within_budget(io::Session& session, const Dataset& dataset, const Array& array,
                             const ReduceOptions& options, uint64_t bytes) {
  uint64_t decoding = 0;
  bool remote = false;
  for (const Segment& segment : array.segments)
    decoding = std::max(decoding, decoding_bytes(*segment.layout));
  for (uint32_t i = 0; i < dataset.granules->size() && !remote; ++i) {
    auto traits = session.traits(dataset.granules->at(i).url);
    remote = !traits || traits->worth_caching;
  }
  size_t most = options.threads > 0 ? options.threads : core_count();
  if (remote) most = std::max(most, kRemoteThreads);
  const uint64_t each = std::max<uint64_t>(decoding + bytes, 1);
  return std::clamp<uint64_t>(options.memory_budget / each, 1, most);
}

}  // namespace upwell::compute
