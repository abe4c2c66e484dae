// Names of data types in numpy, Zarr v2 and Zarr v3.

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

#include "cube/data_type.hpp"

namespace upwell {
namespace {

using Json = nlohmann::ordered_json;
constexpr int kMaxNesting = 16;
constexpr uint32_t kMaxItemSize = 1U << 30;

tl::unexpected<Error> no_numpy_form(const DataType& type) {
  return fail(Code::kUnsupported, describe(type) + " has no numpy form");
}

char order_char(const DataType& type) {
  if (type.size == 1 || type.kind == Kind::kString || type.kind == Kind::kOpaque) return '|';
  return type.order == ByteOrder::kBig ? '>' : '<';
}

Result<std::string> numpy_name(const DataType& type) {
  if (type.layout || type.order == ByteOrder::kVax) return no_numpy_form(type);
  auto sized = [&](char letter) -> Result<std::string> {
    return fmt::format("{}{}{}", order_char(type), letter, type.size);
  };
  auto power_of_two = [&](uint32_t low, uint32_t high) {
    return type.size >= low && type.size <= high && std::has_single_bit(type.size);
  };
  switch (type.kind) {
    case Kind::kInt:
      return power_of_two(1, 8) ? sized('i') : no_numpy_form(type);
    case Kind::kUint:
    case Kind::kBitfield:
      return power_of_two(1, 8) ? sized('u') : no_numpy_form(type);
    case Kind::kFloat:
      return power_of_two(2, 8) ? sized('f') : no_numpy_form(type);
    case Kind::kComplex:
      return power_of_two(8, 16) ? sized('c') : no_numpy_form(type);
    case Kind::kBool:
      return std::string("|b1");
    case Kind::kString:
      return sized('S');
    case Kind::kOpaque:
      return sized('V');
    case Kind::kUnicode:
      return fmt::format("{}U{}", order_char(type), type.size / 4);
    case Kind::kDatetime:
    case Kind::kTimedelta:
      return fmt::format("{}{}8[{}]", order_char(type), type.kind == Kind::kDatetime ? 'M' : 'm',
                         type.tag);
    case Kind::kVlenString:
      return std::string("|O");
    case Kind::kEnum:
      return numpy_name(*type.base);
    default:
      return no_numpy_form(type);
  }
}

Result<Json> numpy_form(const DataType& type);

/// Structured types with gaps get unnamed padding: Zarr v2 knows no offsets.
Result<Json> numpy_fields(const DataType& type) {
  Json fields = Json::array();
  uint32_t at = 0;
  int gaps = 0;
  auto pad_to = [&](uint32_t offset) {
    if (offset > at)
      fields.push_back({fmt::format("_pad{}", gaps++), fmt::format("|V{}", offset - at)});
    at = offset;
  };
  for (const Member& member : type.members) {
    if (member.offset < at) return no_numpy_form(type);
    pad_to(member.offset);
    const DataType* element = member.type.get();
    Json field = Json::array({member.name});
    if (element->kind == Kind::kArray) {
      UPWELL_TRY(Json base, numpy_form(*element->base));
      field.push_back(std::move(base));
      field.push_back(element->dims);
    } else {
      UPWELL_TRY(Json form, numpy_form(*element));
      field.push_back(std::move(form));
    }
    fields.push_back(std::move(field));
    at += element->size;
  }
  pad_to(type.size);
  return fields;
}

Result<Json> numpy_form(const DataType& type) {
  if (type.has_vlen() && type.kind != Kind::kVlenString) return no_numpy_form(type);
  if (type.kind == Kind::kCompound) return numpy_fields(type);
  UPWELL_TRY(std::string name, numpy_name(type));
  return Json(std::move(name));
}

tl::unexpected<Error> bad_dtype(std::string_view text) {
  return fail(Code::kInvalidData, fmt::format("unknown data type '{}'", text));
}

Result<DataType> parse_numpy_name(std::string_view text) {
  if (text.size() < 2) return bad_dtype(text);
  DataType type;
  size_t at = 0;
  if (text[0] == '<' || text[0] == '>' || text[0] == '|' || text[0] == '=') {
    if (text[0] == '>') type.order = ByteOrder::kBig;
    at = 1;
  }
  char letter = text[at++];
  if (letter == 'O') return DataType::vlen_string();
  uint32_t size = 0;
  auto [end, status] = std::from_chars(text.data() + at, text.data() + text.size(), size);
  std::string_view rest(end, static_cast<size_t>(text.data() + text.size() - end));
  if (status != std::errc() || size > kMaxItemSize) return bad_dtype(text);
  type.size = size;
  auto one_of = [&](std::initializer_list<uint32_t> sizes) {
    return rest.empty() && std::find(sizes.begin(), sizes.end(), size) != sizes.end();
  };
  switch (letter) {
    case 'i':
      type.kind = Kind::kInt;
      return one_of({1, 2, 4, 8}) ? Result<DataType>(type) : bad_dtype(text);
    case 'u':
      return one_of({1, 2, 4, 8}) ? Result<DataType>(type) : bad_dtype(text);
    case 'f':
      type.kind = Kind::kFloat;
      return one_of({2, 4, 8}) ? Result<DataType>(type) : bad_dtype(text);
    case 'c':
      type.kind = Kind::kComplex;
      return one_of({8, 16}) ? Result<DataType>(type) : bad_dtype(text);
    case 'b':
      type.kind = Kind::kBool;
      return one_of({1}) ? Result<DataType>(type) : bad_dtype(text);
    case 'S':
      type.kind = Kind::kString;
      return rest.empty() ? Result<DataType>(type) : bad_dtype(text);
    case 'V':
      type.kind = Kind::kOpaque;
      return rest.empty() ? Result<DataType>(type) : bad_dtype(text);
    case 'U':
      type.kind = Kind::kUnicode;
      if (!rest.empty() || size > kMaxItemSize / 4) return bad_dtype(text);
      type.size = size * 4;
      return type;
    case 'M':
    case 'm':
      if (size != 8 || rest.size() < 3 || rest.front() != '[' || rest.back() != ']')
        return bad_dtype(text);
      type.kind = letter == 'M' ? Kind::kDatetime : Kind::kTimedelta;
      type.tag = std::string(rest.substr(1, rest.size() - 2));
      return type;
    default:
      return bad_dtype(text);
  }
}

Result<DataType> parse_numpy_form(const Json& form, int depth);

Result<DataType> parse_field(const Json& field, int depth) {
  if (!field.is_array() || field.size() < 2 || field.size() > 3 || !field[0].is_string())
    return bad_dtype(field.dump());
  UPWELL_TRY(DataType element, parse_numpy_form(field[1], depth));
  if (field.size() == 2) return element;
  DataType block;
  block.kind = Kind::kArray;
  uint64_t size = element.size;
  Json dims = field[2].is_array() ? field[2] : Json::array({field[2]});
  for (const Json& n : dims) {
    if (!n.is_number_unsigned() || n.get<uint64_t>() > kMaxItemSize) return bad_dtype(field.dump());
    block.dims.push_back(n.get<uint64_t>());
    size *= block.dims.back();
    if (size > kMaxItemSize) return bad_dtype(field.dump());
  }
  block.size = static_cast<uint32_t>(size);
  block.base = std::make_shared<DataType>(std::move(element));
  return block;
}

Result<DataType> parse_numpy_form(const Json& form, int depth) {
  if (form.is_string()) return parse_numpy_name(form.get<std::string>());
  if (!form.is_array() || depth > kMaxNesting) return bad_dtype(form.dump());
  DataType type;
  type.kind = Kind::kCompound;
  uint64_t offset = 0;
  for (const Json& field : form) {
    UPWELL_TRY(DataType element, parse_field(field, depth + 1));
    uint32_t size = element.size;
    type.members.push_back({field[0].get<std::string>(), static_cast<uint32_t>(offset),
                            std::make_shared<DataType>(std::move(element))});
    offset += size;
    if (offset > kMaxItemSize) return bad_dtype(form.dump());
  }
  type.size = static_cast<uint32_t>(offset);
  return type;
}

struct Zarr3Name {
  const char* name;
  Kind kind;
  uint32_t size;
};
constexpr std::array<Zarr3Name, 14> kZarr3Names{{
    {"bool", Kind::kBool, 1},
    {"int8", Kind::kInt, 1},
    {"int16", Kind::kInt, 2},
    {"int32", Kind::kInt, 4},
    {"int64", Kind::kInt, 8},
    {"uint8", Kind::kUint, 1},
    {"uint16", Kind::kUint, 2},
    {"uint32", Kind::kUint, 4},
    {"uint64", Kind::kUint, 8},
    {"float16", Kind::kFloat, 2},
    {"float32", Kind::kFloat, 4},
    {"float64", Kind::kFloat, 8},
    {"complex64", Kind::kComplex, 8},
    {"complex128", Kind::kComplex, 16},
}};

}  // namespace

Result<std::string> to_numpy(const DataType& type) {
  UPWELL_TRY(Json form, numpy_form(type));
  return form.is_string() ? form.get<std::string>() : form.dump();
}

Result<DataType> from_numpy(const std::string& dtype) {
  if (dtype.empty() || dtype[0] != '[') return parse_numpy_name(dtype);
  Json form = Json::parse(dtype, nullptr, /*allow_exceptions=*/false);
  if (form.is_discarded()) return bad_dtype(dtype);
  return parse_numpy_form(form, 0);
}

Result<std::string> to_zarr3(const DataType& type) {
  if (type.kind == Kind::kVlenString) return std::string("string");
  if (type.kind == Kind::kEnum) return to_zarr3(*type.base);
  if (!type.layout && type.order != ByteOrder::kVax) {
    Kind kind = type.kind == Kind::kBitfield ? Kind::kUint : type.kind;
    for (const Zarr3Name& row : kZarr3Names) {
      if (row.kind == kind && row.size == type.size) return std::string(row.name);
    }
  }
  return fail(Code::kUnsupported, describe(type) + " has no Zarr v3 data type");
}

Result<DataType> from_zarr3(const std::string& name) {
  if (name == "string") return DataType::vlen_string();
  for (const Zarr3Name& row : kZarr3Names) {
    if (name != row.name) continue;
    DataType type;
    type.kind = row.kind;
    type.size = row.size;
    return type;
  }
  // "r16": 16 raw bits.
  unsigned bits = 0;
  auto [end, status] = std::from_chars(name.data() + 1, name.data() + name.size(), bits);
  if (name.size() > 1 && name[0] == 'r' && status == std::errc() &&
      end == name.data() + name.size() && bits > 0 && bits % 8 == 0) {
    DataType type;
    type.kind = Kind::kOpaque;
    type.size = bits / 8;
    return type;
  }
  return fail(Code::kUnsupported, fmt::format("Zarr v3 data type '{}' is not known", name));
}

}  // namespace upwell
