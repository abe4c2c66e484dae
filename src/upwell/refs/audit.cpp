#include "refs/audit.hpp"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>

#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

std::string join_shape(const Shape& shape) {
  std::string text = "(";
  for (size_t i = 0; i < shape.size(); ++i) text += (i ? "," : "") + std::to_string(shape[i]);
  return text + ")";
}

std::string join_names(const std::vector<std::string>& names) {
  std::string text = "(";
  for (size_t i = 0; i < names.size(); ++i) text += (i ? "," : "") + names[i];
  return text + ")";
}

std::string join_codecs(const std::vector<codec::CodecSpec>& codecs) {
  std::string text = "[";
  for (const codec::CodecSpec& spec : codecs) {
    if (text.size() > 1) text += ", ";
    text += spec.id + (spec.config == "{}" ? "" : spec.config);
  }
  return text + "]";
}

std::string shown(const std::string& json) { return json.empty() ? "none" : json; }

std::string hex(const std::optional<Bytes>& bytes) {
  if (!bytes) return "none";
  static const char* digits = "0123456789abcdef";
  std::string text = "0x";
  for (uint8_t b : *bytes) {
    text += digits[b >> 4];
    text += digits[b & 15];
  }
  return text;
}

std::string padding_word(const DataType& type) {
  return type.padding == StringPadding::kSpacePadded      ? " padded with blanks"
         : type.padding == StringPadding::kNullTerminated ? " that NUL ends"
                                                          : " padded with NUL";
}

std::string order_word(const DataType& type) {
  switch (type.order) {
    case ByteOrder::kBig:
      return "big endian";
    case ByteOrder::kLittle:
      return "little endian";
    default:
      return describe(type);
  }
}

/// Codecs as far as decoding depends on them: how hard the writer tried does not.
std::vector<codec::CodecSpec> for_decoding(std::vector<codec::CodecSpec> codecs) {
  static constexpr std::array<std::string_view, 7> self_described = {"zlib", "gzip", "bz2",  "lzma",
                                                                     "zstd", "lz4",  "blosc"};
  for (codec::CodecSpec& spec : codecs)
    if (std::find(self_described.begin(), self_described.end(), spec.id) != self_described.end())
      spec.config.clear();
  return codecs;
}

/// True when both have the attribute in the same bytes. When not, they may still say the same.
bool same_stored(const Attributes& first, const Attributes& other, const std::string& name) {
  const Attribute* a = find_attribute(first, name);
  const Attribute* b = find_attribute(other, name);
  return a != nullptr && b != nullptr && a->null_space == b->null_space &&
         a->value.data == b->value.data && a->value.heap == b->value.heap &&
         a->value.shape == b->value.shape && a->value.type == b->value.type;
}

/// Of floats with a fill value of NaN, and of those without one.
bool masks_only_nan(const Array& array, const std::string& name) {
  if (array.type.kind != Kind::kFloat || (name != "_FillValue" && name != "missing_value"))
    return false;
  const Attribute* attribute = find_attribute(array.attributes, name);
  return attribute == nullptr || is_nan_fill(array.type, *attribute);
}

class Comparison {
 public:
  Comparison(const ArrayFacts& first, const ArrayFacts& other, std::vector<Reason>& reasons,
             std::string_view whose)
      : first_(first), other_(other), reasons_(reasons), whose_(whose) {}

  void run() {
    types();
    if (first_.head.dimensions != other_.head.dimensions ||
        first_.head.shape.size() != other_.head.shape.size())
      return differ("dimensions",
                    join_names(first_.head.dimensions) + join_shape(first_.head.shape),
                    join_names(other_.head.dimensions) + join_shape(other_.head.shape));
    shapes();
    if (first_.referenced && other_.referenced) storage();
    attributes();
  }

 private:
  void differ(const std::string& kind, const std::string& first, const std::string& other) {
    reasons_.push_back(
        {kind, first_.path, kind + " " + other + ", " + std::string(whose_) + " has " + first});
  }

  void types() {
    const DataType &a = first_.head.type, &b = other_.head.type;
    if (a == b) return;
    DataType turned = b;
    turned.order = a.order;
    if (!first_.referenced) turned.padding = a.padding;  // of text that is copied
    if (!(turned == a)) {
      // How many values a concatenated coordinate needs is decided when all are known.
      const bool numbers = a.is_number() && b.is_number();
      if (first_.axis && first_.converts_time && numbers) return;
      DataType unpadded = turned;
      unpadded.padding = a.padding;
      const bool padding = unpadded == a;
      return differ("type", describe(a) + (padding ? padding_word(a) : ""),
                    describe(b) + (padding ? padding_word(b) : ""));
    }
    if (first_.referenced) differ("byte order", order_word(a), order_word(b));
  }

