#include "refs/zarr_values.hpp"

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "cube/half.hpp"
#include "refs/base64.hpp"

namespace upwell::refs {
namespace {

using ValueJson = nlohmann::ordered_json;

tl::unexpected<Error> bad_fill(const DataType& type, std::string_view json) {
  return fail(Code::kInvalidData, fmt::format("fill_value {} does not fit data type {}",
                                              json.substr(0, 80), describe(type)));
}

/// Length of the valid UTF-8 sequence at `text[i]`, 0 when there is none.
size_t utf8_length(std::string_view text, size_t i) {
  const auto byte = [&](size_t k) { return static_cast<uint8_t>(text[k]); };
  const uint8_t lead = byte(i);
  if (lead < 0x80) return 1;
  size_t n = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || i + n > text.size()) return 0;
  for (size_t k = 1; k < n; ++k) {
    if ((byte(i + k) & 0xC0) != 0x80) return 0;
  }
  if (lead == 0xE0 && byte(i + 1) < 0xA0) return 0;  // overlong
  if (lead == 0xED && byte(i + 1) > 0x9F) return 0;  // surrogate
  if (lead == 0xF0 && byte(i + 1) < 0x90) return 0;  // overlong
  if (lead == 0xF4 && byte(i + 1) > 0x8F) return 0;  // beyond U+10FFFF
  return n;
}

std::string to_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const size_t n = utf8_length(text, i);
    if (n == 0) {
      std::string latin;
      for (const char c : text) {
        const auto u = static_cast<uint8_t>(c);
        if (u < 0x80) {
          latin += c;
        } else {
          latin += static_cast<char>(0xC0 | u >> 6);
          latin += static_cast<char>(0x80 | (u & 63));
        }
      }
      return latin;
    }
    i += n;
  }
  return std::string(text);
}

void append_utf8(std::string& out, uint32_t c) {
  if (c < 0x80) {
    out += static_cast<char>(c);
  } else if (c < 0x800) {
    out += static_cast<char>(0xC0 | c >> 6);
    out += static_cast<char>(0x80 | (c & 63));
  } else if (c < 0x10000) {
    out += static_cast<char>(0xE0 | c >> 12);
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  } else {
    out += static_cast<char>(0xF0 | c >> 18);
    out += static_cast<char>(0x80 | (c >> 12 & 63));
    out += static_cast<char>(0x80 | (c >> 6 & 63));
    out += static_cast<char>(0x80 | (c & 63));
  }
}

uint32_t next_code_point(std::string_view text, size_t& i) {
  const size_t n = utf8_length(text, i);
  const auto lead = static_cast<uint8_t>(text[i]);
  if (n <= 1) {
    ++i;
    return lead;
  }
  uint32_t c = lead & (0xFF >> (n + 1));
  for (size_t k = 1; k < n; ++k) c = c << 6 | (static_cast<uint8_t>(text[i + k]) & 63);
  i += n;
  return c;
}

ValueJson number_json(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return value;
}

std::optional<double> named_number(std::string_view text) {
  if (text.starts_with(kBareMark)) text.remove_prefix(kBareMark.size());
  if (text == "NaN" || text == "nan") return std::numeric_limits<double>::quiet_NaN();
  if (text == "Infinity" || text == "inf") return std::numeric_limits<double>::infinity();
  if (text == "-Infinity" || text == "-inf") return -std::numeric_limits<double>::infinity();
  return std::nullopt;
}

uint16_t double_to_half(double value) {
  const uint16_t sign = std::signbit(value) ? 0x8000 : 0;
  const double a = std::fabs(value);
  if (std::isnan(value)) return sign | 0x7E00;
  if (a >= 65520) return sign | 0x7C00;
  if (a < std::ldexp(1, -14)) {
    return sign | static_cast<uint16_t>(std::nearbyint(std::ldexp(a, 24)));
  }
  int exponent = 0;
  const double fraction = std::frexp(a, &exponent);  // a = fraction * 2^exponent, in [0.5, 1)
  const auto mantissa = static_cast<uint32_t>(std::nearbyint(std::ldexp(fraction, 11)));
  return static_cast<uint16_t>(sign | (((exponent + 13) << 10) + (mantissa - 1024)));
}

