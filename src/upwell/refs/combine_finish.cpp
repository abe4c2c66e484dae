#include <algorithm>
#include <numeric>
#include <set>

#include "io/url.hpp"
#include "refs/combine.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kMaxLoadedBytes = uint64_t{1} << 30;
constexpr uint64_t kCutBytes = 4 << 20;
constexpr uint64_t kMinCutBytes = 64 << 10;

/// A divisor of n, at least 1: the largest whose chunks of `unit` bytes stay within kCutBytes,
/// unless they would be tiny, then the smallest that is not.
uint64_t good_divisor(uint64_t n, uint64_t unit) {
  uint64_t best = 1, enough = n;
  for (uint64_t a = 1; a * a <= n; ++a) {
    if (n % a != 0) continue;
    for (uint64_t d : {a, n / a}) {
      if (d * unit <= kCutBytes) best = std::max(best, d);
      if (d * unit >= kMinCutBytes) enough = std::min(enough, d);
    }
  }
  return best * unit < kMinCutBytes ? enough : best;
}

/// Chunk shape for arrays of which each piece is one run of unencoded bytes. `along`: the greatest
/// common divisor of the pieces' lengths, when they differ.
Shape cut_shape(Shape piece, std::optional<size_t> axis, std::optional<uint64_t> along,
                uint64_t item) {
  Shape cut = std::move(piece);
  if (axis && along) {
    for (size_t d = 0; d < *axis; ++d) cut[d] = 1;
    cut[*axis] = *along;
  }
  for (size_t d = 0; d < cut.size(); ++d) {
    if (element_count(cut) * item <= 2 * kCutBytes) break;
    uint64_t inner = item;
    for (size_t k = d + 1; k < cut.size(); ++k) inner *= cut[k];
    cut[d] = good_divisor(cut[d], inner);
  }
  return cut;
}

Shape at_least_one(Shape shape) {
  for (uint64_t& n : shape) n = std::max<uint64_t>(n, 1);
  return shape;
}

Shape grid_over(const Shape& shape, const Shape& chunks) {
  Shape grid(shape.size());
  for (size_t d = 0; d < shape.size(); ++d) grid[d] = (shape[d] + chunks[d] - 1) / chunks[d];
  return grid;
}

Values values_of(const ArrayPlan& plan, const ArrayPlan::Loaded& loaded, Shape shape) {
  Values out;
  out.type = loaded.type ? *loaded.type : plan.loaded_type;
  out.shape = std::move(shape);
  out.data = loaded.data;
  out.heap = loaded.heap;
  return out;
}

Segment whole_segment(const Array& array, SegmentLayout layout,
                      std::shared_ptr<const ChunkIndex> chunks, Shape grid) {
  Segment segment;
  segment.origin.assign(array.shape.size(), 0);
  segment.shape = array.shape;
  segment.layout = std::make_shared<const SegmentLayout>(std::move(layout));
  segment.chunks = std::move(chunks);
  segment.grid = std::move(grid);
  return segment;
}

}  // namespace

/// Turns plans into arrays, and the first granule's tree into that of the cube.
class DatasetBuilder {
 public:
  explicit DatasetBuilder(Combiner& combiner) : c_(combiner), order_(combiner.report_.order) {}

  Result<Dataset> build() {
    Dataset out;
    out.granules = c_.granules_;
    out.format = c_.first_format_;
    UPWELL_TRY(out.root, group(c_.first_root_, "/"));
    return out;
  }

 private:
  Result<Group> group(const Group& first, const std::string& path) {
    Group out;
    out.name = first.name;
    out.attributes = first.attributes;
    out.dimensions = first.dimensions;
    for (const Array& array : first.arrays) {
      auto found = c_.plan_of_.find(path + array.name);
      if (found == c_.plan_of_.end()) continue;  // dropped
      ArrayPlan& plan = c_.plans_[found->second];
      auto built = plan.load ? loaded(plan) : referenced(plan);
      if (!built) return fail(std::move(built).error().with(plan.facts.path));
      if (plan.facts.axis) note_length(out, built->shape[*plan.facts.axis]);
      out.arrays.push_back(std::move(*built));
    }
    for (const Group& child : first.groups) {
      UPWELL_TRY(Group built, group(child, path + child.name + "/"));
      out.groups.push_back(std::move(built));
    }
    if (path == "/" && c_.prepend_mode_)
      out.dimensions.push_back({c_.options_.concat, order_.size(), true});
    return out;
  }

  void note_length(Group& group, uint64_t length) {
    for (Dimension& d : group.dimensions)
      if (d.name == c_.options_.concat) d.size = length;
  }

