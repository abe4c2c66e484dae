// Virtual datasets: from mappings of selections to segments.
//
// Regular selections are products of coordinates along each axis, and the k-th selected coordinate
// of an axis of the target comes from the k-th of the matching axis of the source. So each axis
// gives a list of runs, and each combination of runs is one box.

#include <algorithm>
#include <set>

#include "format/hdf5/linking.hpp"
#include "format/hdf5/virtual_runs.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr uint64_t kMaxPrintfFiles = 65536;  // source files of one %b mapping

// A run along one axis in both dataspaces.
struct PairedRun {
  uint64_t target, source, length;
};

// Chunks of a source whose axes are not those of the virtual dataset: `keep[k]` is the source axis
// of target axis k (or none: a unit axis), dropped axes are held at one chunk coordinate.
class SlicedIndex : public ChunkIndex {
 public:
  SlicedIndex(std::shared_ptr<const ChunkIndex> chunks, Shape source_grid, Shape fixed,
              std::vector<std::optional<size_t>> keep, Shape grid)
      : chunks_(std::move(chunks)),
        source_grid_(std::move(source_grid)),
        fixed_(std::move(fixed)),
        keep_(std::move(keep)),
        grid_(std::move(grid)) {}
  uint64_t size() const override { return element_count(grid_); }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override {
    std::vector<uint64_t> mapped;
    mapped.reserve(positions.size());
    for (uint64_t position : positions) {
      Shape at = fixed_;
      for (size_t k = grid_.size(); k-- > 0; position /= grid_[k]) {
        if (keep_[k]) at[*keep_[k]] = position % grid_[k];
      }
      uint64_t linear = 0;
      for (size_t d = 0; d < at.size(); ++d) linear = linear * source_grid_[d] + at[d];
      mapped.push_back(linear);
    }
    return chunks_->lookup(mapped, out);
  }
  size_t memory() const override { return chunks_->memory(); }

 private:
  std::shared_ptr<const ChunkIndex> chunks_;
  Shape source_grid_, fixed_;
  std::vector<std::optional<size_t>> keep_;
  Shape grid_;
};

// Axis k of the target that takes part in a mapping and its axis in the source.
struct AxisPair {
  size_t target, source;
};

class VirtualLinker {
 public:
  VirtualLinker(LinkedFiles& files, const std::vector<PendingVirtual>& pending) : files_(files) {
    for (const PendingVirtual& one : pending) pending_[normal(one.path)] = {&one, State::kNew};
  }

  Result<> run() {
    for (auto& [path, entry] : pending_) UPWELL_CHECK(complete(path));
    return {};
  }

 private:
  enum class State { kNew, kRunning, kDone };
  struct Entry {
    const PendingVirtual* pending = nullptr;
    State state = State::kNew;
  };
  struct SourceArray {
    const Array* array = nullptr;
    std::shared_ptr<const LinkedFiles::Source> source;  // null: our own file
  };

  static std::string normal(const std::string& path) {
    return path.starts_with('/') ? path : "/" + path;
  }

  // Virtual datasets may have others of the same file as sources: those first.
  Result<> complete(const std::string& path) {
    Entry& entry = pending_[path];
    if (entry.state == State::kDone) return {};
    entry.state = State::kRunning;
    if (Array* array = find_array(files_.dataset().root, path)) {
      // Pointers into the tree do not outlive another array's refusal: work on a copy.
      Array copy = *array;
      copy.segments.clear();
      Result<> built = build(*entry.pending, copy);
      if (built) {
        *find_array(files_.dataset().root, path) = std::move(copy);
      } else if (built.error().code == Code::kCancelled) {
        return built;
      } else {
        refuse_array(files_.dataset(), path, std::move(built).error());
      }
    }
    entry.state = State::kDone;
    return {};
  }

