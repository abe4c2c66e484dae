#include "format/hdf5/netcdf_types.hpp"

#include <fmt/core.h>

#include <bit>

namespace upwell::format::hdf5 {
namespace {

/// What makes two types equal once both are in the machine's own form.
std::string native_text(const DataType& type) {
  std::string text = fmt::format("{}:", static_cast<int>(type.kind));
  switch (type.kind) {
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kBitfield:
      return text + std::to_string(std::bit_ceil(type.size));
    case Kind::kFloat:
      return text + std::to_string(std::bit_ceil(std::max(type.size, 4U)));
    case Kind::kString:
      return text +
             fmt::format("{},{},{}", type.size, static_cast<int>(type.padding), type.utf8 ? 1 : 0);
    case Kind::kCompound:
      for (const Member& member : type.members)
        text += fmt::format("{}\n{};", member.name, native_text(*member.type));
      return text;
    case Kind::kEnum:
      text += native_text(*type.base);
      for (const EnumValue& value : type.values) {
        text += fmt::format(";{}\n", value.name);
        bool big = type.base->order == ByteOrder::kBig;
        for (size_t i = 0; i < value.value.size(); ++i)
          text += fmt::format("{:02x}", value.value[big ? value.value.size() - 1 - i : i]);
      }
      return text;
    case Kind::kVlen:
      return text + native_text(*type.base);
    case Kind::kArray:
      for (uint64_t extent : type.dims) text += std::to_string(extent) + ",";
      return text + native_text(*type.base);
    default:
      return text + std::to_string(type.size) + type.tag;
  }
}

bool is_atomic(const DataType& type) {
  switch (type.kind) {
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kFloat:
    case Kind::kString:
    case Kind::kVlenString:
      return true;
    default:
      return false;
  }
}

}  // namespace

bool NetcdfTypes::is_known(const DataType& type) const {
  return is_atomic(type) || known_.contains(native_text(type));
}

bool NetcdfTypes::meet(const DataType& type) {
  if (type.kind == Kind::kReference || type.kind == Kind::kRegionReference) return false;
  if (is_known(type)) return true;
  known_.insert(native_text(type));
  switch (type.kind) {
    case Kind::kOpaque:
    case Kind::kEnum:
      return true;
    case Kind::kVlen:
      return is_known(*type.base);
    case Kind::kCompound:
      for (const Member& member : type.members) {
        const DataType& held =
            member.type->kind == Kind::kArray ? *member.type->base : *member.type;
        if (!is_known(held)) return false;
      }
      return true;
    default:
      return false;
  }
}

}  // namespace upwell::format::hdf5
