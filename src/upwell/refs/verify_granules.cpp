#include "refs/verify_granules.hpp"

#include <algorithm>
#include <numeric>
#include <set>
#include <unordered_map>

#include "refs/granule_record.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kWalkBlock = 4096;

/// Calls visit(chunk coordinates, reference) for every chunk of the segment that lies in a granule.
Result<> walk_segment(const Segment& segment,
                      const std::function<void(const Shape&, const ChunkRef&)>& visit) {
  const ChunkIndex& chunks = *segment.chunks;
  const uint64_t count = std::min(chunks.size(), element_count(segment.grid));
  std::vector<uint64_t> positions;
  std::vector<ChunkRef> refs(kWalkBlock);
  Shape at(segment.grid.size());
  for (uint64_t first = chunks.next_stored(0); first < count;
       first = chunks.next_stored(first + kWalkBlock)) {
    positions.resize(std::min(kWalkBlock, count - first));
    std::iota(positions.begin(), positions.end(), first);
    UPWELL_CHECK(chunks.lookup(positions, refs.data()));
    for (size_t i = 0; i < positions.size(); ++i) {
      if (refs[i].state != ChunkRef::State::kStored) continue;
      uint64_t rest = positions[i];
      for (size_t d = at.size(); d-- > 0;) {
        at[d] = rest % segment.grid[d];
        rest /= segment.grid[d];
      }
      visit(at, refs[i]);
    }
  }
  return {};
}

/// Elements that a granule's chunks cover along each axis.
struct Span {
  Shape low, high;
};
using Spans = std::unordered_map<uint32_t, Span>;

Result<Spans> spans_of(const Array& array) {
  Spans out;
  for (const Segment& segment : array.segments) {
    if (!segment.source_origin.empty() &&
        std::any_of(segment.source_origin.begin(), segment.source_origin.end(),
                    [](uint64_t o) { return o != 0; }))
      continue;
    const Shape& chunk = segment.layout->chunk_shape;
    UPWELL_CHECK(walk_segment(segment, [&](const Shape& at, const ChunkRef& ref) {
      auto [it, fresh] = out.try_emplace(ref.granule);
      Span& span = it->second;
      if (fresh) {
        span.low.assign(at.size(), UINT64_MAX);
        span.high.assign(at.size(), 0);
      }
      for (size_t d = 0; d < at.size(); ++d) {
        const uint64_t low = segment.origin[d] + at[d] * chunk[d];
        span.low[d] = std::min(span.low[d], low);
        span.high[d] = std::max(span.high[d], std::min(low + chunk[d], array.shape[d]));
      }
    }));
  }
  return out;
}

/// Axes along which the granules of one array lie at different places.
std::set<size_t> differing_axes(const Spans& spans) {
  std::set<size_t> out;
  if (spans.empty()) return out;
  const Span& first = spans.begin()->second;
  for (const auto& [granule, span] : spans)
    for (size_t d = 0; d < span.low.size(); ++d)
      if (span.low[d] != first.low[d]) out.insert(d);
  return out;
}

/// Widens what is known of granules along the concat dimension.
void note_spans(const Spans& spans, size_t axis,
                std::unordered_map<uint32_t, std::pair<uint64_t, uint64_t>>& along) {
  for (const auto& [granule, span] : spans) {
    auto [it, fresh] = along.try_emplace(granule, span.low[axis], span.high[axis]);
    it->second.first = std::min(it->second.first, span.low[axis]);
    it->second.second = std::max(it->second.second, span.high[axis]);
  }
}

