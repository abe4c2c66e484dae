#include "format/hdf5/global_heap.hpp"

#include <algorithm>

namespace upwell::format::hdf5 {
namespace {

constexpr std::string_view kCollection = "global heap collection";

}  // namespace

size_t global_heap_head_size(const FileFacts& facts) { return 8 + facts.length_size; }

Result<uint64_t> global_heap_size(ByteSpan head, uint64_t offset, const FileFacts& facts,
                                  uint64_t object_size) {
  Cursor in(head, offset, facts);
  UPWELL_CHECK(expect_signature(in, "GCOL", kCollection));
  uint8_t version = in.u8();
  in.skip(3);
  uint64_t size = in.length();
  UPWELL_CHECK(in.check(kCollection));
  if (version != 1) {
    return fail(Code::kUnsupported,
                fmt::format("{} at offset {} has version {}", kCollection, offset, version));
  }
  if (size < global_heap_head_size(facts) || offset > object_size || size > object_size - offset) {
    return fail(Code::kInvalidData,
                fmt::format("{} at offset {} claims {} bytes of an object of {}", kCollection,
                            offset, size, object_size));
  }
  return size;
}

Result<GlobalHeapCollection> GlobalHeapCollection::parse(ByteSpan bytes, uint64_t offset,
                                                         const FileFacts& facts) {
  UPWELL_TRY(uint64_t size, global_heap_size(bytes, offset, facts, offset + bytes.size()));
  GlobalHeapCollection out;
  out.offset_ = offset;
  Cursor in(bytes.first(size), offset, facts);
  in.skip(global_heap_head_size(facts));
  size_t head = 8 + facts.length_size;
  // Less than one object header at the end is slack; object 0 is the free space, always the last.
  while (in.left() >= head) {
    uint64_t at = in.file_offset();
    uint32_t index = in.u16();
    in.skip(2 + 4);  // reference count, reserved
    uint64_t length = in.length();
    if (index == 0) break;
    uint64_t padded = length > kUndefined - 7 ? kUndefined : (length + 7) & ~uint64_t{7};
    if (length > in.left()) {
      return fail(Code::kInvalidData,
                  fmt::format("object {} at offset {} of the {} at offset {} claims {} bytes, {} "
                              "are left",
                              index, at, kCollection, offset, length, in.left()));
    }
    ByteSpan object = in.bytes(length);
    in.skip(std::min<uint64_t>(padded - length, in.left()));
    out.objects_.try_emplace(index, object);
  }
  return out;
}

Result<ByteSpan> GlobalHeapCollection::object(uint32_t index) const {
  auto found = objects_.find(index);
  if (found != objects_.end()) return found->second;
  return fail(Code::kInvalidData,
              fmt::format("{} at offset {} has no object {}", kCollection, offset_, index));
}

Result<ByteSpan> read_global_heap_object(Window& window, const FileFacts& facts, GlobalHeapId id) {
  UPWELL_TRY(ByteSpan head,
             span_at(window, facts, id.address, global_heap_head_size(facts), kCollection));
  uint64_t offset = facts.base_address + id.address;
  UPWELL_TRY(uint64_t size, global_heap_size(head, offset, facts, window.object_size()));
  UPWELL_TRY(ByteSpan bytes, window.get(offset, size));
  UPWELL_TRY(auto collection, GlobalHeapCollection::parse(bytes, offset, facts));
  return collection.object(id.index);
}

}  // namespace upwell::format::hdf5