  // nullopt: file or dataset are not there, which is a hole.
  Result<std::optional<SourceArray>> find_source(const std::string& file, const std::string& path) {
    std::optional<Granule> granule;
    if (file != ".") {
      UPWELL_TRY(granule, files_.locate(file));
      if (!granule) return std::nullopt;
    }
    SourceArray found;
    const Dataset* dataset = &files_.dataset();
    if (granule && !files_.is_self(*granule)) {
      UPWELL_TRY(found.source, files_.open(*granule));
      dataset = &found.source->dataset;
    } else {
      auto nested = pending_.find(normal(path));
      if (nested != pending_.end()) {
        if (nested->second.state == State::kRunning) {
          return fail(Code::kInvalidData, fmt::format("virtual dataset {} leads to itself", path));
        }
        UPWELL_CHECK(complete(nested->first));
      }
    }
    if (const Error* problem = problem_at(*dataset, path)) {
      return fail(Error(*problem).with(fmt::format("source {} in {}", path, file)));
    }
    found.array = dataset->root.find_array(path);
    if (!found.array) return std::nullopt;
    return found;
  }

  Result<> build(const PendingVirtual& pending, Array& array) {
    UPWELL_CHECK(find_extents(pending, array));
    // Of overlapping mappings libhdf5 reads all in turn, so that the last one stays.
    for (const VirtualMapping& mapping : pending.mappings) {
      bool has_block = false;
      std::string file = block_name(mapping.file, 0, has_block);
      std::string path = block_name(mapping.path, 0, has_block);
      auto axis = unlimited_axis(mapping.target);
      if (has_block && axis) {
        UPWELL_CHECK(add_numbered(mapping, *axis, array));
        continue;
      }
      UPWELL_TRY(auto source, find_source(file, path));
      if (source) UPWELL_CHECK(add_mapping(mapping.target, mapping.source, *source, array));
    }
    return settle_overlaps(array);
  }

  // Extents of unlimited axes follow the sources ("last available" view): what they hold now, not
  // what was written into the file.
  Result<> find_extents(const PendingVirtual& pending, Array& array) {
    Shape extent(array.shape.size(), kUndefined), least(array.shape.size());
    for (const VirtualMapping& mapping : pending.mappings) {
      auto axis = unlimited_axis(mapping.target);
      for (size_t d = 0; d < least.size(); ++d) {
        if (mapping.target.kind == HyperSelection::Kind::kRegular &&
            mapping.target.start.size() != least.size()) {
          break;
        }
        if (axis != d) least[d] = std::max(least[d], bound_of(mapping.target, d));
      }
      if (!axis) continue;
      if (*axis >= extent.size()) return fail(Code::kInvalidData, "a selection of another rank");
      UPWELL_TRY(uint64_t holds, extent_of(mapping, *axis));
      extent[*axis] = extent[*axis] == kUndefined ? holds : std::max(extent[*axis], holds);
    }
    for (size_t d = 0; d < extent.size(); ++d) {
      if (extent[d] == kUndefined) continue;
      extent[d] = std::max(extent[d], least[d]);
      if (array.max_shape.empty() && extent[d] != array.shape[d]) array.max_shape = array.shape;
      array.shape[d] = extent[d];
      if (d < array.chunk_shape.size()) array.chunk_shape[d] = std::max<uint64_t>(extent[d], 1);
    }
    return {};
  }

  Result<uint64_t> extent_of(const VirtualMapping& mapping, size_t axis) {
    bool has_block = false;
    std::string file = block_name(mapping.file, 0, has_block);
    std::string path = block_name(mapping.path, 0, has_block);
    if (has_block) {
      UPWELL_TRY(uint64_t blocks, count_blocks(mapping));
      if (blocks == 0) return 0;
      const HyperSelection& t = mapping.target;
      return t.start[axis] + (blocks - 1) * t.stride[axis] + t.block[axis];
    }
    UPWELL_TRY(auto source, find_source(file, path));
    auto source_axis = unlimited_axis(mapping.source);
    if (!source || !source_axis || *source_axis >= source->array->shape.size()) return 0;
    UPWELL_TRY(AxisRuns runs,
               regular_runs(mapping.source, *source_axis, source->array->shape[*source_axis]));
    return extent_holding(mapping.target, axis, run_total(runs));
  }

