#include "format/hdf5/shared_messages.hpp"

#include "codec/codec.hpp"
#include "format/hdf5/checksum.hpp"
#include "format/hdf5/messages.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr int kMaxSharingDepth = 4;
constexpr size_t kSharedIdSize = 8;

/// Heaps may have a filter pipeline of their own, in the form of a message.
Result<Bytes> decode_heap_block(ByteSpan pipeline, ByteSpan stored, uint32_t mask, uint64_t size) {
  FileFacts facts;
  Cursor in(pipeline, 0, facts);
  UPWELL_TRY(auto filters, read_filters(in));
  UPWELL_TRY(auto specs, to_codecs(filters, 1));
  UPWELL_TRY(auto decoder, codec::Pipeline::make(specs, 1));
  Bytes out(size);
  UPWELL_CHECK(decoder.decode(stored, mask, out));
  return out;
}

}  // namespace

Result<FractalHeap*> SharedMessages::heap(Window& window, uint64_t address) {
  auto& slot = heaps_[address];
  if (!slot) {
    UPWELL_TRY(FractalHeap opened, FractalHeap::open(window, facts_, address, decode_heap_block));
    slot = std::make_unique<FractalHeap>(std::move(opened));
  }
  return slot.get();
}

Result<> SharedMessages::load_table(Window& window) {
  if (table_loaded_) return {};
  if (table_address_ == kUndefined)
    return fail(Code::kInvalidData,
                "a message is in the shared message heap, but the file has none");
  uint64_t at = facts_.base_address + table_address_;
  size_t entry = 2 + 2 + 4 + 3 * 2 + 2 * facts_.offset_size;
  UPWELL_TRY(ByteSpan bytes, window.get(at, 4 + entry * table_indexes_ + 4));
  if (as_text(bytes.first(4)) != "SMTB")
    return fail(Code::kInvalidData, fmt::format("no shared message table at offset {}", at));
  UPWELL_CHECK(verify_checksum(bytes, "shared message table", at));
  Cursor in(bytes, at, facts_);
  in.skip(4);
  for (int i = 0; i < table_indexes_; ++i) {
    Index index;
    in.skip(2);  // version, kind of index
    index.types = in.u16();
    in.skip(4 + 3 * 2);
    in.address();  // the index by hash is for writers
    index.heap = in.address();
    table_.push_back(index);
  }
  UPWELL_CHECK(in.check("shared message table"));
  table_loaded_ = true;
  return {};
}

Result<MessageBody> SharedMessages::in_shared_heap(Window& window, ByteSpan id, uint16_t type) {
  UPWELL_CHECK(load_table(window));
  for (const Index& index : table_) {
    if (!(index.types >> type & 1) || index.heap == kUndefined) continue;
    UPWELL_TRY(FractalHeap * opened, heap(window, index.heap));
    UPWELL_TRY(ByteSpan bytes, opened->get(window, id));
    return MessageBody{bytes, facts_.base_address + index.heap};
  }
  return fail(Code::kInvalidData,
              fmt::format("no shared message heap for messages of type {:#04x}", type));
}

Result<MessageBody> SharedMessages::follow(Window& window, ByteSpan pointer, uint64_t offset,
                                           uint16_t type, int depth) {
  Cursor in(pointer, offset, facts_);
  uint8_t version = in.u8();
  uint8_t kind = in.u8();
  UPWELL_CHECK(in.check("shared message"));
  if (version < 1 || version > 3 || depth > kMaxSharingDepth)
    return fail(Code::kInvalidData,
                fmt::format("shared message at offset {}: {}", offset,
                            depth > kMaxSharingDepth ? "a chain of pointers"
                                                     : fmt::format("unknown version {}", version)));
  if (version == 3 && kind == 1) {
    ByteSpan id = in.bytes(kSharedIdSize);
    UPWELL_CHECK(in.check("shared message"));
    return in_shared_heap(window, id, type);
  }
  if (version == 1) {
    in.skip(6);
    in.length();  // version 1 holds a symbol table entry: its name comes first
  }
  uint64_t address = in.address();
  UPWELL_CHECK(in.check("shared message"));
  auto& header = headers_[address];
  if (!header) header = std::make_unique<ObjectHeader>(address);
  UPWELL_CHECK(header->read(window, facts_));
  const Message* message = header->find(type);
  if (!message)
    return fail(Code::kInvalidData,
                fmt::format("shared message at offset {}: the object at offset {} has no message "
                            "of type {:#04x}",
                            offset, facts_.base_address + address, type));
  if (message->shared) return follow(window, message->body, message->offset, type, depth + 1);
  return MessageBody{message->body, message->offset};
}

Result<MessageBody> SharedMessages::body(Window& window, const Message& message) {
  if (!message.shared) return MessageBody{message.body, message.offset};
  return follow(window, message.body, message.offset, message.type);
}

}  // namespace upwell::format::hdf5