  Result<Array> kept(ArrayPlan& plan) {
    Array out = plan.facts.head;
    out.max_shape.clear();
    KeptSegments::Line line{plan.facts.axis ? order_ : std::vector<size_t>{0}, {}, plan.facts.axis};
    for (const size_t i : line.order) line.lengths.push_back(plan.pieces[i].length);
    if (plan.facts.axis)
      out.shape[*plan.facts.axis] =
          std::accumulate(line.lengths.begin(), line.lengths.end(), uint64_t{0});
    UPWELL_TRY(const bool decoded, plan.kept->join(line, plan.store, out));
    if (decoded) c_.report_.decoded.push_back(plan.facts.path);
    return out;
  }

  Result<Array> referenced(ArrayPlan& plan) {
    if (c_.options_.keep_segments) return kept(plan);
    Array out = plan.facts.head;
    out.max_shape.clear();
    SegmentLayout layout = plan.facts.layout;
    CombinedIndex::Layout view;
    std::vector<Piece> pieces;
    if (plan.facts.axis) {
      const size_t axis = *plan.facts.axis;
      view.axis = axis;
      uint64_t total = 0;
      for (size_t i : order_) {
        const Piece& piece = plan.pieces[i];
        if (piece.length == 0) continue;  // an empty granule has no chunks to give
        pieces.push_back(piece);
        total += piece.length;
      }
      out.shape[axis] = total;
      if (!plan.chunked) cut(plan, pieces, layout, view);
    } else {
      pieces = plan.pieces;
      if (!plan.chunked) cut(plan, pieces, layout, view);
    }
    layout.chunk_shape = at_least_one(layout.chunk_shape);
    out.chunk_shape = layout.chunk_shape;
    view.stored_grid =
        grid_over(plan.facts.head.shape, at_least_one(plan.facts.layout.chunk_shape));
    Shape grid = grid_over(out.shape, out.chunk_shape);
    auto index =
        std::make_shared<CombinedIndex>(plan.store, std::move(pieces), std::move(view), grid);
    out.segments.push_back(whole_segment(out, std::move(layout), std::move(index), grid));
    return out;
  }

  static void cut(const ArrayPlan& plan, const std::vector<Piece>& pieces, SegmentLayout& layout,
                  CombinedIndex::Layout& view) {
    Shape piece = plan.facts.head.shape;
    std::optional<uint64_t> along;
    if (plan.facts.axis && !pieces.empty()) {
      uint64_t divisor = 0;
      bool equal = true;
      for (const Piece& p : pieces) {
        divisor = std::gcd(divisor, p.length);
        equal = equal && p.length == pieces[0].length;
      }
      piece[*plan.facts.axis] = pieces[0].length;
      if (!equal) along = divisor;
    }
    Shape cut = cut_shape(piece, plan.facts.axis, along, plan.facts.head.type.size);
    if (cut == piece && !along) {
      layout.chunk_shape = std::move(piece);
      return;
    }
    layout.chunk_shape = cut;
    view.cut = std::move(cut);
    view.piece_shape = std::move(piece);
    view.item_size = plan.facts.head.type.size;
  }

  /// The values of all granules in cube order, as one.
  Result<Values> joined(const ArrayPlan& plan) {
    Shape shape = plan.facts.head.shape;
    if (!plan.facts.axis) return values_of(plan, plan.loaded[0], shape);
    const size_t axis = *plan.facts.axis;
    std::vector<Values> parts;
    std::vector<const Values*> pointers;
    uint64_t total = 0, bytes = 0;
    for (size_t i : order_) {
      shape[axis] = plan.pieces[i].length;
      total += shape[axis];
      bytes += plan.loaded[i].data.size() + plan.loaded[i].heap.size();
      if (bytes > kMaxLoadedBytes)
        return fail(Code::kUnsupported,
                    "its values take more than 1 GiB: too large to be "
                    "copied into references");
      parts.push_back(values_of(plan, plan.loaded[i], shape));
    }
    for (const Values& part : parts) pointers.push_back(&part);
    // The first granule's, or the store's: one that is added to keeps the type that readers know.
    UPWELL_TRY(DataType type, common_type(pointers, &plan.loaded_type));
    Values out;
    out.type = type;
    shape[axis] = total;
    out.shape = shape;
    const bool text = type.kind == Kind::kVlenString;
    uint64_t outer = 1, inner = text ? sizeof(VlenHandle) : type.size;
    for (size_t d = 0; d < axis; ++d) outer *= shape[d];
    for (size_t d = axis + 1; d < shape.size(); ++d) inner *= shape[d];
    out.data.resize(outer * total * inner);
    uint64_t before = 0;
    for (Values& part : parts) {
      const uint64_t run = part.shape[axis] * inner;
      if (text) shift_handles(part, out.heap);
      if (!(part.type == type)) {
        UPWELL_TRY(part, cast_numbers(part, type));
      }
      for (uint64_t o = 0; o < outer && run > 0; ++o)
        std::memcpy(out.data.data() + (o * total * inner) + before, part.data.data() + o * run,
                    run);
      before += run;
    }
    return out;
  }