Result<Placement> from_references(const Dataset& set) {
  Placement out;
  std::vector<std::pair<const Array*, Spans>> walked;
  Result<> result;
  std::set<std::string> along;
  std::set<uint32_t> met;
  for_each_array(set.root, [&](const std::string& path, const Array& array) {
    if (!result) return;
    auto spans = spans_of(array);
    if (!spans) {
      result = fail(std::move(spans).error().with(path));
      return;
    }
    for (const auto& [granule, span] : *spans) met.insert(granule);
    for (const size_t d : differing_axes(*spans))
      along.insert(d < array.dimensions.size() ? array.dimensions[d] : "");
    walked.emplace_back(&array, std::move(*spans));
  });
  UPWELL_CHECK(result);
  if (along.size() > 1 || along.contains(""))
    return fail(Code::kUnsupported,
                "without a record of its granules: they follow each other along " +
                    (along.contains("") ? "a dimension without name"
                                        : *along.begin() + " and " + *along.rbegin()));
  if (!along.empty()) out.concat = *along.begin();
  std::unordered_map<uint32_t, std::pair<uint64_t, uint64_t>> places;
  for (const auto& [array, spans] : walked)
    if (const auto axis = out.axis(*array)) note_spans(spans, *axis, places);
  for (const uint32_t granule : met) {
    PlacedGranule one;
    one.url = set.granules->at(granule).url;
    one.info = set.granules->at(granule).info;
    if (const auto it = places.find(granule); it != places.end()) {
      one.start = it->second.first;
      one.length = it->second.second - it->second.first;
    }
    out.granules.push_back(std::move(one));
  }
  std::stable_sort(
      out.granules.begin(), out.granules.end(),
      [](const PlacedGranule& a, const PlacedGranule& b) { return a.start < b.start; });
  return out;
}

Result<Placement> from_record(const StoreRecord& record, const Dataset& set,
                              const format::MdsOptions& mds) {
  Placement out;
  UPWELL_TRY(out.mds, mds_of_set(record, mds));
  out.concat = record.concat;
  out.recorded = true;
  uint64_t start = 0;
  for (const GranuleRecord& granule : record.granules) {
    out.granules.push_back({granule.url, granule.info, start, granule.length});
    start += granule.length;
  }
  std::string wrong;
  for_each_array(set.root, [&](const std::string& path, const Array& array) {
    const auto axis = out.axis(array);
    if (!axis || array.shape[*axis] == start || !wrong.empty()) return;
    wrong = path + " has " + std::to_string(array.shape[*axis]) + " elements along " + out.concat +
            ", the set's list of granules " + std::to_string(start);
  });
  if (!wrong.empty()) return fail(Code::kInvalidData, wrong + ": another program changed the set");
  return out;
}

}  // namespace

std::optional<size_t> Placement::axis(const Array& array) const {
  if (concat.empty()) return {};
  for (size_t d = 0; d < array.dimensions.size(); ++d)
    if (array.dimensions[d] == concat) return d;
  return {};
}

Result<Placement> place_granules(io::Session& session, const std::string& source,
                                 const Dataset& set, const format::MdsOptions& mds) {
  if (set.format.starts_with("kerchunk") || set.format == "upwell") {
    UPWELL_TRY(const std::optional<StoreRecord> record, read_store_record(session, source));
    if (record && !record->granules.empty()) return from_record(*record, set, mds);
  }
  if (set.format.starts_with("zarr"))
    return fail(Code::kUnsupported,
                "a Zarr store holds its own data: there are no granules to "
                "compare it with");
  UPWELL_TRY(Placement out, from_references(set));
  out.mds = mds;
  const std::string self = io::normal_url(source);
  if (out.granules.empty())
    return fail(Code::kUnsupported, "it refers to no granules to compare it with");
  for (const PlacedGranule& granule : out.granules)
    if (granule.url == self)
      return fail(Code::kUnsupported, "it is a granule, not a set of references to granules");
  return out;
}

Result<std::optional<std::string>> first_granule(const Dataset& set, const Array& array) {
  for (const Segment& segment : array.segments) {
    const uint64_t count = segment.chunks->size();
    for (uint64_t p = segment.chunks->next_stored(0); p < count;
         p = segment.chunks->next_stored(p + 1)) {
      UPWELL_TRY(const ChunkRef ref, segment.chunks->at(p));
      if (ref.state == ChunkRef::State::kStored)
        return std::optional(set.granules->at(ref.granule).url);
    }
  }
  return std::optional<std::string>();
}

}  // namespace upwell::refs
