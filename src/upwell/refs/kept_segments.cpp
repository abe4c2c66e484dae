#include "refs/kept_segments.hpp"

#include <algorithm>
#include <limits>
#include <unordered_map>

#include "cube/cf.hpp"
#include "cube/plan.hpp"
#include "refs/audit.hpp"
#include "refs/reference_output.hpp"

namespace upwell::refs {
namespace {

constexpr size_t kLayoutsCompared = 64;
constexpr size_t kMaxLanes = 1024;
/// Unencoded chunks can be larger than anybody wants to be served.
constexpr uint64_t kMaxViewChunk = 8 << 20;

/// Chunks [first, first + count) along one axis of another index.
class SlicedIndex : public ChunkIndex {
 public:
  SlicedIndex(std::shared_ptr<const ChunkIndex> whole, const Shape& grid, size_t axis,
              uint64_t first, uint64_t count)
      : whole_(std::move(whole)), first_(first), count_(count), old_count_(grid[axis]) {
    for (size_t d = axis + 1; d < grid.size(); ++d) inner_ *= grid[d];
    size_ = element_count(grid) / old_count_ * count_;
  }
  uint64_t size() const override { return size_; }
  Result<> lookup(std::span<const uint64_t> positions, ChunkRef* out) const override {
    std::vector<uint64_t> there(positions.size());
    for (size_t i = 0; i < there.size(); ++i) {
      const uint64_t inner = positions[i] % inner_, outer = positions[i] / inner_;
      there[i] = ((outer / count_ * old_count_) + first_ + outer % count_) * inner_ + inner;
    }
    return whole_->lookup(there, out);
  }
  bool has_filter_masks() const override { return whole_->has_filter_masks(); }
  size_t memory() const override { return sizeof(*this); }

