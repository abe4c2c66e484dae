#pragma once
// The bytes of one object that have arrived so far. Readers parse synchronously over it and do no
// I/O.

#include <map>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/byte_store.hpp"

namespace upwell::format {

/// A range that is not there yet ends the attempt with Code::kNeedBytes and is remembered; the
/// driver fetches all remembered ranges in one batch and runs the attempt again. So every
/// outstanding range of a round goes out together.
class Window {
 public:
  explicit Window(uint64_t object_size) : object_size_(object_size) {}

  /// From now on asks for at least `bytes` from each missing place on and half of that before it
  /// (three halves where places are few), in whole blocks of an eighth: structures that belong
  /// together lie together, and a round trip costs more than bytes.
  void read_ahead(uint64_t bytes) { ahead_ = bytes; }

  uint64_t object_size() const { return object_size_; }
  /// What is already there stays: spans given out remain valid.
  void add(uint64_t offset, const SharedBytes& bytes);
  /// Like add, but `bytes` take the place of what is there, and of what arrives later.
  void overlay(uint64_t offset, const SharedBytes& bytes);

  /// [offset, offset+length) as one span that stays valid as long as the window. kNeedBytes when it
  /// is not there yet; kInvalidData when it passes the end of the object.
  Result<ByteSpan> get(uint64_t offset, uint64_t length);
  /// Like get, but when the range is not there, `guess` bytes (cut at the end of the object) are
  /// asked for: for structures whose size is not known before their front is read.
  Result<ByteSpan> get(uint64_t offset, uint64_t length, uint64_t guess);
  /// Like get, but up to `length` bytes: what is left of the object if that is less.
  Result<ByteSpan> get_up_to(uint64_t offset, uint64_t length);
  bool has(uint64_t offset, uint64_t length) const;

  /// Ranges asked for since the last call, merged and sorted, without what is there.
  std::vector<io::Range> take_missing();
  /// Bytes held.
  uint64_t held() const { return held_; }

 private:
  ByteSpan join(uint64_t offset, uint64_t length);
  io::Range widened(io::Range asked, uint64_t before) const;

  uint64_t object_size_;
  uint64_t held_ = 0;
  uint64_t ahead_ = 0;
  std::map<uint64_t, SharedBytes> parts_;  // disjoint
  std::vector<SharedBytes> retired_;       // replaced by joined parts, but spans of them are out
  std::vector<io::Range> missing_;
};

}  // namespace upwell::format
