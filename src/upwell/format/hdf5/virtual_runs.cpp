#include "format/hdf5/virtual_runs.hpp"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

namespace upwell::format::hdf5 {
namespace {

void append_run(AxisRuns& runs, uint64_t start, uint64_t length) {
  if (length == 0) return;
  if (!runs.empty() && runs.back().start + runs.back().length == start) {
    runs.back().length += length;
  } else {
    runs.push_back({start, length});
  }
}

// Blocks that are the product of intervals along each axis (older files spell regular selections
// out as blocks).
std::optional<std::vector<AxisRuns>> block_runs(const HyperSelection& s, const Shape& extent) {
  std::vector<AxisRuns> axes;
  uint64_t product = 1;
  for (size_t d = 0; d < extent.size(); ++d) {
    std::set<std::pair<uint64_t, uint64_t>> intervals;
    for (const auto& [first, last] : s.blocks) intervals.emplace(first[d], last[d]);
    product *= intervals.size();
    if (product > s.blocks.size()) break;
    AxisRuns runs;
    uint64_t end = 0;
    for (const auto& [first, last] : intervals) {
      if (!runs.empty() && first < end) product = kUndefined;
      end = last + 1;
      if (first < extent[d]) append_run(runs, first, std::min(last + 1, extent[d]) - first);
    }
    axes.push_back(std::move(runs));
  }
  if (product == s.blocks.size() && axes.size() == extent.size()) return axes;
  return std::nullopt;
}

tl::unexpected<Error> too_many_rows() {
  return fail(Code::kUnsupported, "a selection of too many rows");
}

/// Calls `take` with every coordinate of the axes but the last, in order.
Result<> each_row(const std::vector<AxisRuns>& axes, size_t rank, uint64_t& rows,
                  const std::function<void(const Shape&)>& take) {
  uint64_t count = 1;
  for (size_t d = 0; d + 1 < rank; ++d)
    if (__builtin_mul_overflow(count, run_total(axes[d]), &count)) return too_many_rows();
  if (count > kMaxBoxes - rows) return too_many_rows();
  rows += count;
  std::vector<std::pair<size_t, uint64_t>> at(rank ? rank - 1 : 0);  // run, place in it
  Shape place(at.size());
  for (uint64_t n = 0; n < count; ++n) {
    for (size_t d = 0; d < at.size(); ++d) place[d] = axes[d][at[d].first].start + at[d].second;
    take(place);
    for (size_t d = at.size(); d-- > 0;) {
      if (++at[d].second < axes[d][at[d].first].length) break;
      at[d].second = 0;
      if (++at[d].first < axes[d].size()) break;
      at[d].first = 0;
    }
  }
  return {};
}

}  // namespace

uint64_t run_total(const AxisRuns& runs) {
  uint64_t total = 0;
  for (const AxisRun& run : runs) total += run.length;
  return total;
}

// start, stride, count, block of one axis, cut at `extent`.
Result<AxisRuns> regular_runs(const HyperSelection& s, size_t d, uint64_t extent) {
  AxisRuns runs;
  uint64_t start = s.start[d];
  if (s.block[d] == kUndefined ||
      (s.count[d] > 1 && s.stride[d] == s.block[d] && s.count[d] == kUndefined)) {
    if (start < extent) append_run(runs, start, extent - start);
    return runs;
  }
  for (uint64_t k = 0; k < s.count[d] && start < extent; ++k) {
    append_run(runs, start, std::min(s.block[d], extent - start));
    if (runs.size() > kMaxBoxes) return fail(Code::kUnsupported, "selection of too many blocks");
    if (s.stride[d] == 0 && k + 1 < s.count[d]) {
      return fail(Code::kInvalidData, "selection with stride 0");
    }
    if (__builtin_add_overflow(start, s.stride[d], &start)) break;
  }
  return runs;
}

Result<std::optional<std::vector<AxisRuns>>> selected_runs(const HyperSelection& s,
                                                           const Shape& extent) {
  size_t rank = s.kind == HyperSelection::Kind::kRegular ? s.start.size()
                : s.kind == HyperSelection::Kind::kBlocks && !s.blocks.empty()
                    ? s.blocks[0].first.size()
                    : extent.size();
  if (rank != extent.size()) {
    return fail(Code::kInvalidData,
                fmt::format("a selection of rank {} in a dataset of rank {}", rank, extent.size()));
  }
  std::vector<AxisRuns> axes(rank);
  switch (s.kind) {
    case HyperSelection::Kind::kNone:
      break;
    case HyperSelection::Kind::kBlocks:
      return block_runs(s, extent);
    case HyperSelection::Kind::kAll:
      for (size_t d = 0; d < rank; ++d) append_run(axes[d], 0, extent[d]);
      break;
    case HyperSelection::Kind::kRegular:
      for (size_t d = 0; d < rank; ++d) {
        UPWELL_TRY(axes[d], regular_runs(s, d, extent[d]));
      }
      break;
  }
  return std::optional(std::move(axes));
}

Result<std::vector<SelectedRow>> selected_rows(const HyperSelection& s, const Shape& extent) {
  UPWELL_TRY(auto product, selected_runs(s, extent));
  std::map<Shape, AxisRuns> rows;  // by all coordinates but the last
  uint64_t count = 0;
  size_t rank = extent.size();
  auto add = [&](const std::vector<AxisRuns>& axes) {
    return each_row(axes, rank, count, [&](const Shape& place) {
      AxisRuns& row = rows[place];
      if (rank == 0)
        row.push_back({0, 1});
      else
        row.insert(row.end(), axes.back().begin(), axes.back().end());
    });
  };
  if (product) {
    UPWELL_CHECK(add(*product));
  } else {
    for (const auto& [first, last] : s.blocks) {
      std::vector<AxisRuns> axes(rank);
      bool inside = true;
      for (size_t d = 0; d < rank; ++d) {
        inside = inside && first[d] < extent[d];
        if (inside) append_run(axes[d], first[d], std::min(last[d] + 1, extent[d]) - first[d]);
      }
      if (inside) UPWELL_CHECK(add(axes));
    }
  }
  std::vector<SelectedRow> out;
  for (auto& [place, row] : rows) {
    std::sort(row.begin(), row.end(),
              [](const AxisRun& a, const AxisRun& b) { return a.start < b.start; });
    AxisRuns joined;  // blocks may touch, or overlap in a file of another writer
    for (const AxisRun& run : row) {
      uint64_t end = joined.empty() ? 0 : joined.back().start + joined.back().length;
      if (joined.empty() || run.start > end)
        joined.push_back(run);
      else
        joined.back().length = std::max(end, run.start + run.length) - joined.back().start;
    }
    for (const AxisRun& run : joined) {
      if (out.size() >= kMaxBoxes) return too_many_rows();
      Shape start = place;
      if (rank > 0) start.push_back(run.start);
      out.push_back({std::move(start), run.length});
    }
  }
  return out;
}

std::optional<size_t> unlimited_axis(const HyperSelection& s) {
  if (s.kind != HyperSelection::Kind::kRegular) return std::nullopt;
  for (size_t d = 0; d < s.count.size(); ++d) {
    if (s.count[d] == kUndefined || s.block[d] == kUndefined) return d;
  }
  return std::nullopt;
}

// Extent of an axis that holds exactly the first `n` selected coordinates of an unlimited
// selection.
uint64_t extent_holding(const HyperSelection& s, size_t d, uint64_t n) {
  if (n == 0) return 0;
  if (s.block[d] == kUndefined) return s.start[d] + n;
  uint64_t block = std::max<uint64_t>(s.block[d], 1);
  uint64_t full = (n - 1) / block;
  return s.start[d] + full * s.stride[d] + (n - full * block);
}

// First coordinate behind a limited selection along one axis.
uint64_t bound_of(const HyperSelection& s, size_t d) {
  if (s.kind == HyperSelection::Kind::kBlocks) {
    uint64_t bound = 0;
    for (const auto& block : s.blocks) bound = std::max(bound, block.second[d] + 1);
    return bound;
  }
  if (s.kind != HyperSelection::Kind::kRegular || s.count[d] == 0 || s.count[d] == kUndefined ||
      s.block[d] == kUndefined) {
    return 0;
  }
  return s.start[d] + (s.count[d] - 1) * s.stride[d] + s.block[d];
}

// "%b" becomes the number of the block, "%%" a percent sign.
std::string block_name(const std::string& pattern, uint64_t block, bool& has_block) {
  std::string out;
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern[i] == '%' && i + 1 < pattern.size() && pattern[i + 1] == 'b') {
      out += std::to_string(block);
      has_block = true;
      ++i;
    } else {
      out += pattern[i];
      if (pattern[i] == '%' && i + 1 < pattern.size() && pattern[i + 1] == '%') ++i;
    }
  }
  return out;
}

}  // namespace upwell::format::hdf5
