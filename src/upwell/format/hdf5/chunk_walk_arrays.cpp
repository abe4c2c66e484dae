// The two array-shaped chunk indexes of layout message version 4: fixed arrays (VII.D) and
// extensible arrays (VII.E).

#include <algorithm>
#include <bit>
#include <unordered_set>

#include "format/hdf5/checksum.hpp"
#include "format/hdf5/chunk_sink.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr std::string_view kFixedHeader = "fixed array header";
constexpr std::string_view kFixedBlock = "fixed array data block";
constexpr std::string_view kExtHeader = "extensible array header";
constexpr std::string_view kExtIndex = "extensible array index block";
constexpr std::string_view kExtSecondary = "extensible array secondary block";
constexpr std::string_view kExtData = "extensible array data block";

// Bit i of a page bitmap, most significant bit first.
bool page_bit(ByteSpan bitmap, uint64_t i) {
  return i / 8 < bitmap.size() && (bitmap[i / 8] & (0x80 >> (i % 8))) != 0;
}

// A run of elements somewhere in the file that is still to be read.
struct Run {
  uint64_t address = 0;  // of the first element, or of the block when `head` > 0
  uint64_t head = 0;     // bytes of the block's head before the elements
  uint64_t first = 0;    // array index of the first element
  uint64_t count = 0;
};

// What fixed and extensible arrays share: elements, and how an array index becomes a chunk.
class ArrayWalk : public ChunkWalk {
 public:
  explicit ArrayWalk(ChunkSink sink) : sink_(std::move(sink)), scaled_(sink_.rank()) {}
  std::unique_ptr<ChunkIndex> take() override { return sink_.take(); }

 protected:
  // `most`: chunks along each axis at full extent, in the order of the array's numbering: axis
  // order[0] is the slowest.
  Result<> set_numbering(std::vector<size_t> order, const Shape& most) {
    order_ = std::move(order);
    down_.assign(order_.size(), 1);
    for (size_t k = order_.size() - 1; k-- > 0;) {
      unsigned __int128 down = static_cast<unsigned __int128>(down_[k + 1]) * most[order_[k + 1]];
      if (down > kUndefined) return fail(Code::kInvalidData, "too many chunks to number");
      down_[k] = std::max<uint64_t>(static_cast<uint64_t>(down), 1);
    }
    // No element from here on lies inside the present extents.
    unsigned __int128 end = static_cast<unsigned __int128>(sink_.grid()[order_[0]]) * down_[0];
    end_ = end > kUndefined ? kUndefined : static_cast<uint64_t>(end);
    return {};
  }
  uint64_t end() const { return end_; }

  Result<> set_element_size(uint8_t client, uint64_t size, std::string_view what) {
    const FileFacts& facts = sink_.facts();
    bool filtered = sink_.layout().filtered;
    uint64_t fixed = facts.offset_size + (filtered ? 4U : 0U);
    size_bytes_ = size < fixed ? 0 : size - fixed;
    element_ = size;
    bool fits = filtered ? size_bytes_ >= 1 && size_bytes_ <= 8 : size == fixed;
    if (client == (filtered ? 1 : 0) && fits) return {};
    return fail(Code::kInvalidData,
                fmt::format("{} of the index at offset {}: client {} and elements of {} bytes do "
                            "not fit a dataset that is {}filtered",
                            what, facts.base_address + sink_.layout().address, client, size,
                            filtered ? "" : "not "));
  }
  uint64_t element() const { return element_; }

  Result<> add_elements(Cursor& in, uint64_t first, uint64_t count) {
    bool filtered = sink_.layout().filtered;
    for (uint64_t i = 0; i < count; ++i) {
      uint64_t address = in.address();
      uint64_t length = filtered ? in.integer(size_bytes_) : sink_.chunk_bytes();
      uint32_t mask = filtered ? in.u32() : 0;
      if (address == kUndefined) continue;
      uint64_t rest = first + i;
      for (size_t k = 0; k < order_.size(); ++k) {
        scaled_[order_[k]] = rest / down_[k];
        rest %= down_[k];
      }
      UPWELL_CHECK(sink_.add(scaled_, address, length, mask));
    }
    return in.check("elements of a chunk index");
  }

