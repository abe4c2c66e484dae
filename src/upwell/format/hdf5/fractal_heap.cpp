#include "format/hdf5/fractal_heap.hpp"

#include <algorithm>
#include <bit>
#include <unordered_map>

#include "format/hdf5/btree2.hpp"
#include "format/hdf5/checksum.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr std::string_view kHeapHeader = "fractal heap header";
constexpr std::string_view kDirectBlock = "fractal heap direct block";
constexpr std::string_view kIndirectBlock = "fractal heap indirect block";
// A tiny object of up to this many bytes has its length in four bits (III.G, "tiny objects").
constexpr size_t kShortTiny = 16;

struct HeapHeader {
  uint64_t address = 0;
  uint16_t id_size = 0;
  bool checksummed = false;
  uint32_t max_managed = 0;
  uint64_t huge_tree = kUndefined;
  uint64_t managed_space = 0;
  uint16_t width = 0;
  uint64_t start_size = 0;
  uint64_t max_direct = 0;
  uint16_t max_bits = 0;
  uint64_t root = kUndefined;
  uint16_t root_rows = 0;
  uint64_t filtered_root_size = 0;
  uint32_t filtered_root_mask = 0;
  Bytes pipeline;

  size_t offset_bytes() const { return (max_bits + 7U) / 8; }
  size_t length_bytes() const {
    size_t in_block = (std::bit_width(max_direct) - 1 + 7) / 8;
    return std::min<size_t>(in_block, bytes_for(max_managed));
  }
  uint64_t row_size(uint32_t row) const { return row == 0 ? start_size : start_size << (row - 1); }
  uint32_t direct_rows() const {
    return static_cast<uint32_t>(std::bit_width(max_direct) - std::bit_width(start_size)) + 2;
  }
  // Rows of a non-root indirect block that spans `size` bytes of the heap.
  uint32_t rows_of(uint64_t size) const {
    int rows =
        std::bit_width(size) - std::bit_width(start_size) - std::bit_width(unsigned{width}) + 2;
    return rows < 0 ? 0 : static_cast<uint32_t>(rows);
  }
};

// Where one direct block is and which part of the heap's space it holds.
struct BlockPlace {
  uint64_t address = kUndefined;
  uint64_t heap_offset = 0;
  uint64_t size = 0;
  uint64_t stored = 0;  // bytes in the file, filtered
  uint32_t mask = 0;
};

Result<> check_heap_header(const HeapHeader& h, uint64_t offset, uint64_t object_size) {
  bool sane = h.id_size >= 2 && h.width > 0 && std::has_single_bit(unsigned{h.width}) &&
              std::has_single_bit(h.start_size) && std::has_single_bit(h.max_direct) &&
              h.start_size <= h.max_direct && h.max_direct <= (uint64_t{1} << 32) &&
              h.max_bits > 0 && h.max_bits <= 64 && h.root_rows <= 64 &&
              (!h.pipeline.empty() || h.root == kUndefined || h.start_size <= object_size);
  if (sane) return {};
  return fail(Code::kInvalidData,
              fmt::format("{} at offset {} makes no sense: ids of {} bytes, table width {}, blocks "
                          "of {} to {} bytes, {} bits of space, {} rows",
                          kHeapHeader, offset, h.id_size, h.width, h.start_size, h.max_direct,
                          h.max_bits, h.root_rows));
}

Result<HeapHeader> read_heap_header(Window& window, const FileFacts& facts, uint64_t address) {
  uint64_t o = facts.offset_size, l = facts.length_size;
  uint64_t fixed = 4 + 1 + 2 + 2 + 1 + 4 + l + o + l + o + 8 * l + 2 + l + l + 2 + 2 + o + 2;
  UPWELL_TRY(ByteSpan head, span_at(window, facts, address, 9, kHeapHeader));
  uint64_t pipeline = load_le<uint16_t>(head.data() + 7);
  uint64_t size = fixed + (pipeline > 0 ? l + 4 + pipeline : 0) + 4;
  UPWELL_TRY(ByteSpan bytes, span_at(window, facts, address, size, kHeapHeader));
  uint64_t offset = facts.base_address + address;
  Cursor in(bytes, offset, facts);
  UPWELL_CHECK(expect_signature(in, "FRHP", kHeapHeader));
  UPWELL_CHECK(verify_checksum(bytes, kHeapHeader, offset));
  uint8_t version = in.u8();
  if (version != 0) {
    return fail(Code::kUnsupported,
                fmt::format("{} at offset {} has version {}", kHeapHeader, offset, version));
  }
  HeapHeader h;
  h.address = address;
  h.id_size = in.u16();
  in.skip(2);  // length of the pipeline
  h.checksummed = (in.u8() & 2) != 0;
  h.max_managed = in.u32();
  in.length();  // next huge id
  h.huge_tree = in.address();
  in.length();   // free space
  in.address();  // free space manager
  h.managed_space = in.length();
  in.skip(7 * l);  // allocated space, iterator, counts and sizes of objects
  h.width = in.u16();
  h.start_size = in.length();
  h.max_direct = in.length();
  h.max_bits = in.u16();
  in.u16();  // starting rows
  h.root = in.address();
  h.root_rows = in.u16();
  if (pipeline > 0) {
    h.filtered_root_size = in.length();
    h.filtered_root_mask = in.u32();
    h.pipeline = to_bytes(in.bytes(pipeline));
  }
  UPWELL_CHECK(in.check(kHeapHeader));
  UPWELL_CHECK(check_heap_header(h, offset, window.object_size()));
  return h;
}

}  // namespace

