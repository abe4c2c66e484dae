// Packing and missing values.

#include <algorithm>
#include <array>
#include <bit>
#include <cctype>
#include <cmath>
#include <limits>

#include "base/text.hpp"
#include "codec/scale.hpp"
#include "cube/cf.hpp"
#include "cube/half.hpp"

namespace upwell::cf {
namespace {

std::vector<double> numbers(const Attributes& attributes, std::string_view name) {
  std::vector<double> result;
  const Attribute* attribute = find_attribute(attributes, name);
  if (attribute == nullptr || attribute->null_space || !attribute->value.type.is_number())
    return result;
  for (size_t i = 0; i < attribute->value.count(); ++i)
    result.push_back(attribute->value.number(i));
  return result;
}

uint32_t attribute_size(const Attributes& attributes, std::string_view name) {
  const Attribute* attribute = find_attribute(attributes, name);
  if (attribute == nullptr || attribute->value.type.kind != Kind::kFloat) return 0;
  return attribute->value.type.size;
}

/// The width of decoded data, as xarray chooses it (coding/variables.py): the type of scale_factor
/// and add_offset when they agree or when there is no offset, float64 in doubt; without packing,
/// float32 where it holds every stored value exactly.
uint32_t decoded_float_size(const DataType& type, const Attributes& attributes, bool has_scale,
                            bool has_offset) {
  bool integer = type.kind != Kind::kFloat;
  if (has_scale || has_offset) {
    uint32_t scale = has_scale ? attribute_size(attributes, "scale_factor") : 0;
    uint32_t offset = has_offset ? attribute_size(attributes, "add_offset") : 0;
    if (has_scale && has_offset && scale == offset && scale != 0)
      return integer && type.size == 4 ? 8 : scale;
    if (has_offset) return 8;
    return scale == 4 ? 4 : 8;
  }
  if (!integer) return type.size <= 4 ? 4 : 8;
  return type.size <= 2 ? 4 : 8;
}

bool is_one_of(double v, const std::vector<double>& missing) {
  return std::any_of(missing.begin(), missing.end(),
                     [v](double m) { return v == m || (std::isnan(v) && std::isnan(m)); });
}

codec::NumberType number_type(const Decoding& decoding, const DataType& type) {
  using codec::NumberType;
  size_t width = static_cast<size_t>(std::countr_zero(type.size));  // 1, 2, 4, 8 become 0 to 3
  if (type.kind == Kind::kFloat)
    return type.size == 8 ? NumberType::kFloat64 : NumberType::kFloat32;
  constexpr NumberType kSigned[] = {NumberType::kInt8, NumberType::kInt16, NumberType::kInt32,
                                    NumberType::kInt64};
  constexpr NumberType kUnsigned[] = {NumberType::kUint8, NumberType::kUint16, NumberType::kUint32,
                                      NumberType::kUint64};
  bool unsign = type.kind == Kind::kUint ? !decoding.signed_integers : decoding.unsigned_integers;
  return unsign ? kUnsigned[width] : kSigned[width];
}

/// A missing value in the bits of the stored type; nullopt when no stored value can equal it.
std::optional<uint64_t> stored_bits(const DataType& type, bool unsign, double value) {
  if (type.kind == Kind::kFloat) {
    if (type.size == 8) return std::bit_cast<uint64_t>(value);
    return std::bit_cast<uint32_t>(static_cast<float>(value));
  }
  if (value != std::floor(value) || std::abs(value) > 18446744073709551615.0) return {};
  double span = std::ldexp(1.0, static_cast<int>(type.size) * 8);
  // _Unsigned data may give its fill either way: 255 or -1.
  double low = type.kind == Kind::kInt || unsign ? -span / 2 : 0;
  double high = type.kind == Kind::kInt && !unsign ? span / 2 : span;
  if (value < low || value >= high) return {};
  uint64_t bits =
      value < 0 ? static_cast<uint64_t>(static_cast<int64_t>(value)) : static_cast<uint64_t>(value);
  return type.size == 8 ? bits : bits & ((uint64_t{1} << (type.size * 8)) - 1);
}

Bytes widen_half(ByteSpan raw) {
  Bytes wide(raw.size() * 2);
  for (size_t i = 0; i < raw.size() / 2; ++i) {
    float v = half_to_float(load_le<uint16_t>(raw.data() + i * 2));
    std::memcpy(wide.data() + i * 4, &v, 4);
  }
  return wide;
}

template <typename Out>
Result<> unpack_into(const Decoding& decoding, const DataType& type, ByteSpan raw,
                     MutableByteSpan out) {
  constexpr size_t kMaxFills = 8;
  if (decoding.missing_bits.size() > kMaxFills)
    return fail(Code::kUnsupported, "more than 8 missing values");
  codec::Unpacking unpacking{decoding.scale_factor, decoding.add_offset, decoding.missing_bits};
  std::span<Out> target(reinterpret_cast<Out*>(out.data()), out.size() / sizeof(Out));
  return codec::unpack(number_type(decoding, type), raw, unpacking, target);
}

/// Integers of 64 bits do not fit into a double: their bits are taken as they are.
std::optional<uint64_t> missing_bits(const DataType& type, bool unsign, const Values& value,
                                     size_t i) {
  bool wide = type.size == 8 && type.kind != Kind::kFloat && value.type.kind != Kind::kFloat;
  if (!wide) return stored_bits(type, unsign, value.number(i));
  int64_t v = value.integer(i);
  bool high = value.type.kind == Kind::kUint && v < 0;  // 2^63 or more
  bool low = value.type.kind == Kind::kInt && v < 0;
  bool is_unsigned = type.kind == Kind::kUint;
  if ((high && !is_unsigned && !unsign) || (low && is_unsigned)) return {};
  return static_cast<uint64_t>(v);
}

void add_missing(const DataType& type, const Attributes& attributes, std::string_view name,
                 Decoding& decoding) {
  const Attribute* attribute = find_attribute(attributes, name);
  if (attribute == nullptr || attribute->null_space || !attribute->value.type.is_number()) return;
  bool unsign = decoding.unsigned_integers || decoding.signed_integers;
  for (size_t i = 0; i < attribute->value.count(); ++i) {
    double v = attribute->value.number(i);
    if (!is_one_of(v, decoding.missing)) decoding.missing.push_back(v);
    auto bits = missing_bits(type, unsign, attribute->value, i);
    auto& all = decoding.missing_bits;
    if (bits && std::find(all.begin(), all.end(), *bits) == all.end()) all.push_back(*bits);
  }
}

}  // namespace

Decoding decoding_of(const Array& array) {
  Decoding decoding;
  const Attributes& a = array.attributes;
  if (!array.type.is_number()) return decoding;
  decoding.scale_factor = number_attribute(a, "scale_factor");
  decoding.add_offset = number_attribute(a, "add_offset");
  auto unsign = text_attribute(a, "_Unsigned");
  bool says_true = unsign && (*unsign == "true" || *unsign == "True");
  bool says_false = unsign && (*unsign == "false" || *unsign == "False");
  decoding.unsigned_integers = says_true;
  decoding.signed_integers = says_false && array.type.kind == Kind::kUint;
  for (const char* name : {"_FillValue", "missing_value"})
    add_missing(array.type, a, name, decoding);
  decoding.valid_min = number_attribute(a, "valid_min");
  decoding.valid_max = number_attribute(a, "valid_max");
  if (auto range = numbers(a, "valid_range"); range.size() == 2) {
    decoding.valid_min = range[0];
    decoding.valid_max = range[1];
  }
  bool has_scale = decoding.scale_factor.has_value(), has_offset = decoding.add_offset.has_value();
  decoding.to_float =
      has_scale || has_offset || (!decoding.missing.empty() && array.type.kind != Kind::kFloat);
  bool float_masked = array.type.kind == Kind::kFloat && !decoding.missing.empty();
  decoding.to_float = decoding.to_float || float_masked;
  decoding.float_size = decoded_float_size(array.type, a, has_scale, has_offset);
  return decoding;
}

Attributes packing_of(const Attributes& attributes) {
  Attributes packing;
  for (const char* name :
       {"_FillValue", "_Unsigned", "add_offset", "missing_value", "scale_factor"}) {
    const Attribute* attribute = find_attribute(attributes, name);
    if (attribute == nullptr) continue;
    packing.push_back(*attribute);
    Values& value = packing.back().value;
    if (auto text = text_attribute(attributes, name))
      value = make_text(*text);
    else if (value.count() == 1)
      value.shape.clear();
  }
  return packing;
}

Attributes decoded_attributes(const Attributes& attributes, const Decoding& decoding) {
  Attributes kept;
  for (const Attribute& a : attributes) {
    bool used = a.name == "scale_factor" || a.name == "add_offset" || a.name == "_Unsigned";
    used = used || (decoding.to_float && (a.name == "_FillValue" || a.name == "missing_value"));
    // They speak of numbers as they are stored.
    const bool renumbered = decoding.scale_factor || decoding.add_offset ||
                            decoding.unsigned_integers || decoding.signed_integers;
    used = used || (renumbered &&
                    (a.name == "valid_min" || a.name == "valid_max" || a.name == "valid_range"));
    used = used || ((decoding.unsigned_integers || decoding.signed_integers) &&
                    (a.name == "flag_values" || a.name == "flag_masks"));
    if (!used) kept.push_back(a);
  }
  return kept;
}

void restore_attribute_types(Attributes& attributes, const DataType& stored,
                             const DataType& written) {
  constexpr std::string_view kTyped[] = {"valid_min",    "valid_max",   "valid_range",
                                         "actual_range", "flag_values", "missing_value"};
  for (Attribute& attribute : attributes) {
    const DataType& now = attribute.value.type;
    const bool from_json = now == DataType::integer(8) || now == DataType::floating(8);
    const bool masks = attribute.name == "flag_masks";
    if (!from_json || attribute.null_space) continue;
    if (!masks &&
        std::find(std::begin(kTyped), std::end(kTyped), attribute.name) == std::end(kTyped))
      continue;
    const DataType& wanted = masks && written.kind == Kind::kFloat ? stored : written;
    if (auto typed = exact_numbers(attribute.value, wanted)) attribute.value = std::move(*typed);
  }
}

DataType integers_as_read(const Decoding& decoding, const DataType& raw) {
  DataType type = raw;
  if (decoding.unsigned_integers && raw.kind == Kind::kInt) type.kind = Kind::kUint;
  if (decoding.signed_integers && raw.kind == Kind::kUint) type.kind = Kind::kInt;
  return type;
}

DataType decoded_type(const Decoding& decoding, const DataType& raw) {
  if (!raw.is_number()) return raw;
  if (decoding.to_float) return DataType::floating(decoding.float_size);
  return integers_as_read(decoding, raw);
}

Result<> decode_into(const Decoding& decoding, const DataType& type, ByteSpan raw,
                     MutableByteSpan out) {
  if (!type.is_number() || !decoding.to_float) {
    std::memcpy(out.data(), raw.data(), raw.size());
    return {};
  }
  if (!std::has_single_bit(type.size) || type.size > 8)
    return fail(Code::kUnsupported, "cannot scale " + describe(type));
  if (type.kind == Kind::kFloat && type.size == 2)
    return decode_into(decoding, DataType::floating(4), widen_half(raw), out);
  return decoding.float_size == 4 ? unpack_into<float>(decoding, type, raw, out)
                                  : unpack_into<double>(decoding, type, raw, out);
}

std::optional<Totals> decoded_totals(const Decoding& decoding, const DataType& type, ByteSpan raw) {
  const bool integer = type.kind == Kind::kInt || type.kind == Kind::kUint;
  if (!integer || type.size > 4 || !std::has_single_bit(type.size)) return {};
  if (decoding.missing_bits.size() > 1) return {};
  double scale = decoding.scale_factor.value_or(1), offset = decoding.add_offset.value_or(0);
  if (!std::isfinite(scale) || !std::isfinite(offset)) return {};
  std::optional<uint64_t> fill;
  if (!decoding.missing_bits.empty()) fill = decoding.missing_bits.front();
  const auto stored = codec::add_up_integers(number_type(decoding, type), raw, fill);
  Totals totals;
  totals.count = stored.count;
  if (stored.count == 0) return totals;
  Values ends{type, {2}, Bytes(2 * size_t{type.size}), {}};
  std::memcpy(ends.data.data(), &stored.min, type.size);
  std::memcpy(ends.data.data() + type.size, &stored.max, type.size);
  auto decoded = decode(decoding, std::move(ends));
  if (!decoded) return {};
  totals.min = std::min(decoded->number(0), decoded->number(1));
  totals.max = std::max(decoded->number(0), decoded->number(1));
  totals.sum = static_cast<double>(stored.sum) * scale + static_cast<double>(stored.count) * offset;
  return totals;
}

Result<Values> decode(const Decoding& decoding, Values raw) {
  DataType type = decoded_type(decoding, raw.type);
  if (!raw.type.is_number() || !decoding.to_float) {
    raw.type = type;
    return raw;
  }
  Values out;
  out.type = type;
  out.shape = raw.shape;
  out.data.resize(raw.count() * type.size);
  UPWELL_CHECK(decode_into(decoding, raw.type, raw.data, out.data));
  return out;
}

namespace {

bool is_direction(const Array& array, const std::string& standard_name, const std::string& end) {
  if (text_attribute(array.attributes, "standard_name") == standard_name) return true;
  const std::string units = lower_case(text_attribute(array.attributes, "units").value_or(""));
  for (const char* degree : {"degrees_", "degree_", "degrees", "degree"})
    if (units == degree + end || units == degree + end.substr(0, 1)) return true;
  return false;
}

}  // namespace

bool is_longitude(const Array& array) { return is_direction(array, "longitude", "east"); }

bool is_latitude(const Array& array) { return is_direction(array, "latitude", "north"); }

std::optional<Result<TimeUnits>> time_units_of(const Array& array) {
  auto units = text_attribute(array.attributes, "units");
  if (!units || units->find(" since ") == std::string::npos || !array.type.is_number()) return {};
  return parse_time_units(*units,
                          text_attribute(array.attributes, "calendar").value_or("standard"));
}

}  // namespace upwell::cf