  // Remembers a run to read. Nothing is in an index twice: that would be work without end.
  Result<> want(const Run& run) {
    UPWELL_CHECK(visit(run.address));
    pending_.push_back(run);
    return {};
  }
  Result<> visit(uint64_t address) {
    if (visited_.insert(address).second) return {};
    return fail(Code::kInvalidData, fmt::format("chunk index at offset {} holds offset {} twice",
                                                sink_.facts().base_address + sink_.layout().address,
                                                sink_.facts().base_address + address));
  }

  // A page or block of elements that ends in its checksum: reads it or says kNeedBytes.
  Result<> read_run(Window& window, const Run& run, std::string_view signature,
                    std::string_view what) {
    const FileFacts& facts = sink_.facts();
    UPWELL_TRY(ByteSpan bytes,
               span_at(window, facts, run.address, run.head + run.count * element_ + 4, what));
    uint64_t offset = facts.base_address + run.address;
    UPWELL_CHECK(verify_checksum(bytes, what, offset));
    Cursor in(bytes, offset, facts);
    if (run.head > 0) {
      UPWELL_CHECK(expect_signature(in, signature, what));
      in.skip(run.head - 4);
    }
    return add_elements(in, run.first, run.count);
  }

  // Reads what is there; the rest stays in `pending_`.
  Result<bool> read_runs(Window& window, std::string_view signature, std::string_view what) {
    std::vector<Run> parked;
    for (const Run& run : pending_) {
      Result<> read = read_run(window, run, signature, what);
      if (read) continue;
      if (read.error().code != Code::kNeedBytes) return fail(std::move(read).error());
      parked.push_back(run);
    }
    pending_ = std::move(parked);
    return pending_.empty();
  }

  ChunkSink sink_;

 private:
  std::vector<Run> pending_;
  std::unordered_set<uint64_t> visited_;
  Shape scaled_;
  std::vector<size_t> order_;
  Shape down_;
  uint64_t end_ = 0;
  uint64_t element_ = 0;
  uint64_t size_bytes_ = 0;
};

class FixedArrayWalk : public ArrayWalk {
 public:
  using ArrayWalk::ArrayWalk;

  Result<> prepare() {
    UPWELL_TRY(Shape most, max_grid(sink_.layout()));
    std::vector<size_t> order(sink_.rank());
    for (size_t d = 0; d < order.size(); ++d) order[d] = d;
    if (std::find(most.begin(), most.end(), kUndefined) != most.end()) {
      return fail(Code::kInvalidData, "fixed array index of a dataset with an unlimited axis");
    }
    return set_numbering(std::move(order), most);
  }

  Result<bool> advance(Window& window) override {
    if (sink_.nothing() || sink_.layout().address == kUndefined) return true;
    if (!opened_) {
      Result<> opened = open(window);
      if (!opened) {
        if (opened.error().code == Code::kNeedBytes) return false;
        return fail(std::move(opened).error());
      }
      opened_ = true;
    }
    return read_runs(window, "FADB", kFixedBlock);
  }

