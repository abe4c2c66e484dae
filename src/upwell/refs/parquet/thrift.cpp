#include "refs/parquet/thrift.hpp"

#include <fmt/format.h>

namespace upwell::parquet {
namespace {

constexpr int kMaxThriftDepth = 24;

uint64_t to_zigzag(int64_t v) {
  return (static_cast<uint64_t>(v) << 1) ^ static_cast<uint64_t>(v >> 63);
}
int64_t from_zigzag(uint64_t v) {
  return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
}

}  // namespace

Result<uint8_t> ThriftReader::byte() {
  if (at_ >= bytes_.size()) return fail(Code::kInvalidData, "metadata ends within a field");
  return bytes_[at_++];
}

Result<uint64_t> ThriftReader::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    UPWELL_TRY(const uint8_t b, byte());
    value |= static_cast<uint64_t>(b & 127) << shift;
    if (b < 128) return value;
  }
  return fail(Code::kInvalidData, fmt::format("metadata: number too long at byte {}", at_));
}

Result<Field> ThriftReader::field(int16_t& last) {
  UPWELL_TRY(const uint8_t head, byte());
  Field field{static_cast<Wire>(head & 15), 0};
  if (head == 0) return field;
  if (head >> 4 != 0) {
    field.id = static_cast<int16_t>(last + (head >> 4));
  } else {
    UPWELL_TRY(const uint64_t id, varint());
    field.id = static_cast<int16_t>(from_zigzag(id));
  }
  last = field.id;
  return field;
}

Result<int64_t> ThriftReader::integer(Wire wire) {
  if (wire == Wire::kByte) {
    UPWELL_TRY(const uint8_t b, byte());
    return static_cast<int8_t>(b);
  }
  if (wire != Wire::kI16 && wire != Wire::kI32 && wire != Wire::kI64) {
    return fail(Code::kInvalidData, fmt::format("metadata: not an integer at byte {}", at_));
  }
  UPWELL_TRY(const uint64_t raw, varint());
  const int64_t value = from_zigzag(raw);
  if (wire == Wire::kI32 && value != static_cast<int32_t>(value)) {
    return fail(Code::kInvalidData, fmt::format("metadata: integer too large at byte {}", at_));
  }
  return value;
}

Result<std::string_view> ThriftReader::binary() {
  UPWELL_TRY(const uint64_t size, varint());
  if (size > bytes_.size() - at_) {
    return fail(Code::kInvalidData, fmt::format("metadata: text of {} bytes at byte {} passes the "
                                                "end",
                                                size, at_));
  }
  const std::string_view text = as_text(bytes_.subspan(at_, size));
  at_ += size;
  return text;
}

Result<ListHead> ThriftReader::list() {
  UPWELL_TRY(const uint8_t head, byte());
  uint64_t size = head >> 4;
  if (size == 15) {
    UPWELL_TRY(size, varint());
  }
  if (size > bytes_.size() - at_) {
    return fail(Code::kInvalidData,
                fmt::format("metadata: list of {} at byte {} passes the end", size, at_));
  }
  return ListHead{static_cast<Wire>(head & 15), static_cast<uint32_t>(size)};
}

Result<> ThriftReader::skip(Wire wire, int depth) {
  if (depth > kMaxThriftDepth) return fail(Code::kInvalidData, "metadata is nested too deep");
  switch (wire) {
    case Wire::kTrue:
    case Wire::kFalse:
      return {};
    case Wire::kByte:
    case Wire::kI16:
    case Wire::kI32:
    case Wire::kI64:
      UPWELL_CHECK(integer(wire == Wire::kI32 ? Wire::kI64 : wire));
      return {};
    case Wire::kDouble:
      if (bytes_.size() - at_ < 8) return fail(Code::kInvalidData, "metadata ends within a field");
      at_ += 8;
      return {};
    case Wire::kBinary:
      UPWELL_CHECK(binary());
      return {};
    case Wire::kList:
    case Wire::kSet: {
      UPWELL_TRY(const ListHead head, list());
      const bool flags = head.wire == Wire::kTrue || head.wire == Wire::kFalse;
      for (uint32_t i = 0; i < head.size; ++i) {
        // Booleans of a list take a byte each, those of a field none.
        UPWELL_CHECK(skip(flags ? Wire::kByte : head.wire, depth + 1));
      }
      return {};
    }
    case Wire::kStruct: {
      int16_t last = 0;
      while (true) {
        UPWELL_TRY(const Field inner, field(last));
        if (inner.wire == Wire::kStop) return {};
        UPWELL_CHECK(skip(inner.wire, depth + 1));
      }
    }
    default:
      return fail(Code::kInvalidData, fmt::format("metadata: unknown field type {} at byte {}",
                                                  static_cast<int>(wire), at_));
  }
}

void ThriftWriter::varint(uint64_t value) {
  while (value >= 128) {
    out_.push_back(static_cast<uint8_t>(value | 128));
    value >>= 7;
  }
  out_.push_back(static_cast<uint8_t>(value));
}

void ThriftWriter::header(int16_t id, Wire wire) {
  const int delta = id - last_.back();
  last_.back() = id;
  if (delta > 0 && delta < 16) {
    out_.push_back(static_cast<uint8_t>(delta << 4 | static_cast<int>(wire)));
    return;
  }
  out_.push_back(static_cast<uint8_t>(wire));
  varint(to_zigzag(id));
}

void ThriftWriter::end_struct() {
  out_.push_back(0);
  last_.pop_back();
}

void ThriftWriter::i32(int16_t id, int32_t value) {
  header(id, Wire::kI32);
  varint(to_zigzag(value));
}

void ThriftWriter::i64(int16_t id, int64_t value) {
  header(id, Wire::kI64);
  varint(to_zigzag(value));
}

void ThriftWriter::binary(int16_t id, std::string_view value) {
  header(id, Wire::kBinary);
  element_binary(value);
}

void ThriftWriter::boolean(int16_t id, bool value) {
  header(id, value ? Wire::kTrue : Wire::kFalse);
}

void ThriftWriter::struct_field(int16_t id) {
  header(id, Wire::kStruct);
  begin_struct();
}

void ThriftWriter::list_field(int16_t id, Wire element, uint32_t size) {
  header(id, Wire::kList);
  if (size < 15) {
    out_.push_back(static_cast<uint8_t>(size << 4 | static_cast<uint32_t>(element)));
    return;
  }
  out_.push_back(static_cast<uint8_t>(0xF0 | static_cast<uint32_t>(element)));
  varint(size);
}

void ThriftWriter::element_i32(int32_t value) { varint(to_zigzag(value)); }

void ThriftWriter::element_binary(std::string_view value) {
  varint(value.size());
  out_.insert(out_.end(), value.begin(), value.end());
}

}  // namespace upwell::parquet
