#pragma once
// Version 2 B-trees (format specification III.A.2): a generic walk over the records.

#include <deque>
#include <functional>
#include <unordered_set>
#include <vector>

#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

/// Record types (III.A.2, table "B-tree type").
enum class Btree2Type : uint8_t {
  kTest = 0,
  kHugeIndirect = 1,
  kHugeIndirectFiltered = 2,
  kHugeDirect = 3,
  kHugeDirectFiltered = 4,
  kLinkName = 5,
  kLinkOrder = 6,
  kSharedMessage = 7,
  kAttributeName = 8,
  kAttributeOrder = 9,
  kChunk = 10,
  kChunkFiltered = 11,
};

struct Btree2Header {
  Btree2Type type = Btree2Type::kTest;
  uint32_t node_size = 0;
  uint16_t record_size = 0;
  uint16_t depth = 0;
  uint64_t root = kUndefined;  ///< relative to the base address; kUndefined: empty
  uint16_t root_records = 0;
  uint64_t total_records = 0;
};

/// BTHD at `address` (relative to the base address). Checksum verified.
Result<Btree2Header> read_btree2_header(Window& window, const FileFacts& facts, uint64_t address);

/// Walks a tree level by level; keeps what it has read, so that each round costs only its own
/// nodes.
class Btree2Walk {
 public:
  using Visit = std::function<Result<>(ByteSpan record)>;
  Btree2Walk(const FileFacts& facts, uint64_t address, Btree2Type expected)
      : facts_(facts), address_(address), expected_(expected) {}

  /// Calls `visit` once with each record (record_size bytes, valid as long as the window), in no
  /// order to rely on. True: done. False: all missing nodes were asked of the window.
  Result<bool> advance(Window& window, const Visit& visit);
  const Btree2Header& header() const { return header_; }

 private:
  struct Node {
    uint64_t address;
    uint64_t records;
    uint16_t level;
  };
  struct LevelSizes {
    uint64_t max_records = 0;
    uint64_t max_total = 0;   // records of a full subtree
    uint8_t total_bytes = 0;  // width of the "total records" field of a pointer to this level
  };
  Result<> start(Window& window);
  Result<> read_node(Window& window, const Node& node, const Visit& visit);

  FileFacts facts_;
  uint64_t address_;
  Btree2Type expected_;
  Btree2Header header_;
  std::vector<LevelSizes> levels_;
  uint8_t count_bytes_ = 0;
  std::vector<Node> pending_;
  std::unordered_set<uint64_t> visited_;
  uint64_t seen_records_ = 0;
  bool started_ = false;
};

/// All records at once. kNeedBytes while nodes are missing (all of a level are asked for together).
Result<std::vector<ByteSpan>> read_btree2(Window& window, const FileFacts& facts, uint64_t address,
                                          Btree2Type expected);

}  // namespace upwell::format::hdf5
