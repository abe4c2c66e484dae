// Virtual datasets: from mappings of selections to segments.
//
// Regular selections are products of coordinates along each axis, and the k-th selected coordinate
// of an axis of the target comes from the k-th of the matching axis of the source. So each axis
// gives a list of runs, and each combination of runs is one box. Where a selection is no such
// product, or the shapes differ, elements are matched in their order, row by row.

#include <algorithm>

#include "format/hdf5/linking.hpp"
#include "format/hdf5/virtual_overlaps.hpp"
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

// Elements in both dataspaces; the shape is that of the target's axes.
struct PairedBox {
  Shape target, source, shape;
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
  // constant. nullopt where they do not match.
  static std::optional<std::vector<AxisPair>> pair_axes(const std::vector<AxisRuns>& target,
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
    return std::nullopt;
  }

  Result<> add_mapping(const HyperSelection& target, const HyperSelection& source,
                       const SourceArray& from, Array& array) {
    UPWELL_TRY(auto target_runs, selected_runs(target, array.shape));
    UPWELL_TRY(auto source_runs, selected_runs(source, from.array->shape));
    if (!target_runs || !source_runs) return add_rows(target, source, from, array);
    std::vector<AxisRuns>& t = *target_runs;
    std::vector<AxisRuns>& s = *source_runs;
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
    auto matched = pair_axes(t, s);
    if (!matched) return add_rows(target, source, from, array);
    const std::vector<AxisPair>& pairs = *matched;
    if (turns_within_chunks(pairs, *from.array, array))
      return add_rows(target, source, from, array);
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

  // Whether a run along one axis here runs along another there, inside chunks that are cut by it:
  // no segment can say that but one of single elements.
  static bool turns_within_chunks(const std::vector<AxisPair>& pairs, const Array& from,
                                  const Array& array) {
    if (from.shape.size() != array.shape.size()) return false;
    if (std::all_of(pairs.begin(), pairs.end(), [](AxisPair p) { return p.target == p.source; }))
      return false;
    std::vector<bool> used(from.shape.size());
    for (const AxisPair& pair : pairs) used[pair.source] = true;
    for (const Segment& segment : from.segments)
      for (size_t d = 0; d < used.size(); ++d)
        if (!used[d] && segment.layout->chunk_shape[d] != 1) return true;
    return false;
  }

  // The k-th selected element of the target is the k-th of the source, whatever the shapes.
  Result<> add_rows(const HyperSelection& target, const HyperSelection& source,
                    const SourceArray& from, Array& array) {
    UPWELL_TRY(auto t, selected_rows(target, array.shape));
    UPWELL_TRY(auto s, selected_rows(source, from.array->shape));
    std::vector<PairedBox> boxes;
    size_t i = 0, j = 0;
    uint64_t in_i = 0, in_j = 0;
    while (i < t.size() && j < s.size()) {
      uint64_t length = std::min(t[i].length - in_i, s[j].length - in_j);
      PairedBox box{t[i].start, s[j].start, Shape(t[i].start.size(), 1)};
      if (!box.target.empty()) box.target.back() += in_i, box.shape.back() = length;
      if (!box.source.empty()) box.source.back() += in_j;
      boxes.push_back(std::move(box));
      if ((in_i += length) == t[i].length) ++i, in_i = 0;
      if ((in_j += length) == s[j].length) ++j, in_j = 0;
    }
    if (i < t.size() || j < s.size())
      return fail(Code::kUnsupported, "a mapping between selections of different lengths");
    size_t rank = array.shape.size(), source_rank = from.array->shape.size();
    std::vector<AxisPair> pairs;
    if (rank == source_rank) {
      for (size_t d = rank; d-- > 0;) join_boxes(boxes, d);
      for (size_t d = 0; d < rank; ++d) pairs.push_back({d, d});
    } else if (rank > 0 && source_rank > 0) {
      pairs.push_back({rank - 1, source_rank - 1});
    }
    for (const PairedBox& box : boxes) {
      Shape source_shape(source_rank, 1);
      for (const AxisPair& pair : pairs) source_shape[pair.source] = box.shape[pair.target];
      UPWELL_CHECK(add_box(box.target, box.shape, box.source, source_shape, pairs, from, array));
    }
    return {};
  }

  // Joins boxes that continue each other along one axis, there and here.
  static void join_boxes(std::vector<PairedBox>& boxes, size_t axis) {
    std::vector<PairedBox> joined;
    for (PairedBox& box : boxes) {
      bool fits = !joined.empty();
      for (size_t d = 0; fits && d < box.shape.size(); ++d) {
        const PairedBox& back = joined.back();
        uint64_t step = d == axis ? back.shape[d] : 0;
        fits = box.target[d] == back.target[d] + step && box.source[d] == back.source[d] + step &&
               (d == axis || box.shape[d] == back.shape[d]);
      }
      if (fits)
        joined.back().shape[axis] += box.shape[axis];
      else
        joined.push_back(std::move(box));
    }
    boxes = std::move(joined);
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

  // Elements of a box that a segment holds.
  static uint64_t shared_count(const Segment& segment, const Shape& origin, const Shape& shape) {
    uint64_t count = 1;
    for (size_t d = 0; d < shape.size(); ++d) {
      uint64_t begin = std::max(origin[d], segment.origin[d]);
      uint64_t end = std::min(origin[d] + shape[d], segment.origin[d] + segment.shape[d]);
      count *= begin < end ? end - begin : 0;
    }
    return count;
  }

  // One box of the source array: a segment for each of the array's own segments that it meets. What
  // none covers is the source's fill.
  Result<> add_box(const Shape& t_origin, const Shape& t_shape, const Shape& s_origin,
                   const Shape& s_shape, const std::vector<AxisPair>& pairs,
                   const SourceArray& from, Array& array) {
    uint64_t covered = 0;
    for (const Segment& segment : from.array->segments)
      covered += shared_count(segment, s_origin, s_shape);
    if (covered < element_count(s_shape))
      UPWELL_CHECK(add_fill(t_origin, t_shape, *from.array, array));
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
      Shape origin(t_origin), part(t_shape);
      for (const AxisPair& pair : pairs) {
        origin[pair.target] += first[pair.source] - s_origin[pair.source];
        part[pair.target] = shape[pair.source];
      }
      UPWELL_CHECK(add_segment(origin, part, first, pairs, segment, from, array));
    }
    return {};
  }

  // Nothing but the source's fill, below what its segments hold.
  static Result<> add_fill(const Shape& origin, const Shape& shape, const Array& from,
                           Array& array) {
    if (array.segments.size() >= kMaxBoxes)
      return fail(Code::kUnsupported, "a virtual dataset of too many pieces");
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = from.type;
    layout->chunk_shape = shape;
    layout->fill = from.fill ? *from.fill : Bytes(from.type.size, uint8_t{0});
    Segment out;
    out.origin = origin;
    out.shape = shape;
    out.layout = std::move(layout);
    out.chunks = std::make_shared<DenseChunkIndex>(1);
    out.grid.assign(shape.size(), 1);
    array.segments.push_back(std::move(out));
    return {};
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

  LinkedFiles& files_;
  std::map<std::string, Entry> pending_;
};

}  // namespace

Result<> link_virtual(LinkedFiles& files, const std::vector<PendingVirtual>& pending) {
  return VirtualLinker(files, pending).run();
}

}  // namespace upwell::format::hdf5
