#pragma once
// FlatBuffers without generated code: what the metadata of Arrow IPC files needs
// (https://flatbuffers.dev/internals). Internal to refs/store.

#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::refs::flat {

/// One field of a table: a number of `size` bytes, or with kOffset a place to be pointed at a child
/// that is written later.
struct Slot {
  uint16_t field = 0;
  uint8_t size = 0;
  uint64_t value = 0;
};
inline constexpr uint64_t kOffset = ~uint64_t{0};

/// Writes a buffer forwards: parents first, children after them.
class Writer {
 public:
  Writer();  ///< leaves room for the offset of the root, which is the first table

  /// Position of the table. Slots lie at multiples of their size.
  uint32_t table(std::span<const Slot> slots);
  /// Points the offset in `field` of a table at what is written next. `wide`: that is a vector of
  /// elements that are to lie at multiples of 8.
  void point_here(uint32_t table, uint16_t field, bool wide = false);
  void string(std::string_view text);
  /// `bytes`: the elements.
  void vector(uint64_t count, ByteSpan bytes);
  /// A vector of tables; point each with point_element.
  uint32_t offsets(uint32_t count);
  void point_element(uint32_t vector, uint32_t element);

  const Bytes& bytes() const { return out_; }

 private:
  void align(size_t to);
  void point(size_t at, bool wide);
  Bytes out_;
};

/// A buffer to read. Whatever lies outside of it makes it bad and reads as zero or nothing: look at
/// `bad` when done.
struct Buffer {
  ByteSpan bytes;
  mutable bool bad = false;

  /// The `size` bytes at `at`; nothing when they are not there.
  ByteSpan at(uint64_t at, uint64_t size) const;
  template <typename T>
  T load(uint64_t position) const {
    ByteSpan span = at(position, sizeof(T));
    return span.empty() ? T{} : load_le<T>(span.data());
  }
};

class Vector {
 public:
  Vector() = default;
  Vector(const Buffer& buffer, uint64_t position);
  uint32_t size() const { return size_; }
  /// Elements of `element` bytes each.
  ByteSpan bytes(uint32_t element) const;
  uint64_t start() const { return start_; }

 private:
  const Buffer* buffer_ = nullptr;
  uint64_t start_ = 0;
  uint32_t size_ = 0;
};

class Table {
 public:
  Table(const Buffer& buffer, uint64_t position) : buffer_(&buffer), position_(position) {}
  static Table root(const Buffer& buffer) { return {buffer, buffer.load<uint32_t>(0)}; }

  template <typename T>
  T number(uint16_t field, T otherwise = {}) const {
    const uint64_t at = place(field);
    return at == 0 ? otherwise : buffer_->load<T>(at);
  }
  bool has(uint16_t field) const { return place(field) != 0; }
  std::optional<Table> table(uint16_t field) const;
  Vector vector(uint16_t field) const;
  std::string_view text(uint16_t field) const;
  /// Element i of a vector of tables.
  Table element(const Vector& vector, uint32_t i) const;

 private:
  uint64_t place(uint16_t field) const;   // of the field's value; 0: not there
  uint64_t target(uint16_t field) const;  // of the field's offset; 0: not there
  const Buffer* buffer_;
  uint64_t position_;
};

}  // namespace upwell::refs::flat