 private:
  Result<> open(Window& window) {
    const FileFacts& facts = sink_.facts();
    uint64_t address = sink_.layout().address;
    uint64_t size = 4 + 4 + facts.length_size + facts.offset_size + 4;
    UPWELL_TRY(ByteSpan bytes, span_at(window, facts, address, size, kFixedHeader));
    uint64_t offset = facts.base_address + address;
    Cursor in(bytes, offset, facts);
    UPWELL_CHECK(expect_signature(in, "FAHD", kFixedHeader));
    UPWELL_CHECK(verify_checksum(bytes, kFixedHeader, offset));
    uint8_t version = in.u8(), client = in.u8(), element_size = in.u8(), page_bits = in.u8();
    uint64_t count = in.length();
    uint64_t block = in.address();
    UPWELL_CHECK(in.check(kFixedHeader));
    UPWELL_CHECK(set_element_size(client, element_size, kFixedHeader));
    if (version != 0 || page_bits > 40 || count > window.object_size() / element_size) {
      return fail(Code::kInvalidData,
                  fmt::format("{} at offset {} makes no sense: version {}, {} elements, pages of "
                              "2^{}",
                              kFixedHeader, offset, version, count, page_bits));
    }
    if (block == kUndefined) return {};
    return open_block(window, block, count, uint64_t{1} << page_bits);
  }

  Result<> open_block(Window& window, uint64_t block, uint64_t count, uint64_t per_page) {
    const FileFacts& facts = sink_.facts();
    uint64_t head = 4 + 1 + 1 + facts.offset_size;
    if (count <= per_page) {  // not paged
      return want({block, head, 0, count});
    }
    uint64_t pages = (count + per_page - 1) / per_page;
    uint64_t bitmap_bytes = (pages + 7) / 8;
    UPWELL_TRY(ByteSpan bytes, span_at(window, facts, block, head + bitmap_bytes + 4, kFixedBlock));
    uint64_t offset = facts.base_address + block;
    Cursor in(bytes, offset, facts);
    UPWELL_CHECK(expect_signature(in, "FADB", kFixedBlock));
    UPWELL_CHECK(verify_checksum(bytes, kFixedBlock, offset));
    ByteSpan bitmap = bytes.subspan(head, bitmap_bytes);
    for (uint64_t p = 0; p < pages && p * per_page < end(); ++p) {
      if (!page_bit(bitmap, p)) continue;
      uint64_t first = p * per_page;
      uint64_t at = block + bytes.size() + p * (per_page * element() + 4);
      UPWELL_CHECK(want({at, 0, first, std::min(per_page, count - first)}));
    }
    return {};
  }

  bool opened_ = false;
};

// Secondary ("super") block u of an extensible array: how many data blocks of how many elements.
struct SuperBlock {
  uint64_t blocks = 0, elements = 0, first = 0;
};

class ExtensibleArrayWalk : public ArrayWalk {
 public:
  using ArrayWalk::ArrayWalk;

  Result<> prepare() {
    UPWELL_TRY(Shape most, max_grid(sink_.layout()));
    // The unlimited axis is brought to the front (H5D earray: "swizzled" coordinates).
    size_t unlimited =
        static_cast<size_t>(std::find(most.begin(), most.end(), kUndefined) - most.begin());
    if (unlimited == most.size() || std::count(most.begin(), most.end(), kUndefined) != 1) {
      return fail(Code::kInvalidData,
                  "extensible array index of a dataset without exactly one unlimited axis");
    }
    std::vector<size_t> order{unlimited};
    for (size_t d = 0; d < most.size(); ++d) {
      if (d != unlimited) order.push_back(d);
    }
    return set_numbering(std::move(order), most);
  }

  Result<bool> advance(Window& window) override {
    if (sink_.nothing() || sink_.layout().address == kUndefined) return true;
    if (!opened_) {
      Result<> opened = open(window);
      if (!opened) {
        if (opened.error().code == Code::kNeedBytes) return false;
        return fail(std::move(opened).error());
      }
      opened_ = true;
    }
    std::vector<Pending> parked;
    for (const Pending& secondary : secondaries_) {
      Result<> read = read_secondary(window, secondary);
      if (read) continue;
      if (read.error().code != Code::kNeedBytes) return fail(std::move(read).error());
      parked.push_back(secondary);
    }
    secondaries_ = std::move(parked);
    UPWELL_TRY(bool done, read_runs(window, "EADB", kExtData));
    return done && secondaries_.empty();
  }

