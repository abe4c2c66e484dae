#include "refs/store/flat.hpp"

namespace upwell::refs::flat {

Writer::Writer() : out_(4, 0) {}

void Writer::align(size_t to) {
  while (out_.size() % to != 0) out_.push_back(0);
}

void Writer::point(size_t at, bool wide) {
  align(8);
  if (wide) out_.resize(out_.size() + 4, 0);  // for the count, which stands before the elements
  store_le<uint32_t>(out_.data() + at, static_cast<uint32_t>(out_.size() - at));
}

uint32_t Writer::table(std::span<const Slot> slots) {
  uint16_t fields = 0;
  for (const Slot& slot : slots) fields = std::max<uint16_t>(fields, slot.field + 1);
  // The vtable comes behind the table, so that a table is where point_here points.
  std::vector<uint16_t> vtable(2 + fields, 0);
  align(8);
  const size_t start = out_.size();
  if (start == 8) store_le<uint32_t>(out_.data(), static_cast<uint32_t>(start));  // the root
  out_.resize(start + 4, 0);
  for (const Slot& slot : slots) {
    align(slot.size);
    vtable[2 + slot.field] = static_cast<uint16_t>(out_.size() - start);
    for (uint8_t i = 0; i < slot.size; ++i)
      out_.push_back(static_cast<uint8_t>(slot.value >> (8 * i)));
  }
  vtable[0] = static_cast<uint16_t>(2 * vtable.size());
  vtable[1] = static_cast<uint16_t>(out_.size() - start);
  align(2);
  store_le<int32_t>(out_.data() + start,
                    static_cast<int32_t>(start) - static_cast<int32_t>(out_.size()));
  for (const uint16_t entry : vtable) {
    out_.push_back(static_cast<uint8_t>(entry));
    out_.push_back(static_cast<uint8_t>(entry >> 8));
  }
  return static_cast<uint32_t>(start);
}

void Writer::point_here(uint32_t table, uint16_t field, bool wide) {
  const auto vtable = table - static_cast<uint32_t>(load_le<int32_t>(out_.data() + table));
  point(table + load_le<uint16_t>(out_.data() + vtable + 4 + (size_t{2} * field)), wide);
}

void Writer::string(std::string_view text) {
  vector(text.size(), as_bytes(text));
  out_.push_back(0);
}

void Writer::vector(uint64_t count, ByteSpan bytes) {
  const size_t at = out_.size();
  out_.resize(at + 4);
  store_le<uint32_t>(out_.data() + at, static_cast<uint32_t>(count));
  out_.insert(out_.end(), bytes.begin(), bytes.end());
}

uint32_t Writer::offsets(uint32_t count) {
  const size_t at = out_.size();
  out_.resize(at + 4 + (size_t{4} * count), 0);
  store_le<uint32_t>(out_.data() + at, count);
  return static_cast<uint32_t>(at);
}

void Writer::point_element(uint32_t vector, uint32_t element) {
  point(vector + 4 + (size_t{4} * element), false);
}

ByteSpan Buffer::at(uint64_t at, uint64_t size) const {
  if (at > bytes.size() || size > bytes.size() - at) {
    bad = true;
    return {};
  }
  return bytes.subspan(at, size);
}

Vector::Vector(const Buffer& buffer, uint64_t position)
    : buffer_(&buffer), start_(position + 4), size_(buffer.load<uint32_t>(position)) {}

ByteSpan Vector::bytes(uint32_t element) const {
  if (buffer_ == nullptr || size_ == 0) return {};
  return buffer_->at(start_, uint64_t{size_} * element);
}

uint64_t Table::place(uint16_t field) const {
  const auto back = int64_t{buffer_->load<int32_t>(position_)};
  const int64_t vtable = static_cast<int64_t>(position_) - back;
  if (vtable < 0) {
    buffer_->bad = true;
    return 0;
  }
  const uint64_t slot = 4 + (uint64_t{2} * field);
  if (slot + 2 > buffer_->load<uint16_t>(static_cast<uint64_t>(vtable))) return 0;
  const auto offset = buffer_->load<uint16_t>(static_cast<uint64_t>(vtable) + slot);
  return offset == 0 ? 0 : position_ + offset;
}

uint64_t Table::target(uint16_t field) const {
  const uint64_t at = place(field);
  return at == 0 ? 0 : at + buffer_->load<uint32_t>(at);
}

std::optional<Table> Table::table(uint16_t field) const {
  const uint64_t at = target(field);
  if (at == 0) return {};
  return Table(*buffer_, at);
}

Vector Table::vector(uint16_t field) const {
  const uint64_t at = target(field);
  return at == 0 ? Vector() : Vector(*buffer_, at);
}

std::string_view Table::text(uint16_t field) const { return as_text(vector(field).bytes(1)); }

Table Table::element(const Vector& vector, uint32_t i) const {
  const uint64_t at = vector.start() + (uint64_t{4} * i);
  return {*buffer_, at + buffer_->load<uint32_t>(at)};
}

}  // namespace upwell::refs::flat