template <typename T>
T load_native(const uint8_t* p) {
  T v;
  std::memcpy(&v, p, sizeof(T));
  return v;
}

template <typename T>
void store_native(uint8_t* p, T v) {
  std::memcpy(p, &v, sizeof(T));
}

double float_at(uint32_t size, const uint8_t* p) {
  return size == 2   ? half_to_float(load_native<uint16_t>(p))
         : size == 4 ? load_native<float>(p)
                     : load_native<double>(p);
}

void put_float(uint32_t size, double value, uint8_t* p) {
  if (size == 2) return store_native(p, double_to_half(value));
  if (size == 4) return store_native(p, static_cast<float>(value));
  store_native(p, value);
}

ValueJson integer_json(bool is_signed, uint32_t size, const uint8_t* p) {
  switch (size) {
    case 1:
      return is_signed ? ValueJson(load_native<int8_t>(p)) : ValueJson(load_native<uint8_t>(p));
    case 2:
      return is_signed ? ValueJson(load_native<int16_t>(p)) : ValueJson(load_native<uint16_t>(p));
    case 4:
      return is_signed ? ValueJson(load_native<int32_t>(p)) : ValueJson(load_native<uint32_t>(p));
    default:
      return is_signed ? ValueJson(load_native<int64_t>(p)) : ValueJson(load_native<uint64_t>(p));
  }
}

std::string fixed_text(const DataType& type, const uint8_t* p) {
  std::string_view text(reinterpret_cast<const char*>(p), type.size);
  if (type.padding == StringPadding::kNullTerminated) {
    text = text.substr(0, std::min(text.find('\0'), text.size()));
  }
  const char pad = type.padding == StringPadding::kSpacePadded ? ' ' : '\0';
  while (!text.empty() && text.back() == pad) text.remove_suffix(1);
  return std::string(text);
}

std::string unicode_text(const DataType& type, const uint8_t* p) {
  std::string out;
  for (uint32_t i = 0; i + 4 <= type.size; i += 4) append_utf8(out, load_native<uint32_t>(p + i));
  while (!out.empty() && out.back() == '\0') out.pop_back();
  return to_utf8(out);
}

Result<ValueJson> element_json(const DataType& type, const uint8_t* p, ByteSpan heap, int depth);

Result<ValueJson> elements_json(const DataType& type, const uint8_t* p, uint64_t n, ByteSpan heap,
                                int depth) {
  ValueJson list = ValueJson::array();
  for (uint64_t i = 0; i < n; ++i) {
    UPWELL_TRY(ValueJson one, element_json(type, p + i * type.size, heap, depth + 1));
    list.push_back(std::move(one));
  }
  return list;
}

Result<ValueJson> vlen_json(const DataType& type, const uint8_t* p, ByteSpan heap, int depth) {
  const auto handle = load_native<VlenHandle>(p);
  const uint64_t item = type.kind == Kind::kVlenString ? 1 : type.base->size;
  if (handle.offset > heap.size() ||
      (item > 0 && handle.count > (heap.size() - handle.offset) / item)) {
    return fail(Code::kInvalidData, "a value of variable length lies outside of its heap");
  }
  const uint8_t* data = heap.data() + handle.offset;
  if (type.kind == Kind::kVlenString) {
    return ValueJson(to_utf8({reinterpret_cast<const char*>(data), handle.count}));
  }
  return elements_json(*type.base, data, handle.count, heap, depth);
}