struct FractalHeap::Impl {
  FileFacts facts;
  HeapHeader header;
  HeapFilter filter;
  std::unordered_map<uint64_t, ByteSpan> indirect;  // verified, by address
  std::unordered_map<uint64_t, ByteSpan> direct;    // verified and unfiltered, by address
  std::vector<std::unique_ptr<Bytes>> owned;
  std::unordered_map<uint64_t, ByteSpan> huge_records;  // by huge id
  bool huge_read = false;

  size_t block_head() const { return 4 + 1 + facts.offset_size + header.offset_bytes(); }

  Result<> check_block(Cursor& in, std::string_view signature, std::string_view what,
                       uint64_t heap_offset) const {
    uint64_t at = in.file_offset();
    UPWELL_CHECK(expect_signature(in, signature, what));
    uint8_t version = in.u8();
    uint64_t owner = in.address();
    uint64_t found = in.integer(header.offset_bytes());
    if (in.ok() && version == 0 && owner == header.address && found == heap_offset) return {};
    return fail(Code::kInvalidData,
                fmt::format("{} at offset {} is not the one of the heap at offset {} that holds "
                            "its byte {}",
                            what, at, facts.base_address + header.address, heap_offset));
  }

  Result<ByteSpan> indirect_block(Window& window, uint64_t address, uint64_t heap_offset,
                                  uint32_t rows) {
    auto known = indirect.find(address);
    if (known != indirect.end()) return known->second;
    uint64_t direct_rows = std::min(rows, header.direct_rows());
    uint64_t entry = facts.offset_size + (header.pipeline.empty() ? 0 : facts.length_size + 4);
    uint64_t size = block_head() + direct_rows * header.width * entry +
                    (rows - direct_rows) * header.width * facts.offset_size + 4;
    UPWELL_TRY(ByteSpan bytes, span_at(window, facts, address, size, kIndirectBlock));
    uint64_t offset = facts.base_address + address;
    Cursor in(bytes, offset, facts);
    UPWELL_CHECK(check_block(in, "FHIB", kIndirectBlock, heap_offset));
    UPWELL_CHECK(verify_checksum(bytes, kIndirectBlock, offset));
    indirect.emplace(address, bytes);
    return bytes;
  }

  // The direct block that holds byte `wanted` of the heap's space.
  Result<BlockPlace> locate(Window& window, uint64_t wanted) {
    if (header.root_rows == 0) {
      return BlockPlace{header.root, 0, header.start_size,
                        header.pipeline.empty() ? header.start_size : header.filtered_root_size,
                        header.filtered_root_mask};
    }
    uint64_t address = header.root, base = 0;
    uint32_t rows = header.root_rows;
    // Every step down spans less of the heap, so 64 steps are more than there can be.
    for (int step = 0; step < 64; ++step) {
      UPWELL_TRY(ByteSpan block, indirect_block(window, address, base, rows));
      uint64_t within = wanted - base;
      uint64_t first_row = header.start_size * header.width;
      uint32_t row =
          within < first_row
              ? 0
              : static_cast<uint32_t>(std::bit_width(within) - std::bit_width(first_row)) + 1;
      if (row >= rows) break;
      uint64_t row_start = row == 0 ? 0 : first_row << (row - 1);
      uint64_t column = (within - row_start) / header.row_size(row);
      uint64_t child_offset = base + row_start + column * header.row_size(row);
      uint64_t direct_rows = std::min(rows, header.direct_rows());
      uint64_t entry = facts.offset_size + (header.pipeline.empty() ? 0 : facts.length_size + 4);
      Cursor in(block, facts.base_address + address, facts);
      in.skip(block_head());
      if (row < direct_rows) {
        in.skip((row * header.width + column) * entry);
        BlockPlace place{in.address(), child_offset, header.row_size(row), 0, 0};
        place.stored = header.pipeline.empty() ? place.size : in.length();
        place.mask = header.pipeline.empty() ? 0 : in.u32();
        UPWELL_CHECK(in.check(kIndirectBlock));
        return place;
      }
      in.skip(direct_rows * header.width * entry +
              ((row - direct_rows) * header.width + column) * facts.offset_size);
      address = in.address();
      UPWELL_CHECK(in.check(kIndirectBlock));
      base = child_offset;
      rows = header.rows_of(header.row_size(row));
    }
    return fail(Code::kInvalidData, fmt::format("fractal heap at offset {} does not reach byte {}",
                                                facts.base_address + header.address, wanted));
  }

