// Packing and missing values.

#include <algorithm>
#include <cmath>
#include <limits>

#include "cube/cf.hpp"

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

template <typename Out>
void scale_into(const Decoding& decoding, const Values& raw, Values& out) {
  auto* target = reinterpret_cast<Out*>(out.data.data());
  auto scale = static_cast<Out>(decoding.scale_factor.value_or(1));
  auto offset = static_cast<Out>(decoding.add_offset.value_or(0));
  bool unsign = decoding.unsigned_integers && raw.type.kind == Kind::kInt;
  double span = std::ldexp(1.0, static_cast<int>(raw.type.size) * 8);
  size_t n = raw.count();
  for (size_t i = 0; i < n; ++i) {
    double v = raw.number(i);
    bool missing = is_one_of(v, decoding.missing);
    if (unsign && v < 0) v += span;
    if (unsign && !missing) missing = is_one_of(v, decoding.missing);
    // Two roundings, as two numpy operations give; a fused multiply-add would differ in the last
    // bit.
    volatile Out scaled = static_cast<Out>(v) * scale;
    Out value = decoding.scale_factor ? scaled : static_cast<Out>(v);
    if (decoding.add_offset) value = value + offset;
    target[i] = missing ? std::numeric_limits<Out>::quiet_NaN() : value;
  }
}

}  // namespace

Decoding decoding_of(const Array& array) {
  Decoding decoding;
  const Attributes& a = array.attributes;
  if (!array.type.is_number()) return decoding;
  decoding.scale_factor = number_attribute(a, "scale_factor");
  decoding.add_offset = number_attribute(a, "add_offset");
  for (const char* name : {"_FillValue", "missing_value"}) {
    for (double v : numbers(a, name)) {
      if (!is_one_of(v, decoding.missing)) decoding.missing.push_back(v);
    }
  }
  decoding.valid_min = number_attribute(a, "valid_min");
  decoding.valid_max = number_attribute(a, "valid_max");
  if (auto range = numbers(a, "valid_range"); range.size() == 2) {
    decoding.valid_min = range[0];
    decoding.valid_max = range[1];
  }
  auto unsign = text_attribute(a, "_Unsigned");
  decoding.unsigned_integers = unsign && (*unsign == "true" || *unsign == "True");
  bool has_scale = decoding.scale_factor.has_value(), has_offset = decoding.add_offset.has_value();
  decoding.to_float =
      has_scale || has_offset || (!decoding.missing.empty() && array.type.kind != Kind::kFloat);
  bool float_masked = array.type.kind == Kind::kFloat && !decoding.missing.empty();
  decoding.to_float = decoding.to_float || float_masked;
  decoding.float_size = decoded_float_size(array.type, a, has_scale, has_offset);
  return decoding;
}

Result<Values> decode(const Decoding& decoding, Values raw) {
  if (!raw.type.is_number()) return raw;
  bool unsign_only =
      decoding.unsigned_integers && raw.type.kind == Kind::kInt && !decoding.to_float;
  if (unsign_only) raw.type.kind = Kind::kUint;
  if (!decoding.to_float) return raw;
  Values out;
  out.type = DataType::floating(decoding.float_size);
  out.shape = raw.shape;
  out.data.resize(raw.count() * decoding.float_size);
  if (decoding.float_size == 4) {
    scale_into<float>(decoding, raw, out);
  } else {
    scale_into<double>(decoding, raw, out);
  }
  return out;
}

std::optional<Result<TimeUnits>> time_units_of(const Array& array) {
  auto units = text_attribute(array.attributes, "units");
  if (!units || units->find(" since ") == std::string::npos || !array.type.is_number()) return {};
  return parse_time_units(*units,
                          text_attribute(array.attributes, "calendar").value_or("standard"));
}

}  // namespace upwell::cf