  static void shift_handles(Values& part, Bytes& heap) {
    for (size_t i = 0; i * sizeof(VlenHandle) < part.data.size(); ++i) {
      VlenHandle handle;
      std::memcpy(&handle, part.data.data() + i * sizeof(handle), sizeof(handle));
      handle.offset += heap.size();
      std::memcpy(part.data.data() + i * sizeof(handle), &handle, sizeof(handle));
    }
    heap.insert(heap.end(), part.heap.begin(), part.heap.end());
  }

  Result<Array> loaded(ArrayPlan& plan) {
    UPWELL_TRY(Values values, joined(plan));
    Array out = plan.facts.head;
    out.max_shape.clear();
    out.shape = values.shape;
    out.chunk_shape = at_least_one(values.shape);
    if (out.fill) {
      Bytes fill(values.type.size);
      const bool plain = values.type.kind != Kind::kVlenString &&
                         out.fill->size() == out.type.size && values.type == memory_type(out.type);
      if (plain && to_memory(out.type, *out.fill, 1, fill)) {
        out.fill = std::move(fill);
      } else {
        out.fill.reset();  // zarr_metadata takes it from the _FillValue attribute
      }
    }
    out.type = values.type;
    if (out.type.kind == Kind::kVlenString) out.type = DataType::vlen_string();
    uint64_t of_store = 0;  // elements that stay in the parts of a store in Upwell's own form
    if (plan.facts.axis && c_.options_.keep_segments && c_.options_.only_after)
      for (size_t i = 0; i < c_.existing_; ++i) of_store += plan.pieces[i].length;
    if (of_store > 0 && of_store < out.shape[*plan.facts.axis]) {
      const size_t axis = *plan.facts.axis;
      const uint64_t total = out.shape[axis];
      out.segments.push_back(inline_segment(out, rows_along(values, axis, 0, of_store)));
      out.segments.push_back(
          inline_segment(out, rows_along(values, axis, of_store, total - of_store)));
      out.segments.back().origin[axis] = of_store;
    } else {
      out.segments.push_back(inline_segment(out, std::move(values)));
    }
    if (plan.facts.axis)
      for (size_t i : order_) plan.loaded[i] = {};
    return out;
  }

  /// Part of the values; of texts the handles.
  static Values rows_along(const Values& values, size_t axis, uint64_t begin, uint64_t count) {
    Values out = values;
    out.shape[axis] = count;
    uint64_t inner = values.type.size, outer = 1;
    for (size_t d = axis + 1; d < values.shape.size(); ++d) inner *= values.shape[d];
    for (size_t d = 0; d < axis; ++d) outer *= values.shape[d];
    out.data.resize(outer * count * inner);
    for (uint64_t o = 0; o < outer; ++o)
      std::memcpy(out.data.data() + o * count * inner,
                  values.data.data() + (o * values.shape[axis] + begin) * inner, count * inner);
    return out;
  }

  /// Values as one chunk that is stored inline, at the beginning of the array.
  static Segment inline_segment(const Array& array, Values values) {
    SegmentLayout layout;
    layout.type = array.type;
    layout.chunk_shape = at_least_one(values.shape);
    layout.fill = array.fill;
    Array box;
    box.shape = values.shape;
    Shape grid = grid_over(values.shape, layout.chunk_shape);
    auto index = std::make_shared<DenseChunkIndex>(element_count(grid));
    Bytes bytes;
    if (array.type.kind == Kind::kVlenString) {
      layout.codecs = {{"vlen-utf8", "{}"}};
      std::vector<std::string> texts(values.count());
      for (size_t i = 0; i < texts.size(); ++i) texts[i] = values.text(i);
      std::vector<std::string_view> views(texts.begin(), texts.end());
      bytes = codec::join_vlen(views);
    } else {
      bytes = std::move(values.data);
    }
    if (index->size() > 0) index->set_inline(0, std::move(bytes));
    return whole_segment(box, std::move(layout), std::move(index), std::move(grid));
  }

  Combiner& c_;
  const std::vector<size_t>& order_;
};