/// One element in memory form.
Result<ValueJson> element_json(const DataType& type, const uint8_t* p, ByteSpan heap, int depth) {
  if (depth > kMaxJsonDepth) return fail(Code::kUnsupported, "attribute type is nested too deep");
  switch (type.kind) {
    case Kind::kInt:
    case Kind::kDatetime:
    case Kind::kTimedelta:
      return integer_json(true, type.size, p);
    case Kind::kUint:
    case Kind::kBitfield:
    case Kind::kTime:
      return integer_json(false, type.size, p);
    case Kind::kEnum:
      return element_json(*type.base, p, heap, depth + 1);
    case Kind::kBool:
      return ValueJson(*p != 0);
    case Kind::kFloat:
      return number_json(float_at(type.size, p));
    case Kind::kComplex:
      return ValueJson::array({number_json(float_at(type.size / 2, p)),
                               number_json(float_at(type.size / 2, p + type.size / 2))});
    case Kind::kString:
      return ValueJson(to_utf8(fixed_text(type, p)));
    case Kind::kUnicode:
      return ValueJson(unicode_text(type, p));
    case Kind::kVlenString:
    case Kind::kVlen:
      return vlen_json(type, p, heap, depth);
    case Kind::kArray:
      return elements_json(*type.base, p, type.base->size ? type.size / type.base->size : 0, heap,
                           depth);
    case Kind::kCompound: {
      ValueJson object = ValueJson::object();
      for (const Member& member : type.members) {
        UPWELL_TRY(ValueJson one, element_json(*member.type, p + member.offset, heap, depth + 1));
        object[to_utf8(member.name)] = std::move(one);
      }
      return object;
    }
    default:
      return ValueJson("base64:" + base64_encode({p, type.size}));
  }
}

Result<uint64_t> whole_number(const DataType& type, const ValueJson& json) {
  const bool is_signed = type.kind != Kind::kUint && type.kind != Kind::kBitfield;
  const int bits = static_cast<int>(type.size) * 8;
  if (json.is_number_unsigned()) {
    const auto value = json.get<uint64_t>();
    const int room = is_signed ? bits - 1 : bits;
    if (room < 64 && value >> room != 0) return bad_fill(type, json.dump());
    return value;
  }
  if (json.is_number_integer()) {
    const auto value = json.get<int64_t>();
    // An unsigned array with the fill value -1: what a C cast gives is what was meant.
    if (bits < 64 && value < -(int64_t{1} << (bits - 1))) return bad_fill(type, json.dump());
    return static_cast<uint64_t>(value);
  }
  if (json.is_number_float()) {
    const double value = json.get<double>();
    if (value != std::floor(value) || std::fabs(value) >= 0x1p63)
      return bad_fill(type, json.dump());
    return whole_number(type, ValueJson(static_cast<int64_t>(value)));
  }
  if (json.is_boolean()) return json.get<bool>() ? 1 : 0;
  if (json.is_string() && json.get_ref<const std::string&>() == "NaT") return uint64_t{1} << 63;
  return bad_fill(type, json.dump());
}

Result<double> float_number(const DataType& type, const ValueJson& json) {
  if (json.is_number()) return json.get<double>();
  if (json.is_string()) {
    const auto& text = json.get_ref<const std::string&>();
    if (auto value = named_number(text)) return *value;
    if (text.starts_with("0x") && text.size() == 2 + type.size * 2) {
      uint64_t bits = std::strtoull(text.c_str() + 2, nullptr, 16);
      return float_at(type.size, reinterpret_cast<const uint8_t*>(&bits));
    }
  }
  return bad_fill(type, json.dump());
}

