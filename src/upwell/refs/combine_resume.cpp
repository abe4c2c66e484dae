// A reference set that is there in place of the first granule.

#include <algorithm>
#include <cmath>
#include <cstring>

#include "cube/read.hpp"
#include "io/url.hpp"
#include "refs/combine.hpp"
#include "refs/zarr_metadata.hpp"

namespace upwell::refs {
namespace {

uint64_t product(const Shape& shape, size_t from, size_t to) {
  uint64_t n = 1;
  for (size_t d = from; d < to; ++d) n *= shape[d];
  return n;
}

/// -1, 0, 1: element i of a against element j of b, exactly.
int compare_elements(const Extent& a, size_t i, const Extent& b, size_t j) {
  if (!a.exact.empty() && !b.exact.empty())
    return a.exact[i] < b.exact[j] ? -1 : a.exact[i] > b.exact[j];
  return a.values[i] < b.values[j] ? -1 : a.values[i] > b.values[j];
}

bool comparable(const Extent& e) {
  return !e.values.empty() &&
         std::none_of(e.values.begin(), e.values.end(), [](double v) { return std::isnan(v); });
}

/// Lowest and highest element.
std::pair<size_t, size_t> ends_of(const Extent& e) {
  const size_t last = e.values.size() - 1;
  return compare_elements(e, 0, e, last) <= 0 ? std::pair{size_t{0}, last}
                                              : std::pair{last, size_t{0}};
}

/// Every value of `part` is one of `whole`.
bool covers(const Extent& whole, const Extent& part) {
  for (size_t i = 0; i < part.values.size(); ++i) {
    bool found = false;
    for (size_t k = 0; k < whole.values.size() && !found; ++k)
      found = compare_elements(part, i, whole, k) == 0;
    if (!found) return false;
  }
  return true;
}

}  // namespace

Result<std::unique_ptr<Combiner>> Combiner::resume(
    io::Session& session, std::vector<std::string> sources, const Dataset& store,
    const std::vector<uint64_t>& lengths, CombineOptions options, std::vector<Reason>& refused) {
  std::unique_ptr<Combiner> out(new Combiner(session, std::move(sources), std::move(options)));
  out->existing_ = lengths.size();
  for (size_t i = 0; i < out->sources_.size(); ++i)
    out->report_.sources[i].fate = i < lengths.size() ? "kept" : "added";
  out->first_root_ = store.root;
  out->first_format_ = store.format;
  UPWELL_CHECK(out->choose_concat(store));
  auto planned = out->plan_arrays(store);
  refused = out->report_.refused;
  UPWELL_CHECK(planned);
  UPWELL_CHECK(out->add_store(store, lengths));
  out->resumed_ = true;
  return out;
}

Result<> Combiner::add_store(const Dataset& store, const std::vector<uint64_t>& lengths) {
  std::vector<Reason> reasons;
  for (ArrayPlan& plan : plans_) {
    const Array* array = store.root.find_array(plan.facts.path);
    if (array == nullptr) return fail(Code::kInternal, plan.facts.path + " is planned, not there");
    auto added = [&]() -> Result<> {
      if (plan.facts.axis)
        return plan.load                ? add_store_values(store, *array, plan, lengths)
               : options_.keep_segments ? add_store_segments(store, *array, plan, lengths)
                                        : add_store_references(store, *array, plan, lengths);
      Pending pending{&plan, array, {}, std::nullopt};
      UPWELL_TRY(pending.facts,
                 facts_of(store, plan.facts.path, *array, plan.load, false, pending.express));
      if (!plan.load && !options_.keep_segments) {
        UPWELL_TRY(pending.express,
                   ExpressibleArray::make(session_, store, *array, options_.express));
      }
      return add_array(0, store, pending, reasons);
    }();
    if (!added) return fail(std::move(added).error().with(plan.facts.path));
  }
  for (size_t i = 0; i < lengths.size(); ++i) report_.sources[i].length = lengths[i];
  return {};
}

Result<> Combiner::add_store_values(const Dataset& store, const Array& array, ArrayPlan& plan,
                                    const std::vector<uint64_t>& lengths) {
  const size_t axis = *plan.facts.axis;
  UPWELL_TRY(Values all, read_raw(session_, store, array));
  const uint64_t item =
      all.type.kind == Kind::kVlenString ? sizeof(VlenHandle) : uint64_t{all.type.size};
  const uint64_t inner = product(array.shape, axis + 1, array.shape.size()) * item;
  const uint64_t outer = product(array.shape, 0, axis);
  uint64_t begin = 0;
  for (size_t i = 0; i < lengths.size(); begin += lengths[i++]) {
    plan.pieces[i].length = lengths[i];
    ArrayPlan::Loaded& loaded = plan.loaded[i];
    for (uint64_t o = 0; o < outer; ++o) {
      const auto from =
          all.data.begin() + static_cast<ptrdiff_t>((o * array.shape[axis] + begin) * inner);
      loaded.data.insert(loaded.data.end(), from,
                         from + static_cast<ptrdiff_t>(lengths[i] * inner));
    }
    if (all.type.kind == Kind::kVlenString) {  // only this granule's texts
      for (size_t k = 0; k * sizeof(VlenHandle) < loaded.data.size(); ++k) {
        VlenHandle handle;
        std::memcpy(&handle, loaded.data.data() + k * sizeof(handle), sizeof(handle));
        const auto text = all.heap.begin() + static_cast<ptrdiff_t>(handle.offset);
        handle.offset = loaded.heap.size();
        loaded.heap.insert(loaded.heap.end(), text, text + static_cast<ptrdiff_t>(handle.count));
        std::memcpy(loaded.data.data() + k * sizeof(handle), &handle, sizeof(handle));
      }
    }
  }
  return {};
}

Result<> Combiner::add_store_segments(const Dataset& store, const Array& array, ArrayPlan& plan,
                                      const std::vector<uint64_t>& lengths) {
  plan.kept->add_store(array);
  uint64_t begin = 0;
  std::vector<uint32_t> number;
  for (size_t i = 0; i < lengths.size(); begin += lengths[i++]) {
    plan.pieces[i].length = lengths[i];
    if (options_.only_after) continue;
    const Array granule = cut_along(array, *plan.facts.axis, begin, begin + lengths[i]);
    UPWELL_CHECK(plan.kept->add(i, granule, false, *plan.store,
                                [&](ChunkRef& ref) { renumber(store, number, ref); }));
  }
  return {};
}

Result<> Combiner::add_store_references(const Dataset& store, const Array& array, ArrayPlan& plan,
                                        const std::vector<uint64_t>& lengths) {
  const size_t axis = *plan.facts.axis;
  const SegmentLayout& layout = plan.facts.layout;
  const Shape grid = grid_shape(array.shape, layout.chunk_shape);
  const uint64_t chunk = std::max<uint64_t>(layout.chunk_shape[axis], 1);
  const uint64_t outer = product(grid, 0, axis);
  const uint64_t inner = product(grid, axis + 1, grid.size());
  const uint64_t base = plan.store->reserve(element_count(grid));
  const bool bare = layout.codecs.empty() && !layout.fortran_order;
  std::vector<size_t> owner(grid[axis], 0);        // by chunk along the axis
  std::vector<uint64_t> first(lengths.size(), 0);  // chunk along the axis
  uint64_t begin = 0;
  for (size_t i = 0; i < lengths.size(); begin += lengths[i++]) {
    Piece& piece = plan.pieces[i];
    piece.length = lengths[i];
    if (lengths[i] == 0) continue;
    if (begin % chunk != 0)
      return fail(Code::kUnsupported,
                  sources_[i] + " begins inside a chunk: the store cannot be added to");
    first[i] = begin / chunk;
    piece.chunks_along = (lengths[i] + chunk - 1) / chunk;
    piece.start = base + first[i] * outer * inner;
    piece.whole = bare && outer * inner * piece.chunks_along == 1 && lengths[i] == chunk;
    if (!piece.whole) plan.chunked = true;
    for (uint64_t k = 0; k < piece.chunks_along && first[i] + k < owner.size(); ++k)
      owner[first[i] + k] = i;
  }
  plan.facts.contiguous = !plan.chunked;
  if (options_.only_after) return {};
  UPWELL_TRY(const ExpressibleArray express,
             ExpressibleArray::make(session_, store, array, options_.express));
  std::vector<uint32_t> number;
  return express.for_each_block([&](uint64_t position, std::span<ChunkRef> refs) -> Result<> {
    for (ChunkRef& ref : refs) {
      renumber(store, number, ref);
      const uint64_t along = position / inner % grid[axis];
      const size_t i = owner[along];
      const Piece& piece = plan.pieces[i];
      const uint64_t local = position / inner / grid[axis] * piece.chunks_along + along - first[i];
      plan.store->put(piece.start + local * inner + position % inner, {&ref, 1});
      ++position;
    }
    return {};
  });
}

/// A store was written and read again: what its documents say of an array is compared with what
/// they would say of the new granule's.
Result<> Combiner::as_stores_say(ArrayFacts& facts) const {
  if (facts.head.null_space)
    return fail(Code::kUnsupported, "it has a null dataspace, Zarr has none");
  // Layouts are kept as they are by Upwell's own form; it always says what chunks never written
  // are.
  if (options_.keep_segments && !facts.layout.fill) facts.layout.fill = facts.head.fill;
  Array head = facts.head;
  ZarrView view;
  if (facts.referenced) {
    view = {
        head.type, facts.layout.chunk_shape, facts.layout.codecs, facts.layout.fortran_order, {}};
  } else {
    head.type = memory_type(head.type);
    Bytes fill(head.type.size);
    const bool plain = head.fill && head.type.kind != Kind::kVlenString &&
                       head.fill->size() == facts.head.type.size;
    if (plain && to_memory(facts.head.type, *head.fill, 1, fill))
      head.fill = std::move(fill);
    else
      head.fill.reset();
    view = {head.type, head.shape, {}, false, {}};
    if (head.type.kind == Kind::kVlenString) {
      head.type = view.type = DataType::vlen_string();
      view.codecs = {{"vlen-utf8", "{}"}};
    }
  }
  for (uint64_t& n : view.chunk_shape) n = std::max<uint64_t>(n, 1);
  UPWELL_TRY(const std::string zarray, zarr2_array_json(head, view));
  UPWELL_TRY(const std::string zattrs, zarr2_attributes_json(head, view));
  UPWELL_TRY(ZarrArray said, parse_zarr2_array(zarray, zattrs));
  said.array.name = facts.head.name;
  facts.head = std::move(said.array);
  if (facts.referenced && !options_.keep_segments) facts.layout = *said.layout;
  return {};
}

/// New granules whose values are in the store: an error, left out, or in the place of those there.
void Combiner::resolve_overlaps(std::vector<Extent>& extents) {
  std::vector<const Extent*> there;
  for (const Extent& e : extents)
    if (e.granule < existing_ && comparable(e)) there.push_back(&e);
  std::sort(there.begin(), there.end(), [](const Extent* a, const Extent* b) {
    return compare_elements(*a, ends_of(*a).first, *b, ends_of(*b).first) < 0;
  });
  for (const Extent& e : extents) {
    if (e.granule < existing_ || !comparable(e)) continue;
    SourceReport& source = report_.sources[e.granule];
    const auto [low, high] = ends_of(e);
    // Those of the store do not overlap each other: their ends are sorted as their beginnings are.
    auto it = std::partition_point(there.begin(), there.end(), [&, first = low](const Extent* a) {
      return compare_elements(*a, ends_of(*a).second, e, first) < 0;
    });
    std::vector<const Extent*> met;
    for (; it != there.end() && compare_elements(**it, ends_of(**it).first, e, high) <= 0; ++it)
      met.push_back(*it);
    if (met.empty()) continue;
    const bool covered =
        std::all_of(met.begin(), met.end(), [&](const Extent* a) { return covers(e, *a); });
    const bool same = covered && met.size() == 1 && met[0]->values.size() == e.values.size();
    if (options_.on_overlap == Overlap::kSkip) {
      source.fate = "skipped";
    } else if (options_.on_overlap == Overlap::kReplace && covered) {
      for (const Extent* a : met) report_.sources[a->granule].fate = "replaced";
    } else {
      const std::string& other = sources_[met[0]->granule];
      const bool anew = same && other == source.url;
      source.reasons.push_back(
          {same ? "duplicate" : "overlap", report_.coordinate,
           anew ? "it changed since it came into the store; --on-overlap replace takes it as it is "
                  "now"
           : same ? "same values as in " + io::shown_url(other) +
                        ", which is in the store (--on-overlap)"
                  : "values overlap those of " + io::shown_url(other) + ", which is in the store" +
                        (options_.on_overlap == Overlap::kReplace ? ", but leave some of them out"
                                                                  : " (--on-overlap)")});
    }
  }
  std::erase_if(extents, [&](const Extent& e) {
    const SourceReport& source = report_.sources[e.granule];
    return source.left_out() || !source.reasons.empty();
  });
}

/// The source at this position of the order, or the next new one behind it where that is in the
/// store.
size_t Combiner::blamed(size_t position) const {
  const std::vector<size_t>& order = report_.order;
  for (size_t k = position; existing_ > 0 && k < order.size(); ++k)
    if (order[k] >= existing_) return order[k];
  return order[position];
}

}  // namespace upwell::refs
