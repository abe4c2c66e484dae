// The messages that point to other files: mappings of virtual datasets, external file lists.

#include <algorithm>

#include "format/hdf5/checksum.hpp"
#include "format/hdf5/global_heap.hpp"
#include "format/hdf5/virtual.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr std::string_view kMappings = "mappings of a virtual dataset";
constexpr std::string_view kSelection = "selection of a virtual dataset";
constexpr std::string_view kNameHeap = "local heap of external file names";
constexpr uint32_t kMaxRank = 32;

std::string text_until_null(Cursor& in, ByteSpan all) {
  ByteSpan rest = all.subspan(in.position());
  auto end = std::find(rest.begin(), rest.end(), uint8_t{0});
  auto length = static_cast<size_t>(end - rest.begin());
  std::string text(as_text(rest.first(length)));
  in.skip(length + 1);  // runs over when there is no null
  return text;
}

// All ones in `size` bytes stands for "unlimited".
uint64_t limit_value(Cursor& in, size_t size) {
  uint64_t v = in.integer(size);
  uint64_t ones = size >= 8 ? kUndefined : (uint64_t{1} << (8 * size)) - 1;
  return v == ones ? kUndefined : v;
}

Result<> read_blocks(Cursor& in, size_t size, uint64_t count, uint32_t rank, HyperSelection& out) {
  out.kind = HyperSelection::Kind::kBlocks;
  if (count > in.left() / (2 * size * std::max(rank, 1U))) return in.check(kSelection);
  for (uint64_t b = 0; b < count; ++b) {
    Shape first, last;
    for (uint32_t d = 0; d < rank; ++d) first.push_back(in.integer(size));
    for (uint32_t d = 0; d < rank; ++d) last.push_back(in.integer(size));
    for (uint32_t d = 0; d < rank; ++d) {
      if (last[d] < first[d] || last[d] == kUndefined) {
        return fail(Code::kInvalidData, fmt::format("{} before offset {}: block {} ends before it "
                                                    "begins",
                                                    kSelection, in.file_offset(), b));
      }
    }
    out.blocks.emplace_back(std::move(first), std::move(last));
  }
  return {};
}

// H5S hyperslab selections of versions 1 (blocks, 4 bytes), 2 (regular, 8 bytes), 3 (either, any
// size); format specification VI.
Result<> read_hyperslab(Cursor& in, uint32_t version, HyperSelection& out) {
  uint64_t at = in.file_offset();
  bool regular = false;
  size_t size = 4;
  if (version == 1) {
    in.skip(8);  // reserved, length
  } else {
    regular = (in.u8() & 1) != 0;
    if (version == 2) {
      in.skip(4);  // length
      size = 8;
    } else {
      size = in.u8();
    }
  }
  uint32_t rank = in.u32();
  if (rank == 0 || rank > kMaxRank || (size != 2 && size != 4 && size != 8)) {
    return fail(Code::kInvalidData, fmt::format("{} at offset {}: rank {}, fields of {} bytes",
                                                kSelection, at, rank, size));
  }
  if (!regular) return read_blocks(in, size, in.integer(version == 1 ? 4 : size), rank, out);
  out.kind = HyperSelection::Kind::kRegular;
  for (uint32_t d = 0; d < rank; ++d) {
    out.start.push_back(in.integer(size));
    out.stride.push_back(in.integer(size));
    out.count.push_back(limit_value(in, size));
    out.block.push_back(limit_value(in, size));
  }
  return {};
}

Result<HyperSelection> read_selection(Cursor& in) {
  uint64_t at = in.file_offset();
  uint32_t type = in.u32();
  uint32_t version = in.u32();
  HyperSelection out;
  if ((type == 0 || type == 3) && version == 1) {
    in.skip(8);  // reserved, length
    out.kind = type == 0 ? HyperSelection::Kind::kNone : HyperSelection::Kind::kAll;
  } else if (type == 2 && version >= 1 && version <= 3) {
    UPWELL_CHECK(read_hyperslab(in, version, out));
  } else {
    UPWELL_CHECK(in.check(kSelection));
    return fail(Code::kUnsupported, fmt::format("{} at offset {} has type {} and version {}",
                                                kSelection, at, type, version));
  }
  UPWELL_CHECK(in.check(kSelection));
  return out;
}

