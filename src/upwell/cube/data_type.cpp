#include "cube/data_type.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace upwell {

bool Member::operator==(const Member& other) const {
  return name == other.name && offset == other.offset && *type == *other.type;
}

namespace {

template <typename T>
bool same_pointee(const std::shared_ptr<const T>& a, const std::shared_ptr<const T>& b) {
  if (a == b) return true;
  return a && b && *a == *b;
}

/// Byte order means nothing for one-byte elements and for text.
bool order_matters(const DataType& type) {
  switch (type.kind) {
    case Kind::kString:
    case Kind::kOpaque:
    case Kind::kBool:
    case Kind::kVlenString:
      return false;
    default:
      return type.size > 1;
  }
}

}  // namespace

bool DataType::operator==(const DataType& other) const {
  return kind == other.kind && size == other.size &&
         (order == other.order || !order_matters(*this)) &&
         (kind != Kind::kString || padding == other.padding) &&
         same_pointee(layout, other.layout) && same_pointee(base, other.base) &&
         dims == other.dims && members == other.members && values == other.values &&
         tag == other.tag;
}

bool DataType::has_vlen() const {
  if (kind == Kind::kVlenString || kind == Kind::kVlen) return true;
  if (kind == Kind::kArray) return base->has_vlen();
  return std::any_of(members.begin(), members.end(),
                     [](const Member& m) { return m.type->has_vlen(); });
}

DataType DataType::integer(uint32_t size, ByteOrder order) {
  DataType type;
  type.kind = Kind::kInt;
  type.size = size;
  type.order = order;
  return type;
}

DataType DataType::unsigned_integer(uint32_t size, ByteOrder order) {
  DataType type = integer(size, order);
  type.kind = Kind::kUint;
  return type;
}

DataType DataType::floating(uint32_t size, ByteOrder order) {
  DataType type = integer(size, order);
  type.kind = Kind::kFloat;
  return type;
}

DataType DataType::fixed_string(uint32_t size) {
  DataType type;
  type.kind = Kind::kString;
  type.size = size;
  return type;
}

DataType DataType::vlen_string() {
  DataType type;
  type.kind = Kind::kVlenString;
  type.size = 0;
  type.utf8 = true;
  return type;
}

namespace {

uint32_t packed_number_size(const DataType& type) {
  for (uint32_t size : {1U, 2U, 4U, 8U}) {
    if (type.size <= size) return size;
  }
  return type.size;
}

DataType memory_compound(const DataType& stored) {
  DataType type = stored;
  uint32_t offset = 0;
  for (Member& member : type.members) {
    auto packed = std::make_shared<DataType>(memory_type(*member.type));
    member.offset = offset;
    offset += packed->size;
    member.type = std::move(packed);
  }
  type.size = offset;
  return type;
}

DataType memory_enum(const DataType& stored) {
  DataType type = stored;
  auto base = std::make_shared<DataType>(memory_type(*stored.base));
  type.size = base->size;
  bool swap = stored.base->order == ByteOrder::kBig && stored.base->size > 1;
  for (EnumValue& value : type.values) {
    if (swap) std::reverse(value.value.begin(), value.value.end());
  }
  type.base = std::move(base);
  return type;
}

}  // namespace

DataType memory_type(const DataType& stored) {
  DataType type = stored;
  type.order = ByteOrder::kLittle;
  switch (stored.kind) {
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kBitfield:
      // An odd size (3 bytes) or a value that fills only part of its bytes widens to a plain one.
      type.size = packed_number_size(stored);
      type.layout = nullptr;
      break;
    case Kind::kFloat:
      type.size =
          stored.layout
              ? (stored.layout->exponent_size <= 8 && stored.layout->mantissa_size <= 23 ? 4 : 8)
              : stored.size;
      type.layout = nullptr;
      break;
    case Kind::kVlenString:
      type.size = sizeof(VlenHandle);
      break;
    case Kind::kVlen:
      type.size = sizeof(VlenHandle);
      type.base = std::make_shared<DataType>(memory_type(*stored.base));
      break;
    case Kind::kArray: {
      auto base = std::make_shared<DataType>(memory_type(*stored.base));
      uint64_t size = base->size;
      for (uint64_t n : stored.dims) size *= n;
      type.size = static_cast<uint32_t>(size);
      type.base = std::move(base);
      break;
    }
    case Kind::kCompound:
      return memory_compound(type);
    case Kind::kEnum:
      return memory_enum(type);
    default:
      break;
  }
  return type;
}

std::string describe(const DataType& type) {
  std::string order = type.order == ByteOrder::kBig && order_matters(type) ? " (big endian)" : "";
  if (type.order == ByteOrder::kVax) order = " (VAX)";
  unsigned bits =
      type.layout && type.layout->precision > 0 ? type.layout->precision : type.size * 8;
  switch (type.kind) {
    case Kind::kInt:
      return fmt::format("int{}{}", bits, order);
    case Kind::kUint:
      return fmt::format("uint{}{}", bits, order);
    case Kind::kFloat:
      return fmt::format("float{}{}", bits, order);
    case Kind::kComplex:
      return fmt::format("complex{}{}", bits, order);
    case Kind::kBool:
      return "bool";
    case Kind::kBitfield:
      return fmt::format("bitfield{}{}", bits, order);
    case Kind::kString:
      return fmt::format("char[{}]", type.size);
    case Kind::kUnicode:
      return fmt::format("unicode[{}]{}", type.size / 4, order);
    case Kind::kOpaque:
      return type.tag.empty() ? fmt::format("opaque[{}]", type.size)
                              : fmt::format("opaque[{}] '{}'", type.size, type.tag);
    case Kind::kDatetime:
      return fmt::format("datetime64[{}]{}", type.tag, order);
    case Kind::kTimedelta:
      return fmt::format("timedelta64[{}]{}", type.tag, order);
    case Kind::kVlenString:
      return "string";
    case Kind::kVlen:
      return fmt::format("vlen{{{}}}", describe(*type.base));
    case Kind::kArray:
      return fmt::format("{}[{}]", describe(*type.base), fmt::join(type.dims, ", "));
    case Kind::kCompound: {
      std::string text;
      for (const Member& m : type.members)
        text += (text.empty() ? "" : ", ") + m.name + ": " + describe(*m.type);
      return "compound{" + text + "}";
    }
    case Kind::kEnum: {
      std::string text;
      for (const EnumValue& v : type.values) text += (text.empty() ? "" : ", ") + v.name;
      return fmt::format("enum {}{{{}}}", describe(*type.base), text);
    }
    case Kind::kReference:
      return "object reference";
    case Kind::kRegionReference:
      return "region reference";
    case Kind::kTime:
      return fmt::format("time{}", bits);
  }
  return "?";
}

}  // namespace upwell