 private:
  struct Pending {
    uint64_t address;
    size_t super;
  };
  struct Header {
    uint8_t index_elements = 0, min_elements = 0, min_pointers = 0, page_bits = 0, max_bits = 0;
    uint64_t max_set = 0;
    uint64_t index_block = kUndefined;
  };

  uint64_t limit() const { return std::min(end(), header_.max_set); }
  size_t offset_bytes() const { return (header_.max_bits + 7U) / 8; }
  uint64_t per_page() const { return uint64_t{1} << header_.page_bits; }
  uint64_t data_head() const { return 4 + 1 + 1 + sink_.facts().offset_size + offset_bytes(); }

  Result<> read_header(Window& window) {
    const FileFacts& facts = sink_.facts();
    uint64_t address = sink_.layout().address;
    uint64_t size = 4 + 8 + 6ULL * facts.length_size + facts.offset_size + 4;
    UPWELL_TRY(ByteSpan bytes, span_at(window, facts, address, size, kExtHeader));
    uint64_t offset = facts.base_address + address;
    Cursor in(bytes, offset, facts);
    UPWELL_CHECK(expect_signature(in, "EAHD", kExtHeader));
    UPWELL_CHECK(verify_checksum(bytes, kExtHeader, offset));
    uint8_t version = in.u8(), client = in.u8(), element_size = in.u8();
    header_.max_bits = in.u8();
    header_.index_elements = in.u8();
    header_.min_elements = in.u8();
    header_.min_pointers = in.u8();
    header_.page_bits = in.u8();
    in.skip(4ULL * facts.length_size);  // numbers and sizes of blocks
    header_.max_set = in.length();
    in.length();  // realised elements
    header_.index_block = in.address();
    UPWELL_CHECK(in.check(kExtHeader));
    UPWELL_CHECK(set_element_size(client, element_size, kExtHeader));
    const Header& h = header_;
    if (version != 0 || h.max_bits == 0 || h.max_bits > 64 || h.page_bits > 40 ||
        !std::has_single_bit(h.min_elements) || !std::has_single_bit(h.min_pointers) ||
        std::bit_width(h.min_elements) > h.max_bits) {
      return fail(Code::kInvalidData,
                  fmt::format("{} at offset {} makes no sense: version {}, {} bits, blocks of {} "
                              "elements, {} pointers, pages of 2^{}",
                              kExtHeader, offset, version, h.max_bits, h.min_elements,
                              h.min_pointers, h.page_bits));
    }
    // Super block u has 2^(u/2) data blocks of 2^((u+1)/2) times the least number of elements.
    size_t supers = 1U + h.max_bits - (std::bit_width(h.min_elements) - 1U);
    uint64_t first = h.index_elements;
    for (size_t u = 0; u < supers; ++u) {
      SuperBlock s{uint64_t{1} << (u / 2), uint64_t{h.min_elements} << ((u + 1) / 2), first};
      first += s.blocks * s.elements;
      supers_.push_back(s);
    }
    return {};
  }