Result<std::string> heap_name(Window& window, uint64_t data, uint64_t data_size, uint64_t offset) {
  if (offset >= data_size) {
    return fail(Code::kInvalidData,
                fmt::format("{} at offset {} has no name at {}", kNameHeap, data, offset));
  }
  UPWELL_TRY(ByteSpan bytes, window.get(data, data_size));
  std::string_view text = as_text(bytes.subspan(offset));
  size_t end = text.find('\0');
  if (end == std::string_view::npos) {
    return fail(Code::kInvalidData,
                fmt::format("{} at offset {}: name at {} has no end", kNameHeap, data, offset));
  }
  return std::string(text.substr(0, end));
}

}  // namespace

Result<std::vector<VirtualMapping>> read_virtual_mappings(Window& window, const FileFacts& facts,
                                                          uint64_t address, uint32_t index) {
  std::vector<VirtualMapping> out;
  if (address == kUndefined) return out;
  UPWELL_TRY(ByteSpan bytes, read_global_heap_object(window, facts, {address, index}));
  uint64_t offset = facts.base_address + address;
  Cursor in(bytes, offset, facts);
  uint8_t version = in.u8();
  if (version != 0) {
    return fail(Code::kUnsupported,
                fmt::format("{} in the global heap collection at offset {} have version {}",
                            kMappings, offset, version));
  }
  UPWELL_CHECK(verify_checksum(bytes, kMappings, offset));
  uint64_t count = in.length();
  if (count > bytes.size()) {
    return fail(Code::kInvalidData, fmt::format("{} at offset {}: {} of them in {} bytes",
                                                kMappings, offset, count, bytes.size()));
  }
  for (uint64_t i = 0; i < count; ++i) {
    VirtualMapping mapping;
    mapping.file = text_until_null(in, bytes);
    mapping.path = text_until_null(in, bytes);
    UPWELL_TRY(mapping.source, read_selection(in));
    UPWELL_TRY(mapping.target, read_selection(in));
    out.push_back(std::move(mapping));
  }
  UPWELL_CHECK(in.check(kMappings));
  return out;
}

Result<std::vector<ExternalSlot>> read_external_slots(Window& window, const FileFacts& facts,
                                                      ByteSpan message, uint64_t offset) {
  constexpr std::string_view kWhat = "external file list";
  Cursor in(message, offset, facts);
  uint8_t version = in.u8();
  in.skip(3);
  in.u16();  // allocated slots
  uint16_t used = in.u16();
  uint64_t heap = in.address();
  UPWELL_CHECK(in.check(kWhat));
  if (version != 1) {
    return fail(Code::kUnsupported,
                fmt::format("{} at offset {} has version {}", kWhat, offset, version));
  }
  uint64_t head_size = 8 + 2ULL * facts.length_size + facts.offset_size;
  UPWELL_TRY(ByteSpan head, span_at(window, facts, heap, head_size, kNameHeap));
  Cursor heap_in(head, facts.base_address + heap, facts);
  UPWELL_CHECK(expect_signature(heap_in, "HEAP", kNameHeap));
  heap_in.skip(4);  // version, reserved
  uint64_t data_size = heap_in.length();
  heap_in.length();  // free list
  uint64_t data = heap_in.address();
  UPWELL_TRY(ByteSpan names, span_at(window, facts, data, data_size, kNameHeap));
  (void)names;
  std::vector<ExternalSlot> slots;
  for (uint16_t i = 0; i < used; ++i) {
    ExternalSlot slot;
    uint64_t name = in.length();
    slot.offset = in.length();
    slot.size = limit_value(in, facts.length_size);
    UPWELL_CHECK(in.check(kWhat));
    UPWELL_TRY(slot.file, heap_name(window, facts.base_address + data, data_size, name));
    slots.push_back(std::move(slot));
  }
  return slots;
}

}  // namespace upwell::format::hdf5