  Result<ByteSpan> unfilter(ByteSpan stored, uint32_t mask, uint64_t size, uint64_t offset) {
    if (!filter) {
      return fail(Code::kUnsupported,
                  fmt::format("fractal heap block at offset {} is filtered", offset));
    }
    // No filter shrinks a block more than deflate's 1032 times by much: a bigger claim is not
    // believed, so that nothing of that size is allocated.
    if (size / 1100 > stored.size() + 64) {
      return fail(Code::kInvalidData,
                  fmt::format("fractal heap block at offset {} claims {} bytes from {}", offset,
                              size, stored.size()));
    }
    UPWELL_TRY(Bytes decoded, filter(header.pipeline, stored, mask, size));
    owned.push_back(std::make_unique<Bytes>(std::move(decoded)));
    return ByteSpan(*owned.back());
  }

  Result<ByteSpan> direct_block(Window& window, const BlockPlace& place) {
    auto known = direct.find(place.address);
    if (known != direct.end()) return known->second;
    UPWELL_TRY(ByteSpan bytes, span_at(window, facts, place.address, place.stored, kDirectBlock));
    uint64_t offset = facts.base_address + place.address;
    if (!header.pipeline.empty()) {
      UPWELL_TRY(bytes, unfilter(bytes, place.mask, place.size, offset));
    }
    Cursor in(bytes, offset, facts);
    UPWELL_CHECK(check_block(in, "FHDB", kDirectBlock, place.heap_offset));
    if (header.checksummed) {
      // The checksum stands in the block's head and is computed with itself as zero.
      uint32_t stored = in.u32();
      UPWELL_CHECK(in.check(kDirectBlock));
      Bytes copy = to_bytes(bytes);
      store_le<uint32_t>(copy.data() + block_head(), 0);
      if (lookup3(copy) != stored) {
        return fail(Code::kInvalidData, fmt::format("checksum of {} at offset {} does not match",
                                                    kDirectBlock, offset));
      }
    }
    direct.emplace(place.address, bytes);
    return bytes;
  }

  Result<ByteSpan> managed(Window& window, Cursor& in) {
    uint64_t offset = in.integer(header.offset_bytes());
    uint64_t length = in.integer(header.length_bytes());
    UPWELL_CHECK(in.check("managed fractal heap id"));
    if (header.root == kUndefined || offset >= header.managed_space) {
      return fail(Code::kInvalidData, fmt::format("fractal heap at offset {} has no byte {}",
                                                  facts.base_address + header.address, offset));
    }
    UPWELL_TRY(BlockPlace place, locate(window, offset));
    UPWELL_TRY(ByteSpan block, direct_block(window, place));
    uint64_t within = offset - place.heap_offset;
    uint64_t head = block_head() + (header.checksummed ? 4 : 0);
    if (within < head || within > block.size() || length > block.size() - within) {
      return fail(Code::kInvalidData,
                  fmt::format("fractal heap at offset {}: object of {} bytes at byte {} does not "
                              "lie inside its block",
                              facts.base_address + header.address, length, offset));
    }
    return block.subspan(within, length);
  }

  Result<ByteSpan> tiny(ByteSpan id) const {
    bool extended = size_t{header.id_size} - 1 > kShortTiny + 1;
    size_t head = extended ? 2 : 1;
    size_t length = extended && id.size() > 1 ? (size_t{id[0]} & 0x0f) << 8 | id[1] : id[0] & 0x0f;
    ++length;
    if (head + length > id.size()) {
      return fail(Code::kInvalidData, fmt::format("tiny fractal heap id claims {} bytes", length));
    }
    return id.subspan(head, length);
  }