Result<> Combiner::order_sources() {
  report_.order.clear();
  auto plan = plan_of_.find(report_.coordinate);
  if (report_.coordinate.empty() || plan == plan_of_.end()) {
    for (size_t i = 0; i < sources_.size(); ++i)
      if (report_.sources[i].reasons.empty() && !report_.sources[i].left_out())
        report_.order.push_back(i);
    return {};
  }
  ArrayPlan& coordinate = plans_[plan->second];
  if (!coordinate.facts.axis) {  // one granule, no concat dimension
    report_.order.assign(1, 0);
    return {};
  }
  std::optional<double> fill = number_attribute(coordinate.facts.head.attributes, "_FillValue");
  std::vector<Extent> extents;
  for (size_t i = 0; i < sources_.size(); ++i) {
    SourceReport& source = report_.sources[i];
    if (!source.reasons.empty() || source.left_out()) continue;
    Values values = values_of(coordinate, coordinate.loaded[i], Shape{coordinate.pieces[i].length});
    Extent extent;
    extent.granule = i;
    const bool integers = values.type.kind == Kind::kInt || values.type.kind == Kind::kUint;
    for (size_t k = 0; k < values.count(); ++k) {
      double value = values.number(k);
      if (fill && value == *fill) value = std::numeric_limits<double>::quiet_NaN();
      extent.values.push_back(value);
      if (integers) extent.exact.push_back(values.integer(k));
    }
    // Of the many granules of a store that is added to at its end nobody asks.
    if (!extent.values.empty() && (i >= existing_ || !options_.only_after)) {
      source.first = show_coordinate(extent.values.front(), coordinate.time);
      source.last = show_coordinate(extent.values.back(), coordinate.time);
    }
    extents.push_back(std::move(extent));
  }
  if (existing_ > 0) resolve_overlaps(extents);
  if (sources_.size() == 1) {  // nothing to put in line: whatever the values are
    report_.order.assign(1, 0);
  } else {
    std::vector<std::vector<Reason>> reasons(sources_.size());
    report_.order = order_granules(extents, report_.coordinate, sources_, reasons).order;
    for (size_t i = 0; i < reasons.size(); ++i)
      for (Reason& reason : reasons[i]) report_.sources[i].reasons.push_back(std::move(reason));
  }
  std::vector<double> line;
  std::vector<size_t> owner;
  std::vector<const Extent*> by_source(sources_.size(), nullptr);
  for (const Extent& extent : extents) by_source[extent.granule] = &extent;
  for (size_t i : report_.order) {
    if (by_source[i] == nullptr) continue;
    line.insert(line.end(), by_source[i]->values.begin(), by_source[i]->values.end());
    owner.insert(owner.end(), by_source[i]->values.size(), i);
  }
  report_.gaps.clear();
  for (const Gap& gap : find_gaps(line))
    report_.gaps.push_back({sources_[owner[gap.index]], sources_[owner[gap.index + 1]],
                            show_coordinate(gap.from, coordinate.time),
                            show_coordinate(gap.to, coordinate.time), gap.steps});
  return {};
}

/// A granule that does not end on a chunk edge may only be the last.
void Combiner::align_sources() {
  const std::vector<size_t> order = report_.order;
  std::vector<bool> bad(sources_.size(), false);
  for (const ArrayPlan& plan : plans_) {
    if (plan.load || !plan.facts.axis || !plan.chunked || plan.prepend || options_.keep_segments)
      continue;
    const uint64_t chunk = plan.facts.layout.chunk_shape[*plan.facts.axis];
    for (size_t k = 0; k < order.size() && chunk > 0; ++k) {
      const size_t i = order[k];
      const Piece& piece = plan.pieces[i];
      const std::string lengths = std::to_string(piece.length) + " along " + options_.concat;
      // What is in the store ends inside a chunk by right: then it is the next new one's fault.
      const size_t at = blamed(k);
      const std::string who =
          at == i ? "" : "the store's granule " + io::shown_url(sources_[i]) + " has ";
      auto refuse = [&](const char* kind, std::string message) {
        bad[at] = true;
        report_.sources[at].reasons.push_back({kind, plan.facts.path, who + std::move(message)});
      };
      // An unencoded chunk of the whole is as long as its granule: it cannot stand for a longer
      // one.
      if (piece.whole && piece.length != chunk && piece.length > 0)
        refuse("chunk shape",
               lengths + " in one chunk, other granules have chunks of " + std::to_string(chunk));
      else if (k + 1 < order.size() && piece.length % chunk != 0)
        refuse("alignment", lengths + " in chunks of " + std::to_string(chunk) + ": " +
                                (at == i ? "the next granule" : "what follows") +
                                " would begin inside a chunk");
    }
  }
  std::erase_if(report_.order, [&](size_t i) { return bad[i]; });
}

