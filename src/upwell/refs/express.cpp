#include "refs/express.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

#include "codec/codec.hpp"
#include "cube/plan.hpp"
#include "refs/audit.hpp"
#include "refs/combined_index.hpp"
#include "refs/zarr_metadata.hpp"

namespace upwell::refs {
namespace {

constexpr uint64_t kLookupBlock = 8192;

/// True when every chunk of the segment is a chunk of the array.
bool lies_on_grid(const Segment& segment, const Array& array, const Shape& chunk_shape) {
  for (uint64_t o : segment.source_origin)
    if (o != 0) return false;
  for (size_t d = 0; d < chunk_shape.size(); ++d) {
    if (chunk_shape[d] == 0) return segment.shape[d] == 0;
    const uint64_t end = segment.origin[d] + segment.shape[d];
    if (segment.origin[d] % chunk_shape[d] != 0) return false;
    if (end % chunk_shape[d] != 0 && end != array.shape[d]) return false;
  }
  return true;
}

/// Why a segment does not lie on the grid.
std::string off_grid_text(const Segment& segment, const Array& array) {
  // A variable of netCDF can be shorter than its unlimited dimension.
  for (size_t d = 0; d < array.shape.size() && array.segments.size() == 1; ++d)
    if (segment.origin[d] == 0 && segment.shape[d] < array.shape[d])
      return fmt::format("{} of the {} elements along {} are stored, and the last chunk is cut",
                         segment.shape[d], array.shape[d],
                         d < array.dimensions.size() ? array.dimensions[d] : "an axis");
  return "a part that begins or ends inside a chunk";
}

/// Whether chunks that were never written, and elements that no segment covers, read alike.
Result<bool> one_fill(const Array& array) {
  const Bytes zeros(array.type.size, 0);
  const Bytes first = array.segments[0].layout->fill.value_or(zeros);
  for (const Segment& segment : array.segments)
    if (segment.layout->fill.value_or(zeros) != first) return false;
  if (first == array.fill.value_or(zeros)) return true;
  UPWELL_TRY(const CheckedSelection whole, check_selection(array, {}));
  return uncovered(array, whole).empty();
}

Shape grid_of(const Shape& shape, const Shape& chunk_shape) {
  Shape grid(shape.size());
  for (size_t d = 0; d < shape.size(); ++d)
    grid[d] = chunk_shape[d] == 0 ? 0 : (shape[d] + chunk_shape[d] - 1) / chunk_shape[d];
  return grid;
}

Result<> copy_segment(const Segment& segment, const Shape& chunk_shape, const Shape& grid,
                      ReferenceStore& out) {
  const size_t rank = grid.size();
  const Shape own = grid_of(segment.shape, chunk_shape);
  const uint64_t count = element_count(own);
  ChunkRef ref;
  for (uint64_t p = segment.chunks->next_stored(0); p < count;
       p = segment.chunks->next_stored(p + 1)) {
    UPWELL_CHECK(segment.chunks->lookup({&p, 1}, &ref));
    uint64_t rest = p, target = 0, stride = 1;
    for (size_t d = rank; d-- > 0;) {
      target += (segment.origin[d] / chunk_shape[d] + rest % own[d]) * stride;
      rest /= own[d];
      stride *= grid[d];
    }
    out.put(target, {&ref, 1});
  }
  return {};
}

/// How segments differ from the first; empty when they are stored alike on one grid.
std::string differences_of(const Array& array, const Shape& chunk_shape) {
  const auto facts_of = [&](const Segment& segment) {
    ArrayFacts facts;
    facts.layout = *segment.layout;
    facts.head.type = facts.layout.type;
    facts.head.attributes = facts.layout.packing.value_or(Attributes{});
    facts.referenced = true;
    return facts;
  };
  std::vector<Reason> reasons;
  const SegmentLayout* before = nullptr;
  for (const Segment& segment : array.segments) {
    if (segment.layout.get() != before && !(*segment.layout == *array.segments[0].layout))
      compare_facts(facts_of(array.segments[0]), facts_of(segment), reasons);
    before = segment.layout.get();
    if (!lies_on_grid(segment, array, chunk_shape))
      reasons.push_back({"alignment", "", off_grid_text(segment, array)});
  }
  std::string text;
  std::set<std::string> kinds;
  for (const Reason& reason : reasons)
    if (kinds.insert(reason.kind).second) text += (text.empty() ? "" : "; ") + reason.message;
  return text;
}

/// All segments as one chunk index on the array's grid.
Result<std::shared_ptr<const ChunkIndex>> one_index(const Array& array, const Shape& chunk_shape,
                                                    const Shape& grid) {
  if (array.segments.size() == 1 && array.segments[0].shape == array.shape)
    return array.segments[0].chunks;
  auto store = std::make_shared<ReferenceStore>();
  const Piece whole{store->reserve(element_count(grid)), 0, 0, false};
  for (const Segment& segment : array.segments)
    UPWELL_CHECK(copy_segment(segment, chunk_shape, grid, *store));
  return std::make_shared<CombinedIndex>(store, std::vector<Piece>{whole}, CombinedIndex::Layout{},
                                         grid);
}

Result<> check_layout(const Array& array, const SegmentLayout& layout) {
  if (array.null_space) return fail(Code::kUnsupported, "it has a null dataspace, Zarr has none");
  if (layout.packing) return fail(Code::kUnsupported, "its parts are packed in different ways");
  if (array.type.has_vlen() && array.type.kind != Kind::kVlenString)
    return fail(Code::kUnsupported, "type " + describe(array.type) + " is of variable length");
  if (array.type.kind == Kind::kVlenString &&
      (layout.codecs.empty() || layout.codecs.front().id != "vlen-utf8"))
    return fail(Code::kUnsupported,
                "its strings lie in the heap of their granule, where no reference can point");
  auto numpy = to_numpy(array.type);
  if (!numpy)
    return fail(Code::kUnsupported, "type " + describe(array.type) + ": " + numpy.error().message);
  UPWELL_CHECK(check_clients(array.type));
  return check_numcodecs(layout.codecs, array.type.size);
}

}  // namespace

Result<> check_clients(const DataType& type) {
  for (const Member& member : type.members) {
    if (member.type->kind == Kind::kArray)
      return fail(Code::kUnsupported, "field " + member.name + " of " + describe(type) +
                                          " is an array, which zarr-python 3 cannot parse");
    UPWELL_CHECK(check_clients(*member.type));
  }
  return {};
}

bool numcodecs_knows(std::string_view id) {
  // HDF5 filters that only this project (or imagecodecs) decodes. Other names that a reference set
  // brought along are what its readers already know.
  return !id.starts_with("hdf5_") && id != "lzf" && id != "transpose";
}

Result<> check_numcodecs(std::span<const codec::CodecSpec> codecs, size_t element_size) {
  constexpr size_t kChecksumBytes = 4;
  bool summed = false;
  for (const codec::CodecSpec& spec : codecs) {
    if (!numcodecs_knows(spec.id))
      return fail(Code::kUnsupported, "codec '" + spec.id + "' has no name in numcodecs");
    if (summed && spec.id == "shuffle" && kChecksumBytes % element_size != 0)
      return fail(Code::kUnsupported,
                  "numcodecs cannot undo shuffle over bytes that carry a fletcher32 checksum");
    summed = summed || spec.id == "fletcher32";
  }
  return {};
}

Result<ExpressibleArray> ExpressibleArray::make(io::Session& session, const Dataset& dataset,
                                                const Array& array, const ExpressOptions& options) {
  ExpressibleArray out;
  out.session_ = &session;
  out.dataset_ = &dataset;
  out.array_ = &array;
  out.options_ = options;
  if (array.segments.empty()) {
    out.layout_.type = array.type;
    out.layout_.chunk_shape =
        array.chunk_shape.size() == array.shape.size() ? array.chunk_shape : array.shape;
    out.layout_.fill = array.fill;
  } else {
    out.layout_ = *array.segments[0].layout;
    if (const std::string text = differences_of(array, out.layout_.chunk_shape); !text.empty())
      return fail(Code::kUnsupported, "its parts are stored in different ways: " + text);
    if (!(out.layout_.type == array.type))
      return fail(Code::kUnsupported, "its parts have different types");
    UPWELL_TRY(const bool alike, one_fill(array));
    if (!alike)
      return fail(Code::kUnsupported,
                  "chunks that were never written have another fill value than what is missing of "
                  "its dimension");
  }
  UPWELL_CHECK(check_layout(array, out.layout_));
  out.grid_ = grid_of(array.shape, out.layout_.chunk_shape);
  UPWELL_TRY(out.chunks_, one_index(array, out.layout_.chunk_shape, out.grid_));
  out.all_codecs_ = out.layout_.codecs;
  UPWELL_CHECK(out.trim_uniform_mask());
  ZarrView view;
  view.type = array.type;
  view.chunk_shape = out.layout_.chunk_shape;
  view.codecs = out.layout_.codecs;
  view.fortran_order = out.layout_.fortran_order;
  out.store_missing_ = zarr2_fill(array, view).store_missing;
  return out;
}

bool ExpressibleArray::contiguous() const {
  return layout_.codecs.empty() && !layout_.fortran_order && array_->type.size > 0 &&
         !array_->shape.empty() && layout_.chunk_shape == array_->shape && chunk_count() == 1;
}

Result<> ExpressibleArray::trim_uniform_mask() {
  if (layout_.codecs.empty()) return {};
  const uint64_t count = chunk_count();
  std::optional<uint32_t> mask;
  bool uniform = true;
  std::vector<uint64_t> positions;
  std::vector<ChunkRef> refs(std::min(count, kLookupBlock));
  for (uint64_t first = chunks_->next_stored(0); first < count && uniform;
       first = chunks_->next_stored(first + kLookupBlock)) {
    positions.resize(std::min(kLookupBlock, count - first));
    std::iota(positions.begin(), positions.end(), first);
    UPWELL_CHECK(chunks_->lookup(positions, refs.data()));
    for (size_t i = 0; i < positions.size(); ++i) {
      if (refs[i].state == ChunkRef::State::kMissing) continue;
      if (!mask) mask = refs[i].filter_mask;
      if (*mask != refs[i].filter_mask) uniform = false;
    }
  }
  if (!uniform || !mask || *mask == 0) return {};
  uniform_mask_ = *mask;
  std::vector<codec::CodecSpec> kept;
  for (size_t i = 0; i < layout_.codecs.size(); ++i)
    if (i >= 32 || ((uniform_mask_ >> i) & 1) == 0) kept.push_back(layout_.codecs[i]);
  layout_.codecs = std::move(kept);
  return {};
}

Result<SharedBytes> ExpressibleArray::fill_chunk() const {
  const size_t item = array_->type.size;
  const uint64_t elements = element_count(layout_.chunk_shape);
  if (array_->type.has_vlen())
    return fail(Code::kUnsupported, "chunks of variable-length text were never written");
  if (elements > (uint64_t{256} << 20) / std::max<size_t>(item, 1))
    return fail(Code::kUnsupported, "a chunk that was never written is too large to store");
  Bytes raw(elements * item, 0);
  const std::optional<Bytes>& fill = layout_.fill ? layout_.fill : array_->fill;
  if (fill && fill->size() == item)
    for (uint64_t i = 0; i < elements; ++i)
      std::copy(fill->begin(), fill->end(), raw.begin() + static_cast<ptrdiff_t>(i * item));
  UPWELL_TRY(codec::Pipeline pipeline, codec::Pipeline::make(layout_.codecs, item));
  UPWELL_TRY(Bytes encoded, pipeline.encode(raw));
  if (encoded.size() > options_.max_inline_chunk)
    return fail(Code::kUnsupported,
                "chunks were never written, their fill value cannot be said in Zarr without "
                "changing what is masked, and storing them takes " +
                    std::to_string(encoded.size()) + " bytes each");
  return SharedBytes(std::move(encoded));
}

Result<> ExpressibleArray::reencode(const std::vector<size_t>& which, uint64_t first,
                                    std::span<ChunkRef> block) const {
  const size_t item = array_->type.size;
  const uint64_t decoded = element_count(layout_.chunk_shape) * item;
  auto named = [&](size_t i) { return "chunk " + chunk_key({}, chunk_at(grid_, first + i)); };
  const std::string reason =
      ": its filters were applied only in part, which no reference set can say";
  if (decoded > (uint64_t{64} << 20) || which.size() * decoded > (uint64_t{1} << 30))
    return fail(Code::kUnsupported, named(which[0]) + reason);
  std::vector<io::ReadRequest> requests;
  for (size_t i : which) {
    if (block[i].state != ChunkRef::State::kStored) continue;
    const Granule& granule = dataset_->granules->at(block[i].granule);
    requests.push_back({granule.url, {block[i].offset, block[i].length}, granule.reach});
  }
  auto answers = session_->read(requests);
  UPWELL_TRY(codec::Pipeline from, codec::Pipeline::make(all_codecs_, item));
  UPWELL_TRY(codec::Pipeline to, codec::Pipeline::make(layout_.codecs, item));
  size_t next = 0;
  for (size_t i : which) {
    ChunkRef& ref = block[i];
    if (ref.state == ChunkRef::State::kStored) {
      UPWELL_TRY(ref.bytes, std::move(answers[next++]));
    }
    Bytes raw(decoded);
    auto ok = from.decode(ref.bytes.span(), ref.filter_mask, raw);
    if (!ok) return fail(std::move(ok).error().with(named(i)));
    auto encoded = to.encode(raw);
    if (!encoded || encoded->size() > options_.max_inline_chunk)
      return fail(Code::kUnsupported, named(i) + reason);
    ref = ChunkRef{};
    ref.state = ChunkRef::State::kInline;
    ref.bytes = SharedBytes(std::move(*encoded));
  }
  return {};
}

Result<> ExpressibleArray::fix(uint64_t first, std::span<ChunkRef> block) const {
  std::vector<size_t> odd;
  SharedBytes fill;
  for (size_t i = 0; i < block.size(); ++i) {
    ChunkRef& ref = block[i];
    if (ref.state == ChunkRef::State::kMissing) {
      if (!store_missing_) continue;
      if (fill.empty()) {
        UPWELL_TRY(fill, fill_chunk());
      }
      ref.state = ChunkRef::State::kInline;
      ref.bytes = fill;
    } else if (ref.filter_mask != uniform_mask_) {
      odd.push_back(i);
    }
    if (ref.filter_mask == uniform_mask_) ref.filter_mask = 0;
  }
  if (!odd.empty()) UPWELL_CHECK(reencode(odd, first, block));
  return {};
}

Result<> ExpressibleArray::for_each_block(
    const std::function<Result<>(uint64_t, std::span<ChunkRef>)>& visit) const {
  const uint64_t count = chunk_count();
  std::vector<uint64_t> positions;
  std::vector<ChunkRef> refs;
  for (uint64_t first = 0; first < count; first += kLookupBlock) {
    if (!store_missing_) first = chunks_->next_stored(first);
    if (first >= count) break;
    const size_t n = std::min(kLookupBlock, count - first);
    positions.resize(n);
    std::iota(positions.begin(), positions.end(), first);
    refs.assign(n, ChunkRef{});
    UPWELL_CHECK(chunks_->lookup(positions, refs.data()));
    UPWELL_CHECK(fix(first, refs));
    UPWELL_CHECK(visit(first, refs));
  }
  return {};
}

}  // namespace upwell::refs