  Result<> read_huge_records(Window& window) {
    if (huge_read) return {};
    bool filtered = !header.pipeline.empty();
    UPWELL_TRY(auto records, read_btree2(window, facts, header.huge_tree,
                                         filtered ? Btree2Type::kHugeIndirectFiltered
                                                  : Btree2Type::kHugeIndirect));
    for (ByteSpan record : records) {
      Cursor in(record, 0, facts);
      in.address();
      in.length();
      if (filtered) in.skip(4 + facts.length_size);
      uint64_t id = in.length();
      UPWELL_CHECK(in.check("record of a huge object"));
      huge_records.emplace(id, record);
    }
    huge_read = true;
    return {};
  }

  Result<ByteSpan> huge(Window& window, ByteSpan id) {
    bool filtered = !header.pipeline.empty();
    size_t own = facts.offset_size + facts.length_size +
                 (filtered ? size_t{4} + facts.length_size : size_t{0});
    ByteSpan record = id.subspan(1);
    if (own > size_t{header.id_size} - 1) {  // the id is a key of the B-tree
      UPWELL_CHECK(read_huge_records(window));
      Cursor key(record, 0, facts);
      uint64_t wanted = key.integer(std::min<size_t>(header.id_size - 1U, facts.length_size));
      auto found = huge_records.find(wanted);
      if (found == huge_records.end()) {
        return fail(Code::kInvalidData,
                    fmt::format("fractal heap at offset {} has no huge object {}",
                                facts.base_address + header.address, wanted));
      }
      record = found->second;
    }
    Cursor in(record, 0, facts);
    uint64_t address = in.address();
    uint64_t length = in.length();
    uint32_t mask = filtered ? in.u32() : 0;
    uint64_t size = filtered ? in.length() : length;
    UPWELL_CHECK(in.check("huge fractal heap id"));
    if (filtered) {
      auto known = direct.find(address);
      if (known != direct.end()) return known->second;
    }
    UPWELL_TRY(ByteSpan stored,
               span_at(window, facts, address, length, "huge fractal heap object"));
    if (!filtered) return stored;
    UPWELL_TRY(ByteSpan bytes, unfilter(stored, mask, size, facts.base_address + address));
    direct.emplace(address, bytes);
    return bytes;
  }
};

FractalHeap::FractalHeap(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
FractalHeap::~FractalHeap() = default;
FractalHeap::FractalHeap(FractalHeap&&) noexcept = default;
FractalHeap& FractalHeap::operator=(FractalHeap&&) noexcept = default;

Result<FractalHeap> FractalHeap::open(Window& window, const FileFacts& facts, uint64_t address,
                                      HeapFilter filter) {
  auto impl = std::make_unique<Impl>();
  impl->facts = facts;
  impl->filter = std::move(filter);
  UPWELL_TRY(impl->header, read_heap_header(window, facts, address));
  return FractalHeap(std::move(impl));
}

size_t FractalHeap::id_size() const { return impl_->header.id_size; }

Result<ByteSpan> FractalHeap::get(Window& window, ByteSpan id) {
  if (id.size() < impl_->header.id_size) {
    return fail(Code::kInvalidData, fmt::format("fractal heap id of {} bytes, not {}", id.size(),
                                                impl_->header.id_size));
  }
  id = id.first(impl_->header.id_size);
  if (id[0] >> 6 != 0) {
    return fail(Code::kUnsupported, fmt::format("fractal heap id of version {}", id[0] >> 6));
  }
  switch (id[0] >> 4 & 3) {
    case 0: {
      Cursor in(id.subspan(1), 0, impl_->facts);
      return impl_->managed(window, in);
    }
    case 1:
      return impl_->huge(window, id);
    case 2:
      return impl_->tiny(id);
    default:
      return fail(Code::kInvalidData, "fractal heap id of type 3");
  }
}

Result<std::vector<ByteSpan>> FractalHeap::get_all(Window& window, std::span<const ByteSpan> ids) {
  std::vector<ByteSpan> objects;
  objects.reserve(ids.size());
  bool missing = false;
  for (ByteSpan id : ids) {
    Result<ByteSpan> object = get(window, id);
    if (object) {
      objects.push_back(*object);
    } else if (object.error().code == Code::kNeedBytes) {
      missing = true;
    } else {
      return fail(std::move(object).error());
    }
  }
  if (missing) return fail(Code::kNeedBytes, "blocks of a fractal heap");
  return objects;
}

}  // namespace upwell::format::hdf5
