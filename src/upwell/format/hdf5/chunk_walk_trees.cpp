// The two tree-shaped chunk indexes: version 1 B-trees of type 1 (III.A.1) and version 2 B-trees of
// types 10 and 11 (III.A.2, layout message version 4).

#include <algorithm>
#include <unordered_set>

#include "format/hdf5/btree2.hpp"
#include "format/hdf5/chunk_sink.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr std::string_view kChunkNode = "B-tree node of chunks";

class Btree1Walk : public ChunkWalk {
 public:
  explicit Btree1Walk(ChunkSink sink) : sink_(std::move(sink)), scaled_(sink_.rank()) {
    uint64_t root = sink_.layout().address;
    if (root != kUndefined && !sink_.nothing()) {
      pending_.push_back({root, kAnyLevel});
      visited_.insert(root);
    }
  }

  Result<bool> advance(Window& window) override {
    std::vector<Node> parked;
    while (!pending_.empty()) {
      Node node = pending_.back();
      pending_.pop_back();
      Result<> read = read_node(window, node);
      if (read) continue;
      if (read.error().code != Code::kNeedBytes) return fail(std::move(read).error());
      parked.push_back(node);
    }
    pending_ = std::move(parked);
    return pending_.empty();
  }
  std::unique_ptr<ChunkIndex> take() override { return sink_.take(); }

 private:
  static constexpr int kAnyLevel = -1;
  struct Node {
    uint64_t address;
    int level;
  };

  uint64_t key_size() const { return 4 + 4 + 8 * (sink_.rank() + 1); }

  Result<> read_node(Window& window, const Node& node) {
    const FileFacts& facts = sink_.facts();
    uint64_t head = 8 + 2ULL * facts.offset_size;
    uint64_t most = 2ULL * facts.chunk_internal_k;
    UPWELL_CHECK(check_place(window, node.address, head));
    uint64_t offset = facts.base_address + node.address;
    UPWELL_TRY(
        ByteSpan bytes,
        window.get_up_to(offset, head + most * (key_size() + facts.offset_size) + key_size()));
    Cursor in(bytes, offset, facts);
    UPWELL_CHECK(expect_signature(in, "TREE", kChunkNode));
    uint8_t type = in.u8();
    int level = in.u8();
    uint64_t entries = in.u16();
    in.skip(2ULL * facts.offset_size);
    if (type != 1 || entries > most || (node.level != kAnyLevel && level != node.level)) {
      return fail(Code::kInvalidData,
                  fmt::format("{} at offset {} has type {}, level {} and {} entries (at most {})",
                              kChunkNode, offset, type, level, entries, most));
    }
    if (entries * (key_size() + facts.offset_size) > in.left()) {
      return fail(Code::kInvalidData,
                  fmt::format("{} at offset {} is cut short", kChunkNode, offset));
    }
    return level == 0 ? add_chunks(in, entries) : add_children(in, entries, level);
  }

  Result<> check_place(Window& window, uint64_t address, uint64_t head) const {
    uint64_t size = window.object_size(), base = sink_.facts().base_address;
    if (address <= size && base <= size - address && head <= size - address - base) return {};
    return fail(Code::kInvalidData, fmt::format("{} at offset {} passes the end of the object ({})",
                                                kChunkNode, base + address, size));
  }

  Result<> add_children(Cursor& in, uint64_t entries, int level) {
    for (uint64_t i = 0; i < entries; ++i) {
      in.skip(key_size());
      uint64_t child = in.address();
      if (child == kUndefined || !visited_.insert(child).second) {
        return fail(Code::kInvalidData,
                    fmt::format("{} before offset {}: child {} is undefined or in the tree twice",
                                kChunkNode, in.file_offset(), i));
      }
      pending_.push_back({child, level - 1});
    }
    return {};
  }

  Result<> add_chunks(Cursor& in, uint64_t entries) {
    const Shape& chunk = sink_.layout().chunk_shape;
    uint64_t o = sink_.facts().offset_size;
    for (uint64_t i = 0; i < entries; ++i) {
      const uint8_t* key = in.bytes(key_size()).data();
      uint64_t address = in.integer(o);
      for (size_t d = 0; d < scaled_.size(); ++d) {
        uint64_t start = load_le<uint64_t>(key + 8 + 8 * d);
        // Most extents fit in 32 bits, and there a division costs a third.
        scaled_[d] = (start | chunk[d]) >> 32 == 0
                         ? static_cast<uint32_t>(start) / static_cast<uint32_t>(chunk[d])
                         : start / chunk[d];
        if (scaled_[d] * chunk[d] != start) {
          return fail(Code::kInvalidData,
                      fmt::format("{}: chunk before offset {} starts at {} along axis {}, which is "
                                  "no multiple of {}",
                                  kChunkNode, in.file_offset(), start, d, chunk[d]));
        }
      }
      if (o < 8 && address == (uint64_t{1} << (8 * o)) - 1) address = kUndefined;
      UPWELL_CHECK(sink_.add(scaled_, address, load_le<uint32_t>(key), load_le<uint32_t>(key + 4)));
    }
    return {};
  }

  ChunkSink sink_;
  Shape scaled_;
  std::vector<Node> pending_;
  std::unordered_set<uint64_t> visited_;
};

class Btree2ChunkWalk : public ChunkWalk {
 public:
  explicit Btree2ChunkWalk(ChunkSink sink)
      : sink_(std::move(sink)),
        scaled_(sink_.rank()),
        walk_(sink_.facts(), sink_.layout().address,
              sink_.layout().filtered ? Btree2Type::kChunkFiltered : Btree2Type::kChunk) {}

  Result<bool> advance(Window& window) override {
    if (sink_.nothing() || sink_.layout().address == kUndefined) return true;
    return walk_.advance(window, [this](ByteSpan record) { return add(record); });
  }
  std::unique_ptr<ChunkIndex> take() override { return sink_.take(); }

 private:
  Result<> add(ByteSpan record) {
    bool filtered = sink_.layout().filtered;
    size_t fixed = sink_.facts().offset_size + 8 * sink_.rank() + (filtered ? 4 : 0);
    size_t size_bytes = record.size() - std::min(fixed, record.size());
    if (record.size() < fixed || size_bytes > 8 || filtered != (size_bytes > 0)) {
      return fail(Code::kInvalidData,
                  fmt::format("version 2 B-tree at offset {}: chunk records of {} bytes",
                              sink_.facts().base_address + sink_.layout().address, record.size()));
    }
    Cursor in(record, 0, sink_.facts());
    uint64_t address = in.address();
    uint64_t length = filtered ? in.integer(size_bytes) : sink_.chunk_bytes();
    uint32_t mask = filtered ? in.u32() : 0;
    for (uint64_t& s : scaled_) s = in.u64();
    return sink_.add(scaled_, address, length, mask);
  }

  ChunkSink sink_;
  Shape scaled_;
  Btree2Walk walk_;
};

}  // namespace

std::unique_ptr<ChunkWalk> make_btree1_walk(ChunkSink sink) {
  return std::make_unique<Btree1Walk>(std::move(sink));
}
std::unique_ptr<ChunkWalk> make_btree2_walk(ChunkSink sink) {
  return std::make_unique<Btree2ChunkWalk>(std::move(sink));
}

}  // namespace upwell::format::hdf5
