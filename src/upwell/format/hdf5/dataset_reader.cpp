#include "format/hdf5/dataset_reader.hpp"

#include <algorithm>

#include "format/hdf5/datatype.hpp"
#include "format/hdf5/heap_resolver.hpp"

namespace upwell::format::hdf5 {
namespace {

// A grid of a dataset that was never written is not spelled out beyond this.
constexpr uint64_t kMaxEmptyChunks = 1 << 16;

/// The divisor of `extent` that makes chunks of about `budget` elements: the largest that fits, but
/// for an extent with no divisor worth its requests the smallest that does not.
uint64_t good_divisor(uint64_t extent, uint64_t budget) {
  if (budget >= extent) return extent;
  uint64_t below = 1, above = extent;
  auto consider = [&](uint64_t divisor) {
    if (divisor <= budget)
      below = std::max(below, divisor);
    else
      above = std::min(above, divisor);
  };
  for (uint64_t i = 1; i <= extent / i && i < (1 << 20); ++i) {
    if (extent % i) continue;
    consider(i);
    consider(extent / i);
  }
  return below * 16 >= budget ? below : above;
}

Shape whole_chunk(const Shape& shape) {
  Shape chunk = shape;
  for (uint64_t& extent : chunk) extent = std::max<uint64_t>(extent, 1);
  return chunk;
}

Result<const Message*> need_message(const ObjectHeader& header, uint16_t type, const char* what) {
  const Message* message = header.find(type);
  if (message) return message;
  return fail(Code::kInvalidData, fmt::format("dataset without a {} message", what));
}

}  // namespace

Shape subchunk_shape(const Shape& shape, uint64_t element_size, uint64_t target) {
  Shape chunk = whole_chunk(shape);
  if (target == 0 || element_count(shape) == 0) return chunk;
  uint64_t rest = element_size;  // bytes of one step along the axis
  for (uint64_t extent : chunk) rest *= extent;
  for (uint64_t& extent : chunk) {
    if (rest <= target) break;
    rest /= extent;
    extent = rest > target ? 1 : good_divisor(extent, std::max<uint64_t>(target / rest, 1));
    rest *= extent;
    if (extent > 1) break;
  }
  return chunk;
}

std::unique_ptr<ChunkWalk> scout_chunks(const FileFacts& facts, const ObjectHeader& header) {
  const Message* message = header.find_early(kMsgLayout);
  if (!message || message->shared) return nullptr;
  Cursor in(message->body, message->offset, facts);
  auto layout = read_layout(in);
  if (!layout || layout->cls != Layout::Class::kChunked ||
      layout->index != ChunkIndexKind::kBtree1 || layout->element_size > UINT32_MAX)
    return nullptr;
  ChunkedLayout chunked;
  chunked.address = layout->address;
  // How large the dataset is does not matter to the tree's form.
  chunked.shape = Shape(layout->chunk.size(), 1);
  chunked.chunk_shape = layout->chunk;
  chunked.element_size = static_cast<uint32_t>(layout->element_size);
  return walk_chunks(facts, chunked).value_or(nullptr);
}

Result<> DatasetReader::read_types(Window& window, SharedMessages& shared,
                                   const ObjectHeader& header) {
  UPWELL_TRY(const Message* type_message, need_message(header, kMsgDatatype, "datatype"));
  UPWELL_TRY(const Message* space_message, need_message(header, kMsgDataspace, "dataspace"));
  UPWELL_TRY(MessageBody type_body, shared.body(window, *type_message));
  UPWELL_TRY(MessageBody space_body, shared.body(window, *space_message));
  Cursor type_in(type_body.bytes, type_body.offset, shared.facts());
  UPWELL_TRY(array.type, read_datatype(type_in));
  Cursor space_in(space_body.bytes, space_body.offset, shared.facts());
  UPWELL_TRY(Dataspace space, read_dataspace(space_in));
  array.null_space = space.null_space;
  array.shape = space.shape;
  array.max_shape = space.max_shape == space.shape ? Shape{} : space.max_shape;
  has_space_ = true;
  if (__builtin_mul_overflow(element_count(array.shape), uint64_t{array.type.size}, &bytes_))
    return fail(Code::kInvalidData, "more bytes than can be counted");

  std::optional<ByteSpan> fill;
  if (const Message* message = header.find(kMsgFill)) {
    UPWELL_TRY(MessageBody body, shared.body(window, *message));
    Cursor in(body.bytes, body.offset, shared.facts());
    UPWELL_TRY(fill, read_fill(in));
  } else if (const Message* old = header.find(kMsgFillOld)) {
    UPWELL_TRY(MessageBody body, shared.body(window, *old));
    Cursor in(body.bytes, body.offset, shared.facts());
    UPWELL_TRY(fill, read_fill_old(in));
  }
  array.fill.reset();
  if (fill) {
    if (fill->size() != array.type.size)
      return fail(Code::kInvalidData, fmt::format("fill value of {} bytes, elements have {}",
                                                  fill->size(), array.type.size));
    array.fill = to_bytes(*fill);
  }
  return {};
}

Result<> DatasetReader::read_filter_pipeline(Window& window, SharedMessages& shared,
                                             const ObjectHeader& header) {
  codecs_.clear();
  const Message* message = header.find(kMsgFilters);
  if (!message || layout_.cls != Layout::Class::kChunked) return {};
  UPWELL_TRY(MessageBody body, shared.body(window, *message));
  Cursor in(body.bytes, body.offset, shared.facts());
  UPWELL_TRY(auto filters, read_filters(in));
  UPWELL_TRY(codecs_, to_codecs(filters, array.type.size));
  return {};
}

Result<> DatasetReader::describe(Window& window, SharedMessages& shared, const ObjectHeader& header,
                                 const ScanOptions& options) {
  const FileFacts& facts = shared.facts();
  UPWELL_CHECK(read_types(window, shared, header));
  if (array.type.has_vlen() && !heap) heap = make_heap_resolver(facts);
  array.chunk_shape = whole_chunk(array.shape);
  const Message* layout_message = header.find(kMsgLayout);
  // Without a layout nothing was ever written.
  if (array.null_space || !layout_message) return {};
  Cursor in(layout_message->body, layout_message->offset, facts);
  UPWELL_TRY(layout_, read_layout(in));
  UPWELL_CHECK(read_filter_pipeline(window, shared, header));
  switch (layout_.cls) {
    case Layout::Class::kCompact:
      return place_compact();
    case Layout::Class::kChunked:
      return place_chunked(facts);
    case Layout::Class::kVirtual:
      is_virtual = true;
      if (layout_.address == kUndefined) return {};
      {
        auto read = read_virtual_mappings(window, facts, layout_.address, layout_.heap_index);
        if (!read) return fail(std::move(read).error());
        mappings = std::move(*read);
      }
      return {};
    case Layout::Class::kContiguous:
      break;
  }
  if (const Message* external = header.find(kMsgExternalFiles)) {
    is_external = true;
    auto read = read_external_slots(window, facts, external->body, external->offset);
    if (!read) return fail(std::move(read).error());
    slots = std::move(*read);
    return {};
  }
  return place_contiguous(facts, window.object_size(), options);
}

void DatasetReader::add_segment(std::shared_ptr<const ChunkIndex> chunks) {
  auto layout = std::make_shared<SegmentLayout>();
  layout->type = array.type;
  layout->chunk_shape = array.chunk_shape;
  layout->codecs = codecs_;
  layout->fill = array.fill;
  layout->heap = heap;
  Segment segment;
  segment.origin = Shape(array.shape.size(), 0);
  segment.shape = array.shape;
  segment.layout = std::move(layout);
  segment.chunks = std::move(chunks);
  segment.grid = grid_shape(array.shape, array.chunk_shape);
  array.segments.clear();
  array.segments.push_back(std::move(segment));
}

Result<> DatasetReader::place_compact() {
  if (layout_.compact.size() < bytes_)
    return fail(Code::kInvalidData,
                fmt::format("compact data at offset {} have {} bytes instead of {}",
                            layout_.compact_offset, layout_.compact.size(), bytes_));
  auto chunks =
      std::make_shared<DenseChunkIndex>(element_count(grid_shape(array.shape, array.chunk_shape)));
  if (bytes_ > 0) chunks->set(0, 0, layout_.compact_offset, bytes_);
  add_segment(std::move(chunks));
  return {};
}

Result<> DatasetReader::place_contiguous(const FileFacts& facts, uint64_t object_size,
                                         const ScanOptions& options) {
  array.chunk_shape = subchunk_shape(array.shape, array.type.size, options.subchunk_bytes);
  uint64_t chunk_bytes = element_count(array.chunk_shape) * array.type.size;
  Shape grid = grid_shape(array.shape, array.chunk_shape);
  if (layout_.address == kUndefined) {
    if (element_count(grid) > kMaxEmptyChunks) {
      array.chunk_shape = whole_chunk(array.shape);
      grid = grid_shape(array.shape, array.chunk_shape);
    }
    add_segment(std::make_shared<DenseChunkIndex>(element_count(grid)));
    return {};
  }
  uint64_t at = facts.base_address + layout_.address;
  if (layout_.size && *layout_.size < bytes_)
    return fail(Code::kInvalidData, fmt::format("contiguous data at offset {} have {} bytes "
                                                "instead of {}",
                                                at, *layout_.size, bytes_));
  if (at < layout_.address || at > object_size || bytes_ > object_size - at)
    return fail(Code::kInvalidData,
                fmt::format("contiguous data of {} bytes at offset {} pass the end of the object "
                            "({} bytes)",
                            bytes_, at, object_size));
  auto chunks = std::make_shared<DenseChunkIndex>(element_count(grid));
  for (uint64_t i = 0; i < chunks->size(); ++i)
    chunks->set(i, 0, at + i * chunk_bytes, chunk_bytes);
  add_segment(std::move(chunks));
  return {};
}

Result<> DatasetReader::place_chunked(const FileFacts& facts) {
  if (layout_.chunk.size() != array.shape.size())
    return fail(Code::kInvalidData, fmt::format("chunks of rank {} in an array of rank {}",
                                                layout_.chunk.size(), array.shape.size()));
  if (layout_.element_size != array.type.size)
    return fail(Code::kInvalidData,
                fmt::format("chunks of elements of {} bytes in an array of {}-byte elements",
                            layout_.element_size, array.type.size));
  array.chunk_shape = layout_.chunk;
  ChunkedLayout chunked;
  chunked.kind = layout_.index;
  chunked.address = layout_.address;
  chunked.shape = array.shape;
  chunked.max_shape = array.max_shape;
  chunked.chunk_shape = layout_.chunk;
  chunked.element_size = array.type.size;
  chunked.filtered = !codecs_.empty();
  chunked.skip_partial_edge_filters = layout_.version >= 4 && layout_.flags & 1;
  chunked.single_size = layout_.single_size;
  chunked.single_mask = layout_.single_mask;
  UPWELL_TRY(walk_, walk_chunks(facts, chunked));
  return {};
}

Result<> DatasetReader::index(Window& window, const FileFacts&) {
  if (!walk_) return {};
  UPWELL_TRY(bool done, walk_->advance(window));
  if (!done) return fail(Code::kNeedBytes, "chunk index");
  add_segment(std::shared_ptr<const ChunkIndex>(walk_->take()));
  walk_.reset();
  return {};
}

}  // namespace upwell::format::hdf5
