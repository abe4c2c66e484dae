#include "format/hdf5/object_header.hpp"

#include <algorithm>

#include "format/hdf5/checksum.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr uint64_t kHeaderGuess = 1024;
constexpr uint16_t kLastKnownMessage = 0x18;

}  // namespace

const Message* ObjectHeader::find(uint16_t type) const {
  auto found = std::find_if(messages_.begin(), messages_.end(),
                            [type](const Message& m) { return m.type == type; });
  return found == messages_.end() ? nullptr : &*found;
}

const Message* ObjectHeader::find_early(uint16_t type) const {
  for (const Block& block : blocks_)
    for (const Message& message : block.messages)
      if (message.type == type) return &message;
  return nullptr;
}

Result<> ObjectHeader::read(Window& window, const FileFacts& facts) {
  if (done_) return {};
  if (blocks_.empty()) UPWELL_CHECK(start(window, facts));
  std::optional<Error> need;
  // Blocks grow while they are parsed: each may hold continuations.
  for (size_t i = 0; i < blocks_.size(); ++i) {
    if (blocks_[i].parsed) continue;
    auto parsed = parse_block(window, facts, i);
    if (parsed) continue;
    if (parsed.error().code != Code::kNeedBytes) return parsed;
    need = std::move(parsed).error();
  }
  if (need) return fail(std::move(*need));
  for (Block& block : blocks_)
    messages_.insert(messages_.end(), block.messages.begin(), block.messages.end());
  done_ = true;
  return {};
}

Result<> ObjectHeader::start(Window& window, const FileFacts& facts) {
  if (address_ == kUndefined || address_ > window.object_size() - facts.base_address)
    return fail(Code::kInvalidData,
                fmt::format("object header address {} lies outside the file", address_));
  uint64_t at = facts.base_address + address_;
  UPWELL_TRY(ByteSpan front, window.get(at, 6, kHeaderGuess));
  if (as_text(front.first(4)) == "OHDR") return start_version_2(window, facts, at);
  if (front[0] == 1) return start_version_1(window, facts, at);
  return fail(Code::kInvalidData, fmt::format("no object header at offset {}", at));
}

Result<> ObjectHeader::start_version_1(Window& window, const FileFacts& facts, uint64_t at) {
  UPWELL_TRY(ByteSpan front, window.get(at, 16, kHeaderGuess));
  Cursor in(front, at, facts);
  version_ = in.u8();
  in.skip(1 + 2 + 4);
  uint64_t length = in.u32();
  return add_block(at + 16, length, true);
}

Result<> ObjectHeader::start_version_2(Window& window, const FileFacts& facts, uint64_t at) {
  UPWELL_TRY(ByteSpan front, window.get(at, 6, kHeaderGuess));
  version_ = front[4];
  uint8_t flags = front[5];
  if (version_ != 2)
    return fail(Code::kUnsupported,
                fmt::format("object header at offset {} has version {}", at, version_));
  size_t prefix = 6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0) + (size_t{1} << (flags & 3));
  UPWELL_TRY(ByteSpan whole, window.get(at, prefix, kHeaderGuess));
  Cursor in(whole, at, facts);
  in.skip(prefix - (size_t{1} << (flags & 3)));
  uint64_t length = in.integer(size_t{1} << (flags & 3));
  tracks_order_ = flags & 0x04;
  if (length > window.object_size())
    return fail(Code::kInvalidData,
                fmt::format("object header at offset {} claims {} bytes", at, length));
  // The block with its prefix and checksum: the checksum covers both.
  return add_block(at, prefix + length + 4, true);
}

Result<> ObjectHeader::add_block(uint64_t offset, uint64_t length, bool first) {
  if (length > most_)
    return fail(Code::kInvalidData,
                fmt::format("object header at offset {} is longer than is read along", address_));
  most_ -= length;
  blocks_.push_back({offset, length, first});
  return {};
}

Result<> ObjectHeader::parse_block(Window& window, const FileFacts& facts, size_t index) {
  uint64_t offset = blocks_[index].offset;
  UPWELL_TRY(ByteSpan bytes, window.get(offset, blocks_[index].length));
  blocks_[index].parsed = true;
  size_ += bytes.size();
  // Blocks never overlap in a sound file, so they cannot sum up to more than it holds.
  if (size_ > window.object_size())
    return fail(Code::kInvalidData, fmt::format("object header at offset {}: continuations overlap",
                                                facts.base_address + address_));
  Cursor in(bytes, offset, facts);
  size_t end = bytes.size();
  size_t head = 8;
  if (version_ == 2) {
    UPWELL_CHECK(
        verify_checksum(bytes, blocks_[index].first ? "object header" : "continuation", offset));
    end -= 4;
    head = tracks_order_ ? 6 : 4;
    if (blocks_[index].first) {
      uint8_t flags = bytes[5];
      in.skip(6 + (flags & 0x20 ? 16 : 0) + (flags & 0x10 ? 4 : 0) + (size_t{1} << (flags & 3)));
    } else if (as_text(in.bytes(4)) != "OCHK") {
      return fail(Code::kInvalidData, fmt::format("no continuation block at offset {}", offset));
    }
  }
  while (in.position() + head <= end) {
    Message message;
    uint8_t flags = 0;
    size_t length = 0;
    if (version_ == 1) {
      message.type = in.u16();
      length = in.u16();
      flags = in.u8();
      in.skip(3);
    } else {
      message.type = in.u8();
      length = in.u16();
      flags = in.u8();
      if (tracks_order_) message.creation_order = in.u16();
    }
    message.offset = in.file_offset();
    if (length > end - in.position())
      return fail(Code::kInvalidData,
                  fmt::format("message of type {:#04x} at offset {} claims {} bytes, its block has "
                              "{} left",
                              message.type, message.offset, length, end - in.position()));
    message.body = in.bytes(length);
    UPWELL_CHECK(take_message(facts, message, flags, index));
  }
  return {};
}

Result<> ObjectHeader::take_message(const FileFacts& facts, Message message, uint8_t flags,
                                    size_t index) {
  if (message.type == kMsgNil) return {};
  if (message.type > kLastKnownMessage) {
    if (flags & 0x80)
      return fail(
          Code::kUnsupported,
          fmt::format("message of unknown type {:#04x} at offset {} that must be understood",
                      message.type, message.offset));
    return {};
  }
  if (message.type == kMsgContinuation) {
    Cursor in(message.body, message.offset, facts);
    uint64_t address = in.address();
    uint64_t length = in.length();
    UPWELL_CHECK(in.check("continuation message"));
    if (address == kUndefined || length < (version_ == 2 ? 8 : 0) ||
        address > kUndefined - facts.base_address)
      return fail(Code::kInvalidData,
                  fmt::format("continuation message at offset {} points nowhere", message.offset));
    uint64_t at = facts.base_address + address;
    if (!seen_.insert(at).second)
      return fail(Code::kInvalidData,
                  fmt::format("continuation message at offset {} points back to offset {}",
                              message.offset, at));
    return add_block(at, length, false);
  }
  if (message.type == kMsgReferenceCount && version_ == 1)
    return fail(Code::kInvalidData,
                fmt::format("reference count message at offset {} in a version 1 object header",
                            message.offset));
  message.shared = flags & 0x02;
  blocks_[index].messages.push_back(message);
  return {};
}

}  // namespace upwell::format::hdf5