  void shapes() {
    Shape a = first_.head.shape, b = other_.head.shape;
    if (first_.axis) a[*first_.axis] = b[*first_.axis] = 0;
    if (a != b) differ("shape", join_shape(first_.head.shape), join_shape(other_.head.shape));
  }

  void storage() {
    if (for_decoding(first_.layout.codecs) != for_decoding(other_.layout.codecs))
      differ("codecs", join_codecs(first_.layout.codecs), join_codecs(other_.layout.codecs));
    if (first_.layout.fortran_order != other_.layout.fortran_order)
      differ("order in a chunk", first_.layout.fortran_order ? "F" : "C",
             other_.layout.fortran_order ? "F" : "C");
    const bool both_cut = first_.contiguous && other_.contiguous;
    if (!both_cut && first_.layout.chunk_shape != other_.layout.chunk_shape)
      differ("chunk shape", join_shape(first_.layout.chunk_shape),
             join_shape(other_.layout.chunk_shape));
    // Chunks never written are said by what .zarray says for all: the same value, then.
    auto fill = [](const ArrayFacts& f) {
      std::optional<Bytes> bytes = f.layout.fill ? f.layout.fill : f.head.fill;
      return bytes ? *bytes : Bytes(f.head.type.size, 0);
    };
    if (first_.head.type == other_.head.type && fill(first_) != fill(other_))
      differ("fill value", hex(fill(first_)), hex(fill(other_)));
  }

  void attributes() {
    std::set<std::string> names;
    for (const Attribute& a : first_.head.attributes)
      if (decides_values(a.name)) names.insert(a.name);
    for (const Attribute& a : other_.head.attributes)
      if (decides_values(a.name)) names.insert(a.name);
    for (const std::string& name : names) {
      if (first_.converts_time && (name == "units" || name == "calendar")) continue;
      if (same_stored(first_.head.attributes, other_.head.attributes, name)) continue;
      if (masks_only_nan(first_.head, name) && masks_only_nan(other_.head, name)) continue;
      std::string a = attribute_json(first_.head.attributes, name);
      std::string b = attribute_json(other_.head.attributes, name);
      if (a != b) differ(name, shown(a), shown(b));
    }
  }

  const ArrayFacts& first_;
  const ArrayFacts& other_;
  std::vector<Reason>& reasons_;
  const std::string_view whose_;
};

}  // namespace

void compare_facts(const ArrayFacts& first, const ArrayFacts& other, std::vector<Reason>& reasons,
                   std::string_view whose) {
  Comparison(first, other, reasons, whose).run();
}

bool is_nan_fill(const DataType& type, const Attribute& attribute) {
  const bool fill = attribute.name == "_FillValue" || attribute.name == "missing_value";
  if (!fill || type.kind != Kind::kFloat) return false;
  if (attribute.null_space || !attribute.value.type.is_number()) return false;
  for (size_t i = 0; i < attribute.value.count(); ++i)
    if (!std::isnan(attribute.value.number(i))) return false;
  return true;
}

bool decides_values(const std::string& attribute) {
  static constexpr std::array<std::string_view, 11> names = {
      "units",     "calendar",    "scale_factor", "add_offset",    "_FillValue", "missing_value",
      "_Unsigned", "flag_values", "flag_masks",   "flag_meanings", "dtype"};
  return std::find(names.begin(), names.end(), attribute) != names.end();
}

std::string attribute_json(const Attributes& attributes, const std::string& name) {
  const Attribute* attribute = find_attribute(attributes, name);
  if (attribute == nullptr) return "";
  if (attribute->null_space) return "null";
  auto json = value_json(attribute->value);
  return json ? *json : "(" + describe(attribute->value.type) + ")";
}

std::vector<std::string> differing_attributes(const Attributes& first, const Attributes& other) {
  std::set<std::string> names;
  for (const Attribute& a : first) names.insert(a.name);
  for (const Attribute& a : other) names.insert(a.name);
  std::vector<std::string> out;
  for (const std::string& name : names)
    if (!decides_values(name) && !same_stored(first, other, name) &&
        attribute_json(first, name) != attribute_json(other, name))
      out.push_back(name);
  return out;
}

}  // namespace upwell::refs
