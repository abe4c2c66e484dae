#include "cube/chunk_decoder.hpp"

#include <fmt/core.h>

#include <limits>

#include "cube/place.hpp"

namespace upwell {
namespace {

// HDF5 chunks end at 4 GiB; nothing that claims more is believed.
constexpr uint64_t kMaxChunkBytes = uint64_t{1} << 32;
// Text is longer than a handle; this bounds what a chunk of strings may decode to.
constexpr uint64_t kMaxTextChunkBytes = uint64_t{1} << 30;

bool is_native(const DataType& type) {
  switch (type.kind) {
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kFloat:
    case Kind::kBitfield:
    case Kind::kComplex:
    case Kind::kDatetime:
    case Kind::kTimedelta:
    case Kind::kUnicode: {
      bool plain = type.kind == Kind::kUnicode || type.kind == Kind::kComplex ||
                   std::has_single_bit(type.size);
      return !type.layout && plain && (type.order == ByteOrder::kLittle || type.size == 1);
    }
    case Kind::kEnum:
    case Kind::kArray:
      return is_native(*type.base);
    case Kind::kCompound:
      return memory_type(type) == type;
    case Kind::kVlen:
    case Kind::kVlenString:
      return false;
    default:
      return true;
  }
}

bool is_text_codec(const codec::CodecSpec& spec) {
  return spec.id == "vlen-utf8" || spec.id == "vlen-bytes";
}

Bytes& element_buffer() {
  thread_local Bytes buffer;
  return buffer;
}
Bytes& stored_buffer() {
  thread_local Bytes buffer;
  return buffer;
}

Bytes& converted_buffer() {
  thread_local Bytes buffer;
  return buffer;
}

Result<uint64_t> checked_elements(const SegmentLayout& layout) {
  uint64_t n = 1;
  for (uint64_t extent : layout.chunk_shape) {
    if (extent != 0 && n > kMaxChunkBytes / extent)
      return fail(Code::kInvalidData, "a chunk claims more than 4 GiB");
    n *= extent;
  }
  if (layout.type.size != 0 && n > kMaxChunkBytes / layout.type.size) {
    return fail(Code::kInvalidData, "a chunk claims more than 4 GiB");
  }
  return n;
}

}  // namespace

void trim_decode_buffers() {
  constexpr size_t kKept = 32 << 20;
  for (Bytes* buffer : {&element_buffer(), &stored_buffer(), &converted_buffer()})
    if (buffer->capacity() > kKept) Bytes().swap(*buffer);
}

Result<std::shared_ptr<const ChunkDecoder>> ChunkDecoder::make(const SegmentLayout& layout,
                                                               const DataType& array_type) {
  auto decoder = std::shared_ptr<ChunkDecoder>(new ChunkDecoder);
  decoder->type_ = layout.type;
  UPWELL_TRY(decoder->to_array_, ToArrayType::make(layout, array_type));
  decoder->strides_ =
      layout.fortran_order ? fortran_strides(layout.chunk_shape) : c_strides(layout.chunk_shape);
  UPWELL_TRY(decoder->elements_, checked_elements(layout));
  decoder->memory_size_ = memory_type(layout.type).size;
  decoder->native_ = is_native(layout.type);
  std::span<const codec::CodecSpec> codecs = layout.codecs;
  if (layout.type.kind == Kind::kVlenString && !layout.heap) {
    if (codecs.empty() || !is_text_codec(codecs.front())) {
      return fail(Code::kUnsupported, "variable-length strings without the vlen-utf8 codec");
    }
    decoder->carries_text_ = true;
    codecs = codecs.subspan(1);
  } else if (layout.type.has_vlen() && !layout.heap) {
    return fail(Code::kUnsupported, describe(layout.type) + " without its heap");
  }
  UPWELL_TRY(decoder->pipeline_, codec::Pipeline::make(codecs, layout.type.size));
  return std::shared_ptr<const ChunkDecoder>(decoder);
}

uint64_t ChunkDecoder::element_number(const Shape& at) const {
  uint64_t number = 0;
  for (size_t d = 0; d < strides_.size(); ++d) number += at[d] * strides_[d];
  return number;
}

io::Range ChunkDecoder::needed_bytes(const ChunkTask& task) const {
  io::Range all{task.ref.offset, task.ref.length};
  if (!pipeline_.empty() || carries_text_ || task.ref.length == io::kToEnd) return all;
  uint64_t first = element_number(task.source) * type_.size;
  uint64_t end = (element_number(task.last_source) + 1) * type_.size;
  if (end > task.ref.length) return all;  // too short: let decode say so
  return {task.ref.offset + first, end - first};
}

Result<DecodedChunk> ChunkDecoder::decode(const ChunkTask& task, ByteSpan stored) const {
  UPWELL_TRY(DecodedChunk chunk, decode_own(task, stored));
  if (to_array_.is_identity()) return chunk;
  const size_t count = chunk.elements.size() / to_array_.size_in();
  Bytes& buffer = converted_buffer();
  buffer.resize(count * to_array_.size_out());
  UPWELL_CHECK(to_array_.apply(chunk.elements.first(count * to_array_.size_in()), count, buffer));
  chunk.elements = buffer;
  return chunk;
}

Result<DecodedChunk> ChunkDecoder::decode_own(const ChunkTask& task, ByteSpan stored) const {
  DecodedChunk chunk;
  chunk.strides = strides_;
  ByteSpan raw = stored;
  if (pipeline_.empty()) {
    if (task.ref.state == ChunkRef::State::kStored && task.ref.length != io::kToEnd) {
      io::Range needed = needed_bytes(task);
      chunk.start = (needed.offset - task.ref.offset) / std::max<uint32_t>(type_.size, 1);
    }
    uint64_t needed_elements = element_number(task.last_source) + 1 - chunk.start;
    if (raw.size() / std::max<uint32_t>(type_.size, 1) < needed_elements) {
      return fail(Code::kInvalidData, fmt::format("{} bytes are stored where {} are needed",
                                                  raw.size(), needed_elements * type_.size));
    }
  } else if (native_) {
    Bytes& buffer = element_buffer();
    buffer.resize(elements_ * memory_size_);
    UPWELL_CHECK(pipeline_.decode(stored, task.ref.filter_mask, buffer));
    chunk.elements = buffer;
    return chunk;
  } else {
    UPWELL_TRY(raw, decode_stored(task, stored));
  }
  if (native_) {
    chunk.elements = raw;
    return chunk;
  }
  size_t count = raw.size() / std::max<uint32_t>(type_.size, 1);
  Bytes& buffer = element_buffer();
  buffer.resize(count * memory_size_);
  UPWELL_CHECK(to_memory(type_, raw, count, buffer));
  chunk.elements = buffer;
  return chunk;
}

Result<> ChunkDecoder::decode_into(const ChunkTask& task, ByteSpan stored,
                                   MutableByteSpan out) const {
  if (to_array_.is_identity()) return decode_own_into(task, stored, out);
  Bytes& buffer = element_buffer();
  buffer.resize(elements_ * to_array_.size_in());
  UPWELL_CHECK(decode_own_into(task, stored, buffer));
  return to_array_.apply(buffer, elements_, out);
}

Result<> ChunkDecoder::decode_own_into(const ChunkTask& task, ByteSpan stored,
                                       MutableByteSpan out) const {
  if (native_) return pipeline_.decode(stored, task.ref.filter_mask, out);
  UPWELL_TRY(ByteSpan raw, decode_stored(task, stored));
  return to_memory(type_, raw, elements_, out);
}

Result<ByteSpan> ChunkDecoder::decode_stored(const ChunkTask& task, ByteSpan stored) const {
  uint64_t size = elements_ * type_.size;
  if (pipeline_.empty() && stored.size() >= size) return stored.first(size);
  Bytes& buffer = stored_buffer();
  buffer.resize(size);
  UPWELL_CHECK(pipeline_.decode(stored, task.ref.filter_mask, buffer));
  return ByteSpan(buffer);
}

Result<std::vector<std::string_view>> ChunkDecoder::decode_text(const ChunkTask& task,
                                                                ByteSpan stored,
                                                                Bytes& buffer) const {
  UPWELL_TRY(buffer, pipeline_.decode_unsized(stored, task.ref.filter_mask, kMaxTextChunkBytes));
  UPWELL_TRY(auto texts, codec::split_vlen(buffer, elements_));
  if (texts.size() != elements_) {
    return fail(Code::kInvalidData,
                fmt::format("{} strings are stored where {} are needed", texts.size(), elements_));
  }
  return texts;
}

}  // namespace upwell
