#include "format/hdf5/btree2.hpp"

#include <algorithm>

#include "format/hdf5/checksum.hpp"

namespace upwell::format::hdf5 {
namespace {

// Signature, version, type and checksum around the records of a node.
constexpr uint64_t kNodeOverhead = 4 + 1 + 1 + 4;
// 16 levels of the smallest nodes already address more than 2^64 records.
constexpr uint16_t kMaxBtree2Depth = 64;

}  // namespace

Result<Btree2Header> read_btree2_header(Window& window, const FileFacts& facts, uint64_t address) {
  constexpr std::string_view kWhat = "version 2 B-tree header";
  uint64_t size = 4 + 1 + 1 + 4 + 2 + 2 + 1 + 1 + facts.offset_size + 2 + facts.length_size + 4;
  UPWELL_TRY(ByteSpan bytes, span_at(window, facts, address, size, kWhat));
  uint64_t offset = facts.base_address + address;
  Cursor in(bytes, offset, facts);
  UPWELL_CHECK(expect_signature(in, "BTHD", kWhat));
  UPWELL_CHECK(verify_checksum(bytes, kWhat, offset));
  uint8_t version = in.u8();
  if (version != 0) {
    return fail(Code::kUnsupported,
                fmt::format("{} at offset {} has version {}", kWhat, offset, version));
  }
  Btree2Header h;
  h.type = static_cast<Btree2Type>(in.u8());
  h.node_size = in.u32();
  h.record_size = in.u16();
  h.depth = in.u16();
  in.skip(2);  // split and merge percents
  h.root = in.address();
  h.root_records = in.u16();
  h.total_records = in.length();
  UPWELL_CHECK(in.check(kWhat));
  if (h.record_size == 0 || h.node_size < kNodeOverhead + h.record_size ||
      h.node_size > window.object_size() || h.depth > kMaxBtree2Depth ||
      h.total_records > window.object_size() / h.record_size) {
    return fail(
        Code::kInvalidData,
        fmt::format("{} at offset {} makes no sense: node {} bytes, record {} bytes, depth {}, {} "
                    "records",
                    kWhat, offset, h.node_size, h.record_size, h.depth, h.total_records));
  }
  return h;
}

Result<> Btree2Walk::start(Window& window) {
  UPWELL_TRY(header_, read_btree2_header(window, facts_, address_));
  if (header_.type != expected_) {
    return fail(Code::kInvalidData,
                fmt::format("version 2 B-tree at offset {} has type {}, not {}",
                            facts_.base_address + address_, static_cast<int>(header_.type),
                            static_cast<int>(expected_)));
  }
  // Widths of the fields of a child pointer follow from how much a node of that level can hold
  // (III.A.2, "Version 2 B-tree Internal Node").
  uint64_t room = header_.node_size - kNodeOverhead;
  uint64_t leaf_max = room / header_.record_size;
  count_bytes_ = bytes_for(leaf_max);
  levels_.resize(header_.depth + 1);
  levels_[0] = {leaf_max, leaf_max, 0};
  for (uint16_t level = 1; level <= header_.depth; ++level) {
    const LevelSizes& below = levels_[level - 1];
    uint64_t pointer = facts_.offset_size + count_bytes_ + below.total_bytes;
    if (room < pointer + header_.record_size + pointer) {
      return fail(Code::kInvalidData,
                  fmt::format("version 2 B-tree at offset {}: nodes are too small for its depth",
                              facts_.base_address + address_));
    }
    LevelSizes& here = levels_[level];
    here.max_records = (room - pointer) / (header_.record_size + pointer);
    unsigned __int128 total =
        static_cast<unsigned __int128>(here.max_records + 1) * below.max_total + here.max_records;
    here.max_total = total > kUndefined ? kUndefined : static_cast<uint64_t>(total);
    here.total_bytes = bytes_for(here.max_total);
  }
  if (header_.root != kUndefined && header_.root_records > 0) {
    pending_.push_back({header_.root, header_.root_records, header_.depth});
    visited_.insert(header_.root);
  }
  started_ = true;
  return {};
}

Result<> Btree2Walk::read_node(Window& window, const Node& node, const Visit& visit) {
  std::string_view what =
      node.level == 0 ? "version 2 B-tree leaf" : "version 2 B-tree internal node";
  const LevelSizes& sizes = levels_[node.level];
  uint64_t offset = facts_.base_address + node.address;
  if (node.records > sizes.max_records) {
    return fail(Code::kInvalidData,
                fmt::format("{} at offset {}: {} records do not fit in {} bytes", what, offset,
                            node.records, header_.node_size));
  }
  // A node is checksummed right behind its content, not at the end of its block.
  uint64_t pointer =
      node.level == 0 ? 0 : facts_.offset_size + count_bytes_ + levels_[node.level - 1].total_bytes;
  uint64_t children = node.level == 0 ? 0 : node.records + 1;
  uint64_t used = kNodeOverhead + node.records * header_.record_size + children * pointer;
  UPWELL_TRY(ByteSpan bytes, span_at(window, facts_, node.address, used, what));
  Cursor in(bytes, offset, facts_);
  UPWELL_CHECK(expect_signature(in, node.level == 0 ? "BTLF" : "BTIN", what));
  UPWELL_CHECK(verify_checksum(bytes, what, offset));
  uint8_t version = in.u8();
  uint8_t type = in.u8();
  if (version != 0 || type != static_cast<uint8_t>(header_.type)) {
    return fail(Code::kInvalidData, fmt::format("{} at offset {} has version {} and type {}", what,
                                                offset, version, type));
  }
  seen_records_ += node.records;
  if (seen_records_ > header_.total_records) {
    return fail(Code::kInvalidData,
                fmt::format("version 2 B-tree at offset {} holds more than its {} records",
                            facts_.base_address + address_, header_.total_records));
  }
  for (uint64_t i = 0; i < node.records; ++i) {
    UPWELL_CHECK(visit(in.bytes(header_.record_size)));
  }
  for (uint64_t i = 0; i < children; ++i) {
    Node child{in.address(), in.integer(count_bytes_), static_cast<uint16_t>(node.level - 1)};
    in.skip(levels_[node.level - 1].total_bytes);
    if (child.address == kUndefined || !visited_.insert(child.address).second) {
      return fail(Code::kInvalidData,
                  fmt::format("{} at offset {}: child {} is undefined or in the tree twice", what,
                              offset, i));
    }
    pending_.push_back(child);
  }
  return in.check(what);
}

Result<bool> Btree2Walk::advance(Window& window, const Visit& visit) {
  if (!started_) {
    Result<> started = start(window);
    if (!started) {
      if (started.error().code == Code::kNeedBytes) return false;
      return fail(std::move(started).error());
    }
  }
  std::vector<Node> parked;
  while (!pending_.empty()) {
    Node node = pending_.back();
    pending_.pop_back();
    Result<> read = read_node(window, node, visit);
    if (read) continue;
    if (read.error().code != Code::kNeedBytes) return fail(std::move(read).error());
    parked.push_back(node);
  }
  pending_ = std::move(parked);
  return pending_.empty();
}

Result<std::vector<ByteSpan>> read_btree2(Window& window, const FileFacts& facts, uint64_t address,
                                          Btree2Type expected) {
  std::vector<ByteSpan> records;
  Btree2Walk walk(facts, address, expected);
  UPWELL_TRY(bool done, walk.advance(window, [&](ByteSpan record) -> Result<> {
    records.push_back(record);
    return {};
  }));
  if (!done) return fail(Code::kNeedBytes, "nodes of a version 2 B-tree");
  return records;
}

}  // namespace upwell::format::hdf5
