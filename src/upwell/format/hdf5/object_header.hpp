#pragma once
// Object headers, versions 1 and 2 (format specification IV.A.1).

#include <unordered_set>
#include <vector>

#include "format/hdf5/cursor.hpp"

namespace upwell::format::hdf5 {

/// Message types (IV.A.2).
enum MessageType : uint16_t {
  kMsgNil = 0x00,
  kMsgDataspace = 0x01,
  kMsgLinkInfo = 0x02,
  kMsgDatatype = 0x03,
  kMsgFillOld = 0x04,
  kMsgFill = 0x05,
  kMsgLink = 0x06,
  kMsgExternalFiles = 0x07,
  kMsgLayout = 0x08,
  kMsgGroupInfo = 0x0a,
  kMsgFilters = 0x0b,
  kMsgAttribute = 0x0c,
  kMsgSharedTable = 0x0f,
  kMsgContinuation = 0x10,
  kMsgSymbolTable = 0x11,
  kMsgBtreeK = 0x13,
  kMsgDriverInfo = 0x14,
  kMsgAttributeInfo = 0x15,
  kMsgReferenceCount = 0x16,
  kMsgFreeSpaceInfo = 0x17,
  kMsgCacheImage = 0x18,
};

/// One message as it lies in the header: maybe only a pointer to a shared one.
struct Message {
  uint16_t type = kMsgNil;
  bool shared = false;          ///< body says where the real one is
  uint32_t creation_order = 0;  ///< where the header tracks it
  ByteSpan body;                ///< valid as long as the window
  uint64_t offset = 0;          ///< of body in the object
};

/// Reads one header with all its continuations; keeps what it has read between rounds.
class ObjectHeader {
 public:
  /// `most`: bytes of all its blocks; one that says it has more is kInvalidData before they are
  /// asked for.
  explicit ObjectHeader(uint64_t address, uint64_t most = UINT64_MAX)
      : address_(address), most_(most) {}

  /// Completes the header, or kNeedBytes (all blocks that are missing have been asked for).
  Result<> read(Window& window, const FileFacts& facts);

  uint64_t address() const { return address_; }
  bool done() const { return done_; }
  const std::vector<Message>& messages() const { return messages_; }
  /// The first message of this type; null when there is none.
  const Message* find(uint16_t type) const;
  /// Of a header that is not done: the same among the blocks that are there.
  const Message* find_early(uint16_t type) const;
  bool tracks_order() const { return tracks_order_; }
  /// Bytes of all blocks read: for the reader's budget.
  uint64_t size() const { return size_; }

 private:
  struct Block {
    uint64_t offset;
    uint64_t length;
    bool first;
    bool parsed = false;
    std::vector<Message> messages = {};
  };
  Result<> start(Window& window, const FileFacts& facts);
  Result<> start_version_1(Window& window, const FileFacts& facts, uint64_t at);
  Result<> start_version_2(Window& window, const FileFacts& facts, uint64_t at);
  Result<> add_block(uint64_t offset, uint64_t length, bool first);
  Result<> parse_block(Window& window, const FileFacts& facts, size_t index);
  Result<> take_message(const FileFacts& facts, Message message, uint8_t flags, size_t index);

  uint64_t address_;
  uint64_t most_;  // what is left of it
  uint8_t version_ = 0;
  bool tracks_order_ = false;
  bool done_ = false;
  uint64_t size_ = 0;
  std::vector<Block> blocks_;
  std::unordered_set<uint64_t> seen_;  // offsets of continuations
  std::vector<Message> messages_;
};

}  // namespace upwell::format::hdf5