 private:
  std::shared_ptr<const ChunkIndex> whole_;
  uint64_t first_, count_, old_count_, inner_ = 1, size_ = 0;
};

bool begins_with_chunk(const Shape& source_origin) {
  return std::all_of(source_origin.begin(), source_origin.end(), [](uint64_t n) { return n == 0; });
}

bool same_packing(const SegmentLayout& a, const SegmentLayout& b) {
  SegmentLayout x, y;
  x.packing = a.packing;
  y.packing = b.packing;
  return memory_type(a.type) == memory_type(b.type) && x == y;
}

Result<> copy_references(const Segment& segment, uint64_t start, ReferenceStore& store,
                         const std::function<void(ChunkRef&)>& renumber, bool& masks) {
  return visit_chunks(segment, [&](uint64_t first, std::vector<ChunkRef>& refs) -> Result<> {
    for (ChunkRef& ref : refs) {
      renumber(ref);
      masks = masks || ref.filter_mask != 0;
    }
    store.put(start + first, refs);
    return {};
  });
}

/// The array's segments, and segments without chunks where it has none.
Result<std::vector<Segment>> all_segments(const Array& array) {
  std::vector<Segment> out = array.segments;
  UPWELL_TRY(const CheckedSelection whole, check_selection(array, {}));
  for (const Box& box : uncovered(array, whole)) {
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = array.type;
    layout->fill = array.fill;
    if (!layout->fill && !array.segments.empty() && array.segments[0].layout->type == array.type)
      layout->fill = array.segments[0].layout->fill;
    layout->chunk_shape =
        array.chunk_shape.size() == array.shape.size() ? array.chunk_shape : array.shape;
    for (uint64_t& extent : layout->chunk_shape) extent = std::max<uint64_t>(extent, 1);
    out.push_back(
        {box.origin, box.shape, {}, layout, nullptr, grid_shape(box.shape, layout->chunk_shape)});
  }
  return out;
}

void cut_view(const SegmentLayout& layout, Shape& chunk) {
  if (!layout.codecs.empty()) return;
  for (uint64_t& extent : chunk) {
    const uint64_t bytes = element_count(chunk) * std::max(layout.type.size, 1U);
    if (bytes <= kMaxViewChunk) return;
    extent = std::max<uint64_t>(1, extent / ((bytes + kMaxViewChunk - 1) / kMaxViewChunk));
  }
}

}  // namespace

Array cut_along(const Array& array, size_t axis, uint64_t begin, uint64_t end) {
  Array out = array;
  out.segments.clear();
  out.shape[axis] = end - begin;
  for (const Segment& segment : array.segments) {
    const uint64_t low = std::max(segment.origin[axis], begin);
    const uint64_t high = std::min(segment.origin[axis] + segment.shape[axis], end);
    if (low >= high) continue;
    Segment cut = segment;
    const uint64_t chunk = segment.layout->chunk_shape[axis];
    if (cut.source_origin.empty()) cut.source_origin.assign(array.shape.size(), 0);
    const uint64_t from = cut.source_origin[axis] + low - segment.origin[axis];
    const uint64_t count = (from % chunk + (high - low) + chunk - 1) / chunk;
    if (count != segment.grid[axis] && segment.chunks)
      cut.chunks =
          std::make_shared<SlicedIndex>(segment.chunks, segment.grid, axis, from / chunk, count);
    cut.grid[axis] = count;
    cut.source_origin[axis] = from % chunk;
    cut.origin[axis] = low - begin;
    cut.shape[axis] = high - low;
    out.segments.push_back(std::move(cut));
  }
  return out;
}

KeptSegments::LayoutPointer KeptSegments::shared(SegmentLayout layout) {
  const std::lock_guard lock(mutex_);
  // Neighbours are alike, and where every granule has its own packing there are too many to ask.
  const auto oldest = layouts_.size() > kLayoutsCompared
                          ? layouts_.rbegin() + static_cast<ptrdiff_t>(kLayoutsCompared)
                          : layouts_.rend();
  const auto found = std::find_if(layouts_.rbegin(), oldest,
                                  [&](const LayoutPointer& known) { return *known == layout; });
  if (found != oldest) return *found;
  layouts_.push_back(std::make_shared<const SegmentLayout>(std::move(layout)));
  return layouts_.back();
}

/// The layout with everything that the array says beside it.
KeptSegments::LayoutPointer KeptSegments::own_layout(const Array& array, const Segment& segment,
                                                     bool prepend) {
  SegmentLayout layout = *segment.layout;
  if (!layout.packing) {
    layout.packing = cf::packing_of(array.attributes);
    std::erase_if(*layout.packing, [&](const Attribute& a) { return is_nan_fill(layout.type, a); });
  }
  if (!layout.fill && layout.type == array.type) layout.fill = array.fill;
  if (!layout.fill && !layout.type.has_vlen()) layout.fill = Bytes(layout.type.size, 0);
  if (prepend) layout.chunk_shape.insert(layout.chunk_shape.begin(), 1);
  return shared(std::move(layout));
}

Result<> KeptSegments::add(size_t i, const Array& array, bool prepend, ReferenceStore& store,
                           const std::function<void(ChunkRef&)>& renumber) {
  UPWELL_TRY(const std::vector<Segment> segments, all_segments(array));
  for (const Segment& segment : segments) {
    if (element_count(segment.shape) == 0) continue;
    Kept kept{segment.origin, segment.shape, segment.source_origin, segment.grid, nullptr, 0,
              false};
    if (kept.source_origin.empty()) kept.source_origin.assign(kept.shape.size(), 0);
    kept.start = store.reserve(element_count(kept.grid));
    UPWELL_CHECK(copy_references(segment, kept.start, store, renumber, kept.masks));
    if (prepend) {
      for (Shape* shape : {&kept.origin, &kept.source_origin}) shape->insert(shape->begin(), 0);
      for (Shape* shape : {&kept.shape, &kept.grid}) shape->insert(shape->begin(), 1);
    }
    kept.layout = own_layout(array, segment, prepend);
    if (segment.layout->packing) {
      const std::lock_guard lock(mutex_);
      decoded_ = true;
    }
    sources_[i].push_back(std::move(kept));
  }
  return {};
}

void KeptSegments::add_store(const Array& array) {
  for (const Segment& segment : array.segments) {
    decoded_ = decoded_ || segment.layout->packing;
    LayoutPointer layout = own_layout(array, segment, false);
    if (of_store_.empty() || of_store_.back() != layout) of_store_.push_back(std::move(layout));
  }
}

std::vector<const SegmentLayout*> KeptSegments::all_layouts(const Line& line) const {
  std::vector<const SegmentLayout*> out;
  for (const LayoutPointer& layout : of_store_) out.push_back(layout.get());
  for (const size_t i : line.order)
    for (const Kept& kept : sources_[i]) out.push_back(kept.layout.get());
  std::sort(out.begin(), out.end());
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

Result<> KeptSegments::decode(const Line& line, Array& array) const {
  std::vector<DataType> types;
  for (const SegmentLayout* layout : all_layouts(line)) {
    Array packed;
    packed.type = layout->type;
    packed.attributes = *layout->packing;
    types.push_back(cf::decoded_type(cf::decoding_of(packed), memory_type(layout->type)));
  }
  const bool same =
      std::all_of(types.begin(), types.end(), [&](const DataType& t) { return t == types[0]; });
  const bool real = std::any_of(types.begin(), types.end(),
                                [](const DataType& t) { return t.kind == Kind::kFloat; });
  // Integers beside a float are each brought to it, not first to one another: the order in which
  // granules come must not matter.
  std::optional<DataType> type = same || !real ? types[0] : DataType::floating(4);
  for (const DataType& own : types) {
    const auto common = common_number_type(*type, own);
    if (!common)
      return fail(Code::kUnsupported, "values of type " + describe(*type) + " and of type " +
                                          describe(own) + " have no common one");
    type = common;
  }
  array.attributes = cf::decoded_attributes(array.attributes, cf::decoding_of(array));
  array.type = *type;
  array.fill.reset();
  if (type->kind != Kind::kFloat) return {};
  Values nan = make_number(std::numeric_limits<double>::quiet_NaN());
  if (type->size == 4) {
    const float narrow = std::numeric_limits<float>::quiet_NaN();
    nan.type = *type;
    nan.data.assign(reinterpret_cast<const uint8_t*>(&narrow),
                    reinterpret_cast<const uint8_t*>(&narrow) + 4);
  }
  array.fill = nan.data;
  std::erase_if(array.attributes, [](const Attribute& a) {
    return a.name == "_FillValue" || a.name == "missing_value";
  });
  array.attributes.push_back({"_FillValue", std::move(nan), false});
  return {};
}

Result<bool> KeptSegments::join(const Line& line,
                                const std::shared_ptr<const ReferenceStore>& store, Array& array) {
  const std::vector<const SegmentLayout*> layouts = all_layouts(line);
  // Where values mean the same before they are decoded, they stay as they are stored.
  const bool decoded =
      decoded_ || std::any_of(layouts.begin(), layouts.end(), [&](const SegmentLayout* layout) {
        return !same_packing(*layout, *layouts[0]);
      });
  bool same_order = true;
  std::unordered_map<const SegmentLayout*, LayoutPointer> plain_of;
  for (const size_t i : line.order)
    for (Kept& kept : sources_[i]) {
      same_order = same_order && kept.layout->type == array.type;
      if (decoded) continue;
      LayoutPointer& plain = plain_of[kept.layout.get()];
      if (!plain) {
        SegmentLayout layout = *kept.layout;
        layout.packing.reset();  // the array's attributes say it
        plain = shared(std::move(layout));
      }
      kept.layout = plain;
    }
  if (decoded) {
    UPWELL_CHECK(decode(line, array));
  } else if (!same_order) {
    const DataType memory = memory_type(array.type);
    Bytes fill(memory.size);
    if (array.fill) UPWELL_CHECK(to_memory(array.type, *array.fill, 1, fill));
    if (array.fill) array.fill = std::move(fill);
    array.type = memory;
  }
  struct Run {
    Segment segment;
    std::vector<Piece> pieces;
    bool masks = false;
  };
  std::vector<Run> runs;
  const size_t axis = line.axis.value_or(0);
  auto follows = [&](const Run& run, const Segment& next) {
    const Segment& last = run.segment;
    if (!line.axis || last.layout != next.layout || !begins_with_chunk(last.source_origin) ||
        !begins_with_chunk(next.source_origin) ||
        last.shape[axis] % last.layout->chunk_shape[axis] != 0 ||
        last.origin[axis] + last.shape[axis] != next.origin[axis])
      return false;
    for (size_t d = 0; d < next.shape.size(); ++d)
      if (d != axis && (last.origin[d] != next.origin[d] || last.shape[d] != next.shape[d] ||
                        last.grid[d] != next.grid[d]))
        return false;
    return true;
  };
  size_t lanes = 1;
  for (const size_t i : line.order) lanes = std::max(lanes, 2 * sources_[i].size());
  lanes = std::min(lanes, kMaxLanes);
  uint64_t begin = 0;
  for (size_t k = 0; k < line.order.size(); ++k) {
    for (const Kept& kept : sources_[line.order[k]]) {
      Segment next{kept.origin, kept.shape, kept.source_origin, kept.layout, nullptr, kept.grid};
      if (line.axis) next.origin[axis] += begin;
      const Piece piece{kept.start, kept.grid.empty() ? 1 : kept.grid[axis],
                        kept.shape.empty() ? 1 : kept.shape[axis], false};
      // A granule can have several segments beside each other, each of which goes on in the next.
      const auto oldest = runs.rbegin() + static_cast<ptrdiff_t>(std::min(runs.size(), lanes));
      const auto found =
          std::find_if(runs.rbegin(), oldest, [&](const Run& run) { return follows(run, next); });
      if (found != oldest) {
        Run& run = *found;
        run.segment.shape[axis] += next.shape[axis];
        run.segment.grid[axis] += next.grid[axis];
        run.pieces.push_back(piece);
        run.masks = run.masks || kept.masks;
      } else {
        runs.push_back({std::move(next), {piece}, kept.masks});
      }
    }
    begin += line.lengths[k];
  }
  array.segments.clear();
  for (Run& run : runs) {
    CombinedIndex::Layout view;
    view.axis = axis;
    view.stored_grid = run.segment.grid;
    view.masks = run.masks;
    run.segment.chunks = std::make_shared<CombinedIndex>(store, std::move(run.pieces),
                                                         std::move(view), run.segment.grid);
    array.segments.push_back(std::move(run.segment));
  }
  if (!array.segments.empty()) {
    array.chunk_shape = array.segments[0].layout->chunk_shape;
    cut_view(*array.segments[0].layout, array.chunk_shape);
  }
  if (array.chunk_shape.size() != array.shape.size()) array.chunk_shape = array.shape;
  for (uint64_t& extent : array.chunk_shape) extent = std::max<uint64_t>(extent, 1);
  return decoded;
}

}  // namespace upwell::refs