  // Numbered sources that are there, from 0 up to the first gap.
  Result<uint64_t> count_blocks(const VirtualMapping& mapping) {
    for (uint64_t n = 0; n < kMaxPrintfFiles; ++n) {
      bool has_block = false;
      UPWELL_TRY(auto source, find_source(block_name(mapping.file, n, has_block),
                                          block_name(mapping.path, n, has_block)));
      if (!source) return n;
    }
    return fail(Code::kUnsupported,
                fmt::format("more than {} numbered sources {}", kMaxPrintfFiles, mapping.file));
  }

  Result<> add_numbered(const VirtualMapping& mapping, size_t axis, Array& array) {
    UPWELL_TRY(uint64_t blocks, count_blocks(mapping));
    for (uint64_t n = 0; n < blocks; ++n) {
      bool has_block = false;
      UPWELL_TRY(auto source, find_source(block_name(mapping.file, n, has_block),
                                          block_name(mapping.path, n, has_block)));
      HyperSelection target = mapping.target;
      target.start[axis] += n * target.stride[axis];
      target.count[axis] = 1;
      UPWELL_CHECK(add_mapping(target, mapping.source, *source, array));
    }
    return {};
  }

  // Axes along which more than one coordinate is selected, matched in order; all others are
  // constant.
  static Result<std::vector<AxisPair>> pair_axes(const std::vector<AxisRuns>& target,
                                                 const std::vector<AxisRuns>& source) {
    std::vector<size_t> t, s;
    for (size_t d = 0; d < target.size(); ++d) {
      if (run_total(target[d]) != 1) t.push_back(d);
    }
    for (size_t d = 0; d < source.size(); ++d) {
      if (run_total(source[d]) != 1) s.push_back(d);
    }
    std::vector<AxisPair> pairs;
    bool match = t.size() == s.size();
    for (size_t k = 0; match && k < t.size(); ++k) {
      match = run_total(target[t[k]]) == run_total(source[s[k]]);
      pairs.push_back({t[k], s[k]});
    }
    if (match) return pairs;
    return fail(Code::kUnsupported, "a mapping between selections of different shapes");
  }

  Result<> add_mapping(const HyperSelection& target, const HyperSelection& source,
                       const SourceArray& from, Array& array) {
    UPWELL_TRY(auto t, selected_runs(target, array.shape));
    UPWELL_TRY(auto s, selected_runs(source, from.array->shape));
    // An unlimited source gives what the target has room for, and the other way round.
    if (auto ta = unlimited_axis(target), sa = unlimited_axis(source); ta && sa) {
      uint64_t most = std::min(run_total(t[*ta]), run_total(s[*sa]));
      cut_runs(t[*ta], most);
      cut_runs(s[*sa], most);
    }
    for (const AxisRuns& runs : t) {
      if (runs.empty()) return {};
    }
    for (const AxisRuns& runs : s) {
      if (runs.empty()) return {};
    }
    UPWELL_TRY(auto pairs, pair_axes(t, s));
    std::vector<std::vector<PairedRun>> paired;
    uint64_t boxes = 1;
    for (const AxisPair& pair : pairs) {
      paired.push_back(pair_runs(t[pair.target], s[pair.source]));
      if (__builtin_mul_overflow(boxes, paired.back().size(), &boxes) || boxes > kMaxBoxes) {
        return fail(Code::kUnsupported, "a mapping of too many blocks");
      }
    }
    Shape t_origin, s_origin, t_shape(t.size(), 1), s_shape(s.size(), 1);
    for (const AxisRuns& runs : t) t_origin.push_back(runs[0].start);
    for (const AxisRuns& runs : s) s_origin.push_back(runs[0].start);
    std::vector<size_t> at(paired.size());
    for (uint64_t n = 0; n < boxes; ++n) {
      for (size_t k = 0; k < paired.size(); ++k) {
        const PairedRun& run = paired[k][at[k]];
        t_origin[pairs[k].target] = run.target;
        s_origin[pairs[k].source] = run.source;
        t_shape[pairs[k].target] = s_shape[pairs[k].source] = run.length;
      }
      UPWELL_CHECK(add_box(t_origin, t_shape, s_origin, s_shape, pairs, from, array));
      for (size_t k = at.size(); k-- > 0 && ++at[k] == paired[k].size();) at[k] = 0;
    }
    return {};
  }

