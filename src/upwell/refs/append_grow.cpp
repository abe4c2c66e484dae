#include <algorithm>

#include "codec/codec.hpp"
#include "refs/append.hpp"

namespace upwell::refs {
namespace {

tl::unexpected<Error> not_in_place(const std::string& path, const std::string& why) {
  return fail(Code::kUnsupported, path + " " + why +
                                      ": this cannot be added to a set in Parquet without changing "
                                      "it under its readers; write another set with -o NEW");
}

/// The elements of one chunk of the leading axis, from `first` on.
Result<Bytes> padded_chunk(const Array& array, ByteSpan all, uint64_t first, uint64_t rows) {
  const uint64_t inner = element_count(Shape(array.shape.begin() + 1, array.shape.end()));
  const uint64_t count = std::min(rows, array.shape[0] - first) * inner;
  if (array.type.kind != Kind::kVlenString) {
    const uint64_t item = array.type.size;
    if ((first * inner + count) * item > all.size())
      return fail(Code::kInternal, "a chunk of values is too short");
    Bytes out = to_bytes(all.subspan(first * inner * item, count * item));
    out.resize(rows * inner * item, 0);
    return out;
  }
  UPWELL_TRY(const auto texts, codec::split_vlen(all, element_count(array.shape)));
  std::vector<std::string_view> part(texts.begin() + static_cast<ptrdiff_t>(first * inner),
                                     texts.begin() + static_cast<ptrdiff_t>(first * inner + count));
  part.resize(rows * inner);
  return codec::join_vlen(part);
}

Result<> keep_chunks_of(const std::string& path, Array& array, const Array& old) {
  Segment& segment = array.segments[0];
  const Shape& chunk = old.chunk_shape;
  if (!(array.type == old.type))
    return not_in_place(path, "would become " + describe(array.type) + ", it is " +
                                  describe(old.type) + ", which does not hold the new values");
  if (array.chunk_shape == chunk) return {};
  if (!std::equal(chunk.begin() + 1, chunk.end(), array.chunk_shape.begin() + 1) || chunk[0] == 0 ||
      segment.chunks->size() != 1 || segment.layout->codecs != old.segments[0].layout->codecs)
    return not_in_place(path, "would get other chunks");
  UPWELL_TRY(const ChunkRef whole, segment.chunks->at(0));
  if (whole.state != ChunkRef::State::kInline) return not_in_place(path, "would get other chunks");
  segment.grid = grid_shape(array.shape, chunk);
  auto index = std::make_shared<DenseChunkIndex>(element_count(segment.grid));
  for (uint64_t k = old.shape[0] / chunk[0]; k < segment.grid[0]; ++k) {
    UPWELL_TRY(Bytes bytes, padded_chunk(array, whole.bytes.span(), k * chunk[0], chunk[0]));
    index->set_inline(k, std::move(bytes));
  }
  segment.chunks = std::move(index);
  auto layout = std::make_shared<SegmentLayout>(*segment.layout);
  layout->chunk_shape = array.chunk_shape = chunk;
  segment.layout = std::move(layout);
  return {};
}

Result<> keep_chunks_below(Group& group, const Group& store, const std::string& path,
                           const std::string& concat) {
  for (Array& array : group.arrays) {
    const Array* old = store.find_array(array.name);
    if (old == nullptr || old->segments.size() != 1 || array.segments.size() != 1)
      return fail(Code::kInternal, path + array.name + " is not in the store");
    const auto& names = array.dimensions;
    const auto at = std::find(names.begin(), names.end(), concat);
    if (at == names.end()) continue;
    if (at != names.begin()) return not_in_place(path + array.name, "does not lead with " + concat);
    UPWELL_CHECK(keep_chunks_of(path + array.name, array, *old));
  }
  for (Group& child : group.groups) {
    const Group* match = store.find_group(child.name);
    if (match != nullptr)
      UPWELL_CHECK(keep_chunks_below(child, *match, path + child.name + "/", concat));
  }
  return {};
}

}  // namespace

Result<> keep_chunks(Dataset& cube, const Dataset& store, const std::string& concat) {
  return keep_chunks_below(cube.root, store.root, "/", concat);
}

}  // namespace upwell::refs