  Result<> open(Window& window) {
    if (supers_.empty()) UPWELL_CHECK(read_header(window));
    const FileFacts& facts = sink_.facts();
    if (header_.index_block == kUndefined) return {};
    // The first super blocks have no block of their own: the index block points to their data.
    size_t direct = 2 * (std::bit_width(header_.min_pointers) - 1U);
    direct = std::min(direct, supers_.size());
    uint64_t data_pointers = 2ULL * (header_.min_pointers - 1U);
    uint64_t secondary_pointers = supers_.size() - direct;
    uint64_t size = 4 + 1 + 1 + facts.offset_size + header_.index_elements * element() +
                    (data_pointers + secondary_pointers) * facts.offset_size + 4;
    UPWELL_TRY(ByteSpan bytes, span_at(window, facts, header_.index_block, size, kExtIndex));
    uint64_t offset = facts.base_address + header_.index_block;
    Cursor in(bytes, offset, facts);
    UPWELL_CHECK(expect_signature(in, "EAIB", kExtIndex));
    UPWELL_CHECK(verify_checksum(bytes, kExtIndex, offset));
    in.skip(2 + facts.offset_size);
    UPWELL_CHECK(add_elements(in, 0, header_.index_elements));
    uint64_t left = data_pointers;
    for (size_t u = 0; u < direct; ++u) {
      for (uint64_t b = 0; b < supers_[u].blocks && left > 0; ++b, --left) {
        UPWELL_CHECK(want_block(in.address(), u, b, {}));
      }
    }
    in.skip(left * facts.offset_size);
    for (size_t u = direct; u < supers_.size(); ++u) {
      uint64_t address = in.address();
      if (address == kUndefined || supers_[u].first >= limit()) continue;
      UPWELL_CHECK(visit(address));
      secondaries_.push_back({address, u});
    }
    return in.check(kExtIndex);
  }

  // Data block `b` of super block `u`; `bitmap` tells which of its pages were ever written.
  Result<> want_block(uint64_t address, size_t u, uint64_t b, ByteSpan bitmap) {
    const SuperBlock& s = supers_[u];
    uint64_t first = s.first + b * s.elements;
    if (address == kUndefined || first >= limit()) return {};
    if (s.elements <= per_page()) {
      return want({address, data_head(), first, s.elements});
    }
    uint64_t pages = s.elements / per_page();
    for (uint64_t p = 0; p < pages && first + p * per_page() < limit(); ++p) {
      if (!page_bit(bitmap, b * pages + p)) continue;
      uint64_t at = address + data_head() + 4 + p * (per_page() * element() + 4);
      UPWELL_CHECK(want({at, 0, first + p * per_page(), per_page()}));
    }
    return {};
  }

  Result<> read_secondary(Window& window, const Pending& secondary) {
    const FileFacts& facts = sink_.facts();
    const SuperBlock& s = supers_[secondary.super];
    uint64_t head = data_head();
    uint64_t pages = s.elements > per_page() ? s.elements / per_page() : 0;
    uint64_t bitmap_bytes = s.blocks * ((pages + 7) / 8);
    UPWELL_TRY(ByteSpan bytes,
               span_at(window, facts, secondary.address,
                       head + bitmap_bytes + s.blocks * facts.offset_size + 4, kExtSecondary));
    uint64_t offset = facts.base_address + secondary.address;
    Cursor in(bytes, offset, facts);
    UPWELL_CHECK(expect_signature(in, "EASB", kExtSecondary));
    UPWELL_CHECK(verify_checksum(bytes, kExtSecondary, offset));
    in.skip(head - 4);
    ByteSpan bitmap = in.bytes(bitmap_bytes);
    for (uint64_t b = 0; b < s.blocks; ++b) {
      UPWELL_CHECK(want_block(in.address(), secondary.super, b, bitmap));
    }
    return in.check(kExtSecondary);
  }

  Header header_;
  std::vector<SuperBlock> supers_;
  std::vector<Pending> secondaries_;
  bool opened_ = false;
};

template <typename Walk>
Result<std::unique_ptr<ChunkWalk>> prepared(ChunkSink sink) {
  auto walk = std::make_unique<Walk>(std::move(sink));
  UPWELL_CHECK(walk->prepare());
  return walk;
}

}  // namespace

Result<std::unique_ptr<ChunkWalk>> make_fixed_array_walk(ChunkSink sink) {
  return prepared<FixedArrayWalk>(std::move(sink));
}
Result<std::unique_ptr<ChunkWalk>> make_extensible_array_walk(ChunkSink sink) {
  return prepared<ExtensibleArrayWalk>(std::move(sink));
}

}  // namespace upwell::format::hdf5