  static void cut_runs(AxisRuns& runs, uint64_t most) {
    for (size_t i = 0; i < runs.size(); ++i) {
      runs[i].length = std::min(runs[i].length, most);
      most -= runs[i].length;
      if (runs[i].length == 0) {
        runs.resize(i);
        return;
      }
    }
  }

  static std::vector<PairedRun> pair_runs(const AxisRuns& target, const AxisRuns& source) {
    std::vector<PairedRun> out;
    size_t i = 0, j = 0;
    uint64_t in_i = 0, in_j = 0;
    while (i < target.size() && j < source.size()) {
      uint64_t length = std::min(target[i].length - in_i, source[j].length - in_j);
      out.push_back({target[i].start + in_i, source[j].start + in_j, length});
      if ((in_i += length) == target[i].length) ++i, in_i = 0;
      if ((in_j += length) == source[j].length) ++j, in_j = 0;
    }
    return out;
  }

  // One box of the source array: a segment for each of the array's own segments that it meets. What
  // none covers is the source's fill.
  Result<> add_box(const Shape& t_origin, const Shape& t_shape, const Shape& s_origin,
                   const Shape& s_shape, const std::vector<AxisPair>& pairs,
                   const SourceArray& from, Array& array) {
    uint64_t covered = 0;
    for (const Segment& segment : from.array->segments) {
      Shape first(s_origin), shape(s_shape);
      bool meets = true;
      for (size_t d = 0; d < first.size() && meets; ++d) {
        uint64_t begin = std::max(s_origin[d], segment.origin[d]);
        uint64_t end = std::min(s_origin[d] + s_shape[d], segment.origin[d] + segment.shape[d]);
        meets = begin < end;
        first[d] = begin;
        shape[d] = meets ? end - begin : 0;
      }
      if (!meets) continue;
      covered += element_count(shape);
      Shape origin(t_origin), part(t_shape);
      for (const AxisPair& pair : pairs) {
        origin[pair.target] += first[pair.source] - s_origin[pair.source];
        part[pair.target] = shape[pair.source];
      }
      UPWELL_CHECK(add_segment(origin, part, first, pairs, segment, from, array));
    }
    if (covered == element_count(s_shape) || array.fill == from.array->fill) return {};
    return fail(Code::kUnsupported, "a source with holes of another fill value");
  }

  Result<> add_segment(const Shape& origin, const Shape& shape, const Shape& source_first,
                       const std::vector<AxisPair>& pairs, const Segment& of,
                       const SourceArray& from, Array& array) {
    if (array.segments.size() >= kMaxBoxes) {
      return fail(Code::kUnsupported, "a virtual dataset of too many pieces");
    }
    size_t rank = array.shape.size(), source_rank = of.shape.size();
    std::vector<std::optional<size_t>> keep(rank);
    std::vector<bool> used(source_rank);
    for (const AxisPair& pair : pairs) {
      keep[pair.target] = pair.source;
      used[pair.source] = true;
    }
    // Constant axes are matched in order too where the ranks allow: then nothing is moved.
    if (rank == source_rank &&
        std::all_of(pairs.begin(), pairs.end(), [](AxisPair p) { return p.target == p.source; })) {
      for (size_t d = 0; d < rank; ++d) keep[d] = d, used[d] = true;
    }
    Segment out;
    out.origin = origin;
    out.shape = shape;
    out.chunks = from.source ? renumber(of.chunks, from.source->granules) : of.chunks;
    auto own = [&](size_t d) {  // in the segment's own chunk grid
      return source_first[d] - of.origin[d] + (of.source_origin.empty() ? 0 : of.source_origin[d]);
    };
    auto layout = std::make_shared<SegmentLayout>(*of.layout);
    layout->chunk_shape.assign(rank, 1);
    out.grid.assign(rank, 1);
    out.source_origin.assign(rank, 0);
    for (size_t k = 0; k < rank; ++k) {
      if (!keep[k]) continue;
      layout->chunk_shape[k] = of.layout->chunk_shape[*keep[k]];
      out.grid[k] = of.grid[*keep[k]];
      out.source_origin[k] = own(*keep[k]);
    }
    bool moved = rank != source_rank;
    Shape fixed(source_rank);
    for (size_t d = 0; d < source_rank; ++d) {
      if (used[d]) continue;
      moved = true;
      fixed[d] = own(d) / of.layout->chunk_shape[d];
      if (of.layout->chunk_shape[d] == 1) continue;
      return fail(Code::kUnsupported,
                  fmt::format("a source of another rank with chunks of {} along axis {}",
                              of.layout->chunk_shape[d], d));
    }
    for (size_t k = 0; k < rank; ++k) moved = moved || (keep[k] && *keep[k] != k);
    if (moved) {
      if (layout->fortran_order) return fail(Code::kUnsupported, "a source in Fortran order");
      out.chunks = std::make_shared<SlicedIndex>(out.chunks, of.grid, fixed, keep, out.grid);
    }
    // An element of a chunk never written is the source's fill, not ours.
    if (!layout->fill) layout->fill = Bytes(layout->type.size, uint8_t{0});
    out.layout = std::move(layout);
    array.segments.push_back(std::move(out));
    return {};
  }