Result<Bytes> text_fill(const DataType& type, const ValueJson& json) {
  Bytes out(type.size, 0);
  if (json.is_number() && json.get<double>() == 0) return out;  // numpy's zero of S, U, V
  if (!json.is_string()) return bad_fill(type, json.dump());
  const auto& text = json.get_ref<const std::string&>();
  if (type.kind == Kind::kUnicode) {
    size_t n = 0;
    for (size_t i = 0; i < text.size();) {
      if (n + 4 > type.size) return bad_fill(type, json.dump());
      store_native(out.data() + n, next_code_point(text, i));
      n += 4;
    }
    return out;
  }
  // The specification wants base64; some writers put the text itself.
  auto decoded = base64_decode(text);
  const Bytes bytes = decoded && decoded->size() <= type.size ? *decoded : to_bytes(text);
  if (bytes.size() > type.size) return bad_fill(type, json.dump());
  std::copy(bytes.begin(), bytes.end(), out.begin());
  return out;
}

/// In memory form.
Result<Bytes> fill_element(const DataType& type, const ValueJson& json) {
  Bytes out(type.size, 0);
  switch (type.kind) {
    case Kind::kFloat: {
      UPWELL_TRY(const double value, float_number(type, json));
      put_float(type.size, value, out.data());
      return out;
    }
    case Kind::kComplex: {
      const uint32_t half = type.size / 2;
      const DataType part = DataType::floating(half);
      const bool pair = json.is_array() && json.size() == 2;
      UPWELL_TRY(const double re, float_number(part, pair ? json[0] : json));
      put_float(half, re, out.data());
      if (pair) {
        UPWELL_TRY(const double im, float_number(part, json[1]));
        put_float(half, im, out.data() + half);
      }
      return out;
    }
    case Kind::kString:
    case Kind::kUnicode:
    case Kind::kOpaque:
      return text_fill(type, json);
    case Kind::kInt:
    case Kind::kUint:
    case Kind::kBitfield:
    case Kind::kBool:
    case Kind::kDatetime:
    case Kind::kTimedelta: {
      UPWELL_TRY(const uint64_t bits, whole_number(type, json));
      uint8_t little[8];
      store_le(little, bits);
      std::memcpy(out.data(), little, std::min<size_t>(8, type.size));
      if constexpr (std::endian::native == std::endian::big) {
        std::reverse(out.begin(), out.end());
      }
      return out;
    }
    default:
      return bad_fill(type, json.dump());
  }
}

}  // namespace

Result<std::string> strict_json(std::string_view text) {
  std::string out;
  size_t copied = 0;
  int depth = 0;
  bool in_string = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\') {
        ++i;
      } else if (c == '"') {
        in_string = false;
      }
      continue;
    }
    if (c == '"') in_string = true;
    if ((c == '{' || c == '[') && ++depth > kMaxJsonDepth) {
      return fail(Code::kInvalidData,
                  fmt::format("JSON is nested deeper than {} at position {}", kMaxJsonDepth, i));
    }
    if (c == '}' || c == ']') --depth;
    if (c != 'N' && c != 'I' && c != '-') continue;
    for (const std::string_view word : {"NaN", "Infinity", "-Infinity"}) {
      if (text.substr(i, word.size()) != word) continue;
      out.append(text.substr(copied, i - copied));
      out.append("\"\\u0001").append(word).append("\"");
      i += word.size() - 1;
      copied = i + 1;
      break;
    }
  }
  if (copied == 0) return std::string(text);
  out.append(text.substr(copied));
  return out;
}

std::string json_text(std::string_view text) { return ValueJson(to_utf8(text)).dump(); }

Result<std::string> value_json(const Values& values) {
  const uint64_t n = values.count();
  const uint64_t size = values.type.size;
  if (size > 0 && values.data.size() / size < n) {
    return fail(Code::kInternal, "attribute holds fewer bytes than elements");
  }
  if (n != 1) {
    UPWELL_TRY(const ValueJson list,
               elements_json(values.type, values.data.data(), n, values.heap, 0));
    return list.dump();
  }
  if (values.type.kind == Kind::kVlenString && values.type.tag == kJsonTag) {
    const std::string text = values.text(0);
    if (ValueJson::accept(text)) return text;
  }
  UPWELL_TRY(const ValueJson one, element_json(values.type, values.data.data(), values.heap, 0));
  return one.dump();
}

