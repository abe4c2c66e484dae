#pragma once
// Little-endian, bounds-checked reading of HDF5 structures.

#include <fmt/core.h>

#include "format/window.hpp"

namespace upwell::format::hdf5 {

/// HDF5's "undefined address" (all ones) whatever the size of offsets is.
inline constexpr uint64_t kUndefined = ~uint64_t{0};

/// What the superblock says and every structure needs.
struct FileFacts {
  uint8_t offset_size = 8;  ///< bytes of an address: 2, 4, 8, (16, 32 are refused)
  uint8_t length_size = 8;  ///< bytes of a length
  uint64_t base_address =
      0;                     ///< added to every address: a user block may lie before the superblock
  uint64_t end_address = 0;  ///< end-of-file address, relative to base
  uint16_t group_leaf_k = 4;
  uint16_t group_internal_k = 16;
  uint16_t chunk_internal_k = 32;
};

/// Reads a span from front to back. Running over the end sets a flag and gives zeros from then on,
/// so that a structure is read without a branch per field and checked once with `check`.
class Cursor {
 public:
  Cursor(ByteSpan bytes, uint64_t file_offset, const FileFacts& facts)
      : bytes_(bytes), file_offset_(file_offset), facts_(&facts) {}

  uint8_t u8() { return static_cast<uint8_t>(integer(1)); }
  uint16_t u16() { return static_cast<uint16_t>(integer(2)); }
  uint32_t u32() { return static_cast<uint32_t>(integer(4)); }
  uint64_t u64() { return integer(8); }
  /// `size` bytes, 0 to 8.
  uint64_t integer(size_t size) {
    ByteSpan b = bytes(size);
    uint64_t v = 0;
    for (size_t i = b.size(); i-- > 0;) v = v << 8 | b[i];
    return v;
  }
  /// An address in the file's size; all ones becomes kUndefined.
  uint64_t address() {
    uint64_t v = integer(facts_->offset_size);
    uint64_t ones =
        facts_->offset_size >= 8 ? kUndefined : (uint64_t{1} << (8 * facts_->offset_size)) - 1;
    return v == ones ? kUndefined : v;
  }
  uint64_t length() { return integer(facts_->length_size); }
  ByteSpan bytes(size_t n) {
    if (n > left()) {
      overrun_ = true;
      position_ = bytes_.size();
      return {};
    }
    ByteSpan b = bytes_.subspan(position_, n);
    position_ += n;
    return b;
  }
  void skip(size_t n) { bytes(n); }

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }
  uint64_t file_offset() const { return file_offset_ + position_; }
  const FileFacts& facts() const { return *facts_; }
  bool ok() const { return !overrun_; }
  Result<> check(std::string_view what) const {
    if (!overrun_) return {};
    return fail(Code::kInvalidData,
                fmt::format("{} at offset {} is cut short", what, file_offset_));
  }

 private:
  ByteSpan bytes_;
  uint64_t file_offset_;
  const FileFacts* facts_;
  size_t position_ = 0;
  bool overrun_ = false;
};

/// [address, address + length) of the file, `address` relative to the base address. kInvalidData
/// naming `what` when it is undefined or passes the end.
inline Result<ByteSpan> span_at(Window& window, const FileFacts& facts, uint64_t address,
                                uint64_t length, std::string_view what) {
  uint64_t size = window.object_size();
  if (address == kUndefined || address > size || facts.base_address > size - address ||
      length > size - address - facts.base_address) {
    return fail(Code::kInvalidData,
                address == kUndefined
                    ? fmt::format("{} has no address", what)
                    : fmt::format("{} at offset {} ({} bytes) passes the end of the object ({})",
                                  what, facts.base_address + address, length, size));
  }
  return window.get(facts.base_address + address, length);
}

/// Reads a four-byte signature. kInvalidData naming `what` and the offset when it is another.
inline Result<> expect_signature(Cursor& cursor, std::string_view signature,
                                 std::string_view what) {
  uint64_t at = cursor.file_offset();
  if (as_text(cursor.bytes(signature.size())) == signature) return {};
  return fail(Code::kInvalidData,
              fmt::format("{} at offset {} has no signature {}", what, at, signature));
}

/// Bytes needed to hold `value` (1 for 0).
inline uint8_t bytes_for(uint64_t value) {
  uint8_t n = 1;
  while (value >>= 8) ++n;
  return n;
}

}  // namespace upwell::format::hdf5