  static bool boxes_meet(const Segment& a, const Segment& b) {
    for (size_t d = 0; d < a.shape.size(); ++d) {
      if (a.origin[d] >= b.origin[d] + b.shape[d] || b.origin[d] >= a.origin[d] + a.shape[d]) {
        return false;
      }
    }
    return true;
  }
  static bool box_inside(const Segment& a, const Segment& b) {
    for (size_t d = 0; d < a.shape.size(); ++d) {
      if (a.origin[d] < b.origin[d] || a.origin[d] + a.shape[d] > b.origin[d] + b.shape[d]) {
        return false;
      }
    }
    return true;
  }

  // Boxes of a cube do not overlap: of two that do, the earlier is left out when the later covers
  // it.
  static Result<> settle_overlaps(Array& array) {
    auto& segments = array.segments;
    // Sweeps along the axis with most different origins, so that few pairs are compared.
    size_t axis = 0, most = 0;
    for (size_t d = 0; d < array.shape.size(); ++d) {
      std::set<uint64_t> origins;
      for (const Segment& s : segments) origins.insert(s.origin[d]);
      if (origins.size() > most) most = origins.size(), axis = d;
    }
    std::vector<size_t> order(segments.size());
    for (size_t i = 0; i < order.size(); ++i) order[i] = i;
    if (array.shape.empty()) {
      if (segments.size() > 1) segments.erase(segments.begin(), segments.end() - 1);
      return {};
    }
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
      return segments[a].origin[axis] < segments[b].origin[axis];
    });
    std::vector<bool> covered(segments.size());
    uint64_t compared = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      const Segment& a = segments[order[i]];
      for (size_t j = i + 1; j < order.size(); ++j) {
        const Segment& b = segments[order[j]];
        if (b.origin[axis] >= a.origin[axis] + a.shape[axis]) break;
        if (++compared > kMaxBoxes * 64) {
          return fail(Code::kUnsupported, "a virtual dataset of too many pieces side by side");
        }
        if (!boxes_meet(a, b)) continue;
        bool a_later = order[i] > order[j];
        if (!box_inside(a_later ? b : a, a_later ? a : b)) {
          return fail(Code::kUnsupported, "mappings that overlap in part");
        }
        covered[a_later ? order[j] : order[i]] = true;
      }
    }
    std::vector<Segment> kept;
    for (size_t i = 0; i < segments.size(); ++i) {
      if (!covered[i]) kept.push_back(std::move(segments[i]));
    }
    segments = std::move(kept);
    return {};
  }

  LinkedFiles& files_;
  std::map<std::string, Entry> pending_;
};

}  // namespace

Result<> link_virtual(LinkedFiles& files, const std::vector<PendingVirtual>& pending) {
  return VirtualLinker(files, pending).run();
}

}  // namespace upwell::format::hdf5