Result<> Combiner::settle() {
  UPWELL_CHECK(order_sources());
  align_sources();
  for (size_t i = 0; i < existing_; ++i)
    if (const auto& reasons = report_.sources[i].reasons; !reasons.empty())
      return fail(Code::kInvalidData, "granules that are in the store do not fit any more: " +
                                          io::shown_url(sources_[i]) + ": " + reasons[0].path +
                                          ": " + reasons[0].message);
  size_t offenders = 0;
  for (const SourceReport& source : report_.sources) offenders += !source.reasons.empty();
  for (const SourceReport& source : report_.sources)
    for (const Reason& reason : source.reasons)
      if (reason.kind == "unreadable variable")
        return fail(Code::kInvalidData,
                    "a variable cannot be scanned: " + io::shown_url(source.url) + ": " +
                        reason.path + ": " + reason.message + "; leave it out with --drop");
  if (offenders == 0) return {};
  const size_t added = sources_.size() - existing_;
  std::string text = std::to_string(offenders) + " of " + std::to_string(added) +
                     (existing_ == 0 ? " granules cannot stand beside the first"
                      : added == 1   ? " new granule cannot stand in the store"
                                     : " new granules cannot stand in the store");
  if (options_.skip_offenders) {
    if (report_.order.empty()) return fail(Code::kInvalidData, text + ": none is left");
    if (existing_ == 0 && offenders * 2 > sources_.size())
      report_.warnings.push_back(text + ": is the first granule like the others?");
    return {};
  }
  constexpr size_t kShown = 5;
  size_t shown = 0;
  for (const SourceReport& source : report_.sources) {
    if (source.reasons.empty()) continue;
    if (shown++ == kShown) break;
    const auto said = [](const Reason& reason) {
      return (reason.path.empty() ? "" : reason.path + ": ") + reason.message;
    };
    text += "\n  " + io::shown_url(source.url) + ": " + said(source.reasons[0]);
    if (source.reasons.size() == 2) text += "; " + said(source.reasons[1]);
    if (source.reasons.size() > 2)
      text += " (and " + std::to_string(source.reasons.size() - 1) + " more)";
  }
  if (offenders > kShown)
    text += "\n  ... and " + std::to_string(offenders - kShown) +
            " more (--report of virtualize and generate names them all)";
  return fail(Code::kInvalidData,
              text + ways_out() +
                  (offenders < added ? "\n  --on-drift skip goes on without such granules" : ""));
}

/// What the user can do where all that differs is how granules are stored.
std::string Combiner::ways_out() const {
  constexpr uint64_t kWorthLoading = 64 << 20;
  static const std::set<std::string, std::less<>> kStorage = {
      "alignment", "chunk shape", "codecs", "byte order", "order in a chunk", "fill value"};
  // A set of another form is no place for them, and --load is of virtualize.
  bool keep = !options_.keep_drift && (existing_ == 0 || options_.keep_segments);
  bool load = existing_ == 0;
  std::set<std::string> names;
  for (const SourceReport& source : report_.sources) {
    for (const Reason& reason : source.reasons) {
      const bool storage = kStorage.contains(reason.kind);
      const auto found = plan_of_.find(reason.path);
      keep = keep && (reason.kind == "alignment" ||
                      (found != plan_of_.end() && can_keep(plans_[found->second], reason.kind)));
      const Array* array = found == plan_of_.end() ? nullptr : &plans_[found->second].facts.head;
      load = load && storage && array != nullptr &&
             element_count(array->shape) * array->type.size <= kWorthLoading / sources_.size();
      if (array != nullptr) names.insert(reason.path.substr(1));
    }
  }
  std::string text;
  for (const std::string& name : names) text += (text.empty() ? "--load " : ",") + name;
  text = load ? text + " copies the values into the set" : "";
  if (keep)
    text += std::string(text.empty() ? "" : "; ") +
            (existing_ > 0 ? "--on-drift keep" : "--on-drift keep, with an output NAME.upwell,") +
            " keeps each granule as it is stored";
  return text.empty() ? text : "\n  " + text;
}

Result<Dataset> Combiner::finish() {
  UPWELL_CHECK(settle());
  for (size_t i : report_.order) report_.sources[i].used = true;
  std::sort(report_.attributes.begin(), report_.attributes.end(),
            [](const AttributeDifference& a, const AttributeDifference& b) {
              return std::tie(a.path, a.name) < std::tie(b.path, b.name);
            });
  return DatasetBuilder(*this).build();
}

}  // namespace upwell::refs
