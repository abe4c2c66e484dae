#include "cube/values.hpp"

#include <algorithm>
#include <cmath>
#include <limits>

#include "cube/half.hpp"

namespace upwell {
namespace {

template <typename T>
T element_at(const Values& values, size_t i) {
  T v;
  std::memcpy(&v, values.data.data() + i * sizeof(T), sizeof(T));
  return v;
}

/// The text of fixed-size bytes without what pads it.
std::string_view unpadded(ByteSpan bytes, StringPadding padding) {
  std::string_view text = as_text(bytes);
  if (padding == StringPadding::kNullTerminated)
    return text.substr(0, std::min(text.find('\0'), text.size()));
  char pad = padding == StringPadding::kSpacePadded ? ' ' : '\0';
  size_t last = text.find_last_not_of(pad);
  return last == std::string_view::npos ? std::string_view() : text.substr(0, last + 1);
}

void append_utf8(std::string& text, uint32_t c) {
  if (c < 0x80) {
    text += static_cast<char>(c);
    return;
  }
  int extra = c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
  constexpr int kLead[] = {0, 0xC0, 0xE0, 0xF0};
  text += static_cast<char>(kLead[extra] | (c >> (6 * extra)));
  while (extra-- > 0) text += static_cast<char>(0x80 | ((c >> (6 * extra)) & 0x3F));
}

std::string unicode_text(ByteSpan bytes) {
  std::string text;
  size_t n = bytes.size() / 4;
  while (n > 0 && load_le<uint32_t>(bytes.data() + 4 * (n - 1)) == 0) --n;
  for (size_t i = 0; i < n; ++i) append_utf8(text, load_le<uint32_t>(bytes.data() + 4 * i));
  return text;
}

}  // namespace

uint64_t element_count(const Shape& shape) {
  uint64_t n = 1;
  for (uint64_t extent : shape) n *= extent;
  return n;
}

std::string Values::text(size_t i) const {
  if (type.kind == Kind::kVlenString) {
    auto handle = element_at<VlenHandle>(*this, i);
    return std::string(as_text(ByteSpan(heap).subspan(handle.offset, handle.count)));
  }
  ByteSpan element = ByteSpan(data).subspan(i * type.size, type.size);
  if (type.kind == Kind::kUnicode) return unicode_text(element);
  if (type.kind == Kind::kString) return std::string(unpadded(element, type.padding));
  return {};
}

int64_t Values::integer(size_t i) const {
  Kind kind = type.kind == Kind::kEnum ? type.base->kind : type.kind;
  switch (kind) {
    case Kind::kInt:
    case Kind::kDatetime:
    case Kind::kTimedelta:
      switch (type.size) {
        case 1:
          return element_at<int8_t>(*this, i);
        case 2:
          return element_at<int16_t>(*this, i);
        case 4:
          return element_at<int32_t>(*this, i);
        case 8:
          return element_at<int64_t>(*this, i);
        default:
          return 0;
      }
    case Kind::kUint:
    case Kind::kBool:
    case Kind::kBitfield:
      switch (type.size) {
        case 1:
          return element_at<uint8_t>(*this, i);
        case 2:
          return element_at<uint16_t>(*this, i);
        case 4:
          return element_at<uint32_t>(*this, i);
        case 8:
          return static_cast<int64_t>(element_at<uint64_t>(*this, i));
        default:
          return 0;
      }
    default:
      return 0;
  }
}

double Values::number(size_t i) const {
  Kind kind = type.kind == Kind::kEnum ? type.base->kind : type.kind;
  switch (kind) {
    case Kind::kFloat:
      if (type.size == 4) return element_at<float>(*this, i);
      if (type.size == 8) return element_at<double>(*this, i);
      if (type.size == 2) return half_to_float(element_at<uint16_t>(*this, i));
      break;
    case Kind::kInt:
    case Kind::kBool:
    case Kind::kDatetime:
    case Kind::kTimedelta:
      return static_cast<double>(integer(i));
    case Kind::kUint:
    case Kind::kBitfield:
      if (type.size == 8) return static_cast<double>(element_at<uint64_t>(*this, i));
      return static_cast<double>(integer(i));
    default:
      break;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

Values make_texts(const std::vector<std::string>& texts) {
  Values values;
  values.type = memory_type(DataType::vlen_string());
  values.shape = {texts.size()};
  values.data.resize(texts.size() * sizeof(VlenHandle));
  for (size_t i = 0; i < texts.size(); ++i) {
    VlenHandle handle{values.heap.size(), texts[i].size()};
    ByteSpan bytes = as_bytes(texts[i]);
    values.heap.insert(values.heap.end(), bytes.begin(), bytes.end());
    std::memcpy(values.data.data() + i * sizeof(handle), &handle, sizeof(handle));
  }
  return values;
}

bool are_characters(const DataType& type, const Shape& shape) {
  return type.kind == Kind::kString && type.size == 1 && !shape.empty() && shape.back() > 0;
}

Values joined_characters(Values values) {
  values.type = DataType::fixed_string(static_cast<uint32_t>(values.shape.back()));
  values.shape.pop_back();
  return values;
}

Values make_text(std::string_view text) {
  Values values = make_texts({std::string(text)});
  values.shape.clear();
  return values;
}

namespace {

template <typename T>
Values scalar_of(const DataType& type, T v) {
  Values values;
  values.type = type;
  values.data.resize(sizeof(T));
  std::memcpy(values.data.data(), &v, sizeof(T));
  return values;
}

}  // namespace

Values make_number(double value) { return scalar_of(DataType::floating(8), value); }
Values make_integer(int64_t value) { return scalar_of(DataType::integer(8), value); }

const Attribute* find_attribute(const Attributes& attributes, std::string_view name) {
  for (const Attribute& attribute : attributes) {
    if (attribute.name == name) return &attribute;
  }
  return nullptr;
}

std::optional<std::string> text_attribute(const Attributes& attributes, std::string_view name) {
  const Attribute* attribute = find_attribute(attributes, name);
  if (attribute == nullptr || attribute->null_space || attribute->value.count() != 1) return {};
  Kind kind = attribute->value.type.kind;
  if (kind != Kind::kString && kind != Kind::kVlenString && kind != Kind::kUnicode) return {};
  return attribute->value.text(0);
}

std::optional<double> number_attribute(const Attributes& attributes, std::string_view name) {
  const Attribute* attribute = find_attribute(attributes, name);
  if (attribute == nullptr || attribute->null_space || attribute->value.count() != 1) return {};
  if (!attribute->value.type.is_number()) return {};
  return attribute->value.number(0);
}

}  // namespace upwell