Result<std::optional<Bytes>> parse_fill(const DataType& type, std::string_view json) {
  const ValueJson value = ValueJson::parse(json, nullptr, /*allow_exceptions=*/false);
  if (value.is_discarded()) return bad_fill(type, json);
  if (type.kind == Kind::kVlenString && value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    if (text.empty()) return std::optional<Bytes>();
    if (type.utf8) return std::optional<Bytes>(to_bytes(text));
    UPWELL_TRY(Bytes raw, base64_decode(text));
    return std::optional<Bytes>(std::move(raw));
  }
  if (type.kind == Kind::kVlenString && !value.is_null() && value != 0) return bad_fill(type, json);
  if (value.is_null() || type.has_vlen() || type.size == 0) return std::optional<Bytes>();
  if (type.kind == Kind::kCompound || type.kind == Kind::kArray) {
    // Raw bytes as stored; other forms (0, a list) mean nothing that could be stored faithfully.
    Bytes out(type.size, 0);
    if (value.is_number() && value.get<double>() == 0) return std::optional<Bytes>(out);
    if (!value.is_string()) return bad_fill(type, json);
    UPWELL_TRY(const Bytes raw, base64_decode(value.get_ref<const std::string&>()));
    if (raw.size() != type.size) return bad_fill(type, json);
    return std::optional<Bytes>(raw);
  }
  DataType memory = memory_type(type);
  if (memory.kind == Kind::kEnum) memory = *memory.base;
  UPWELL_TRY(const Bytes element, fill_element(memory, value));
  Bytes stored(type.size, 0);
  UPWELL_CHECK(from_memory(type, element, 1, stored));
  return std::optional<Bytes>(std::move(stored));
}

Result<std::string> fill_json(const DataType& type, ByteSpan stored) {
  if (type.kind == Kind::kVlenString && type.size == 0) {
    return type.utf8 ? json_text(as_text(stored)) : ValueJson(base64_encode(stored)).dump();
  }
  if (type.has_vlen()) return std::string("\"\"");
  if (stored.size() != type.size) return fail(Code::kInternal, "fill value of the wrong size");
  const bool raw = type.kind == Kind::kCompound || type.kind == Kind::kArray ||
                   type.kind == Kind::kOpaque || type.kind == Kind::kString;
  if (raw) return ValueJson(base64_encode(stored)).dump();
  const DataType memory = memory_type(type);
  Bytes element(memory.size, 0);
  UPWELL_CHECK(to_memory(type, stored, 1, element));
  UPWELL_TRY(const ValueJson one, element_json(memory, element.data(), {}, 0));
  return one.dump();
}

std::string encode_fill_attribute(double value) {
  uint8_t bytes[8];
  store_le(bytes, value);
  return base64_encode(bytes);
}

std::optional<double> decode_fill_attribute(std::string_view text) {
  if (auto value = named_number(text)) return value;
  if (text.size() != 12) return std::nullopt;
  auto bytes = base64_decode(text);
  if (!bytes || bytes->size() != 8) return std::nullopt;
  return load_le<double>(bytes->data());
}

std::optional<Bytes> stored_element(const DataType& type, const Values& value) {
  if (value.count() != 1 || type.has_vlen() || type.kind == Kind::kCompound ||
      type.kind == Kind::kArray) {
    return std::nullopt;
  }
  auto json = value_json(value);
  if (!json) return std::nullopt;
  if (type.kind == Kind::kString && type.size > 0) {
    const std::string text = value.text(0);
    if (text.size() > type.size) return std::nullopt;
    Bytes out(type.size, type.padding == StringPadding::kSpacePadded ? ' ' : 0);
    std::copy(text.begin(), text.end(), out.begin());
    return out;
  }
  auto fill = parse_fill(type, *json);
  return fill && *fill ? *fill : std::nullopt;
}

}  // namespace upwell::refs
