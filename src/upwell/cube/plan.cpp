#include "cube/plan.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <tuple>
#include <utility>

#include "cube/place.hpp"

namespace upwell {
namespace {

/// Elements k of a selection axis (origin + k * step) that fall into [low, high): first k and how
/// many.
struct AxisOverlap {
  uint64_t first = 0, count = 0;
};

AxisOverlap overlap(uint64_t origin, uint64_t step, uint64_t n, uint64_t low, uint64_t high) {
  if (n == 0 || high <= origin || low >= high) return {};
  uint64_t first = low <= origin ? 0 : (low - origin + step - 1) / step;
  uint64_t last = (high - 1 - origin) / step;  // high > origin
  last = std::min(last, n - 1);
  if (first > last) return {};
  return {first, last - first + 1};
}

/// The part of a selection that lies in a box of the array; count 0 on some axis when none does.
Box selected_part(const CheckedSelection& s, const Shape& origin, const Shape& shape) {
  Box box{Shape(s.shape.size()), Shape(s.shape.size())};
  for (size_t d = 0; d < s.shape.size(); ++d) {
    AxisOverlap o = overlap(s.origin[d], s.step[d], s.shape[d], origin[d], origin[d] + shape[d]);
    box.origin[d] = o.first;
    box.shape[d] = o.count;
  }
  return box;
}

uint64_t source_origin(const Segment& segment, size_t d) {
  return segment.source_origin.empty() ? 0 : segment.source_origin[d];
}

/// Advances `at` through the box [low, high) in C order; false when done.
bool next_position(Shape& at, const Shape& low, const Shape& high) {
  for (size_t d = at.size(); d-- > 0;) {
    if (++at[d] < high[d]) return true;
    at[d] = low[d];
  }
  return false;
}

uint64_t position_of(const Shape& at, const Shape& strides) {
  uint64_t position = 0;
  for (size_t d = 0; d < at.size(); ++d) position += at[d] * strides[d];
  return position;
}

/// Moves `at` to the first position of the box [low, high) that is not before `position` of the
/// grid, in C order; false when there is none.
bool skip_to(uint64_t position, const Shape& strides, const Shape& low, const Shape& high,
             Shape& at) {
  size_t d = 0;
  for (; d < at.size(); ++d) {
    at[d] = position / strides[d];
    position %= strides[d];
    if (at[d] >= low[d] && at[d] < high[d]) continue;
    const bool past = at[d] >= high[d];
    std::copy(low.begin() + static_cast<ptrdiff_t>(d), low.end(),
              at.begin() + static_cast<ptrdiff_t>(d));
    if (!past) return true;
    // The next one along an axis before this one.
    while (d-- > 0) {
      if (++at[d] < high[d]) return true;
      at[d] = low[d];
    }
    return false;
  }
  return true;
}

/// The task of one chunk, without its reference. False when the chunk holds nothing of the
/// selection.
bool make_task(const Segment& segment, const CheckedSelection& s, const Shape& chunk,
               ChunkTask& task) {
  size_t rank = s.shape.size();
  task.segment = &segment;
  task.chunk = chunk;
  task.source.resize(rank);
  task.destination.resize(rank);
  task.count.resize(rank);
  task.last_source.resize(rank);
  for (size_t d = 0; d < rank; ++d) {
    uint64_t extent = segment.layout->chunk_shape[d];
    uint64_t chunk_start = chunk[d] * extent;
    // In source coordinates the box is [box_start, box_start + segment.shape).
    uint64_t box_start = source_origin(segment, d);
    uint64_t low = std::max(chunk_start, box_start);
    uint64_t high = std::min(chunk_start + extent, box_start + segment.shape[d]);
    if (low >= high) return false;
    uint64_t array_low = low - box_start + segment.origin[d];
    AxisOverlap o =
        overlap(s.origin[d], s.step[d], s.shape[d], array_low, array_low + (high - low));
    if (o.count == 0) return false;
    task.destination[d] = o.first;
    task.count[d] = o.count;
    task.source[d] =
        s.origin[d] + o.first * s.step[d] - segment.origin[d] + box_start - chunk_start;
    task.last_source[d] = task.source[d] + (o.count - 1) * s.step[d];
  }
  return true;
}

/// Chunks that one selection may have to do: tasks of some hundred bytes each.
constexpr size_t kMaxTasks = 8'000'000;
constexpr size_t kLookupBlock = 4096;

/// Tasks of the chunks [low, high) of a segment. Looks chunks up in blocks, so that the missing
/// ones leave nothing behind.
Result<> add_tasks(const Array& array, const Segment& segment, const CheckedSelection& s,
                   const Shape& low, const Shape& high, ChunkPlan& plan) {
  std::vector<uint64_t> positions;
  std::vector<Shape> coordinates;
  std::vector<ChunkRef> refs;
  bool any_missing = false;
  auto flush = [&]() -> Result<> {
    refs.resize(positions.size());
    UPWELL_CHECK(segment.chunks->locate(positions, refs.data()));
    for (size_t i = 0; i < positions.size(); ++i) {
      bool missing = refs[i].state == ChunkRef::State::kMissing;
      any_missing = any_missing || missing;
      if (missing) continue;
      ChunkTask task;
      if (!make_task(segment, s, coordinates[i], task)) continue;
      if (plan.tasks.size() == kMaxTasks) {
        return fail(Code::kResourceExhausted,
                    fmt::format("{}: the selection has more than {} chunks; select less",
                                array.name, kMaxTasks));
      }
      task.ref = std::move(refs[i]);
      plan.tasks.push_back(std::move(task));
    }
    positions.clear();
    coordinates.clear();
    return {};
  };
  Shape strides = c_strides(segment.grid);
  Shape at = low;
  do {
    uint64_t position = position_of(at, strides);
    if (const uint64_t next = segment.chunks->next_stored(position); next > position) {
      any_missing = true;
      if (next == segment.chunks->size() || !skip_to(next, strides, low, high, at)) break;
      position = position_of(at, strides);
    }
    positions.push_back(position);
    coordinates.push_back(at);
    if (positions.size() == kLookupBlock) UPWELL_CHECK(flush());
  } while (next_position(at, low, high));
  UPWELL_CHECK(flush());
  if (any_missing) plan.with_missing.push_back(&segment);
  return {};
}

/// Chunks [low, high) of a segment along an axis that hold `part` of the selection, which is not
/// empty.
std::pair<uint64_t, uint64_t> chunks_along(const Segment& segment, const CheckedSelection& s,
                                           const Box& part, size_t d) {
  const uint64_t extent = segment.layout->chunk_shape[d];
  const uint64_t shift = source_origin(segment, d);
  const uint64_t first = s.origin[d] + part.origin[d] * s.step[d] - segment.origin[d] + shift;
  const uint64_t last = first + (part.shape[d] - 1) * s.step[d];
  return {first / extent, last / extent + 1};
}

Result<> plan_segment(const Array& array, const Segment& segment, const CheckedSelection& s,
                      ChunkPlan& plan) {
  Box part = selected_part(s, segment.origin, segment.shape);
  if (element_count(part.shape) == 0) return {};
  size_t rank = s.shape.size();
  Shape low(rank), high(rank);
  for (size_t d = 0; d < rank; ++d) {
    if (segment.layout->chunk_shape[d] == 0)
      return fail(Code::kInvalidData, array.name + ": a chunk extent is zero");
    std::tie(low[d], high[d]) = chunks_along(segment, s, part, d);
    if (high[d] > segment.grid[d])
      return fail(Code::kInvalidData, array.name + ": the chunk grid is too small for its segment");
  }
  return add_tasks(array, segment, s, low, high, plan);
}

/// `box` minus `hole`, as boxes.
void subtract(Box box, const Box& hole, std::vector<Box>& out) {
  for (size_t d = 0; d < box.shape.size(); ++d) {
    uint64_t low = box.origin[d], high = low + box.shape[d];
    uint64_t hole_low = std::clamp(hole.origin[d], low, high);
    uint64_t hole_high = std::clamp(hole.origin[d] + hole.shape[d], low, high);
    if (hole_low >= hole_high) {
      out.push_back(std::move(box));
      return;
    }
    if (hole_low > low) {
      Box below = box;
      below.shape[d] = hole_low - low;
      out.push_back(std::move(below));
    }
    if (hole_high < high) {
      Box above = box;
      above.origin[d] = hole_high;
      above.shape[d] = high - hole_high;
      out.push_back(std::move(above));
    }
    box.origin[d] = hole_low;
    box.shape[d] = hole_high - hole_low;
  }
}

}  // namespace

Result<CheckedSelection> check_selection(const Array& array, const Selection& selection) {
  size_t rank = array.shape.size();
  CheckedSelection s{selection.origin, selection.shape, selection.step};
  if (s.origin.empty()) s.origin.assign(rank, 0);
  if (s.step.empty()) s.step.assign(rank, 1);
  if (s.origin.size() != rank || s.step.size() != rank ||
      (!s.shape.empty() && s.shape.size() != rank)) {
    return fail(
        Code::kInvalidArgument,
        fmt::format("{} has {} dimensions, the selection has another number", array.name, rank));
  }
  bool whole = s.shape.empty();
  s.shape.resize(rank);
  for (size_t d = 0; d < rank; ++d) {
    if (s.step[d] == 0) return fail(Code::kInvalidArgument, "a step of 0 selects nothing");
    if (s.origin[d] > array.shape[d])
      return fail(Code::kInvalidArgument, fmt::format("{}: index {} is outside [0, {})", array.name,
                                                      s.origin[d], array.shape[d]));
    uint64_t available = (array.shape[d] - s.origin[d] + s.step[d] - 1) / s.step[d];
    if (whole) s.shape[d] = available;
    if (s.shape[d] > available) {
      return fail(Code::kInvalidArgument,
                  fmt::format("{}: the selection passes the end of axis {} ({} elements)",
                              array.name, d, array.shape[d]));
    }
  }
  return s;
}

Result<ChunkPlan> plan_chunks(const Array& array, const CheckedSelection& selection) {
  ChunkPlan plan;
  if (element_count(selection.shape) == 0) return plan;
  for (const Segment& segment : array.segments)
    UPWELL_CHECK(plan_segment(array, segment, selection, plan));
  return plan;
}

Result<> for_each_missing(const Segment& segment, const CheckedSelection& selection,
                          const ChunkPlan& plan, const std::function<Result<>(const Box&)>& sink) {
  const Box part = covered_by(segment, selection);
  if (element_count(part.shape) == 0) return {};
  const size_t rank = selection.shape.size();
  Shape low(rank), high(rank);
  for (size_t d = 0; d < rank; ++d)
    std::tie(low[d], high[d]) = chunks_along(segment, selection, part, d);
  auto stored = std::find_if(plan.tasks.begin(), plan.tasks.end(),
                             [&](const ChunkTask& task) { return task.segment == &segment; });
  Shape at = low;
  do {
    // Tasks are in C order, as this walk.
    if (stored != plan.tasks.end() && stored->segment == &segment && stored->chunk == at) {
      ++stored;
      continue;
    }
    ChunkTask missing;
    if (make_task(segment, selection, at, missing))
      UPWELL_CHECK(sink({missing.destination, missing.count}));
  } while (next_position(at, low, high));
  return {};
}

Box covered_by(const Segment& segment, const CheckedSelection& selection) {
  return selected_part(selection, segment.origin, segment.shape);
}

std::vector<Box> uncovered(const Array& array, const CheckedSelection& selection) {
  std::vector<Box> left;
  if (element_count(selection.shape) == 0) return left;
  left.push_back({Shape(selection.shape.size(), 0), selection.shape});
  for (const Segment& segment : array.segments) {
    Box part = selected_part(selection, segment.origin, segment.shape);
    if (element_count(part.shape) == 0) continue;
    std::vector<Box> next;
    for (Box& box : left) {
      if (box.shape.empty()) continue;  // a scalar is covered by any segment
      subtract(std::move(box), part, next);
    }
    left = std::move(next);
  }
  return left;
}

}  // namespace upwell
