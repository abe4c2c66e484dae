// Attributes of Zarr documents (.zattrs, "attributes" of zarr.json) as attributes of the data
// model.

#include <simdjson.h>

#include "refs/zarr_metadata.hpp"
#include "refs/zarr_values.hpp"

namespace upwell::refs {
namespace {

namespace dom = simdjson::dom;

constexpr size_t kMaxDocument = 256U << 20;

Values json_value(dom::element element) {
  Values value = make_text(simdjson::minify(element));
  value.type.tag = kJsonTag;
  return value;
}

Values scalar_of(DataType type, const void* bytes) {
  Values value;
  value.data.resize(type.size);
  std::memcpy(value.data.data(), bytes, type.size);
  value.type = std::move(type);
  return value;
}

DataType bool_type() {
  DataType type;
  type.kind = Kind::kBool;
  return type;
}

/// A bare NaN or Infinity that strict_json marked.
std::optional<double> bare_number(std::string_view text) {
  return text.starts_with(kBareMark) ? decode_fill_attribute(text) : std::nullopt;
}

std::optional<double> list_double(dom::element item) {
  double number = 0;
  std::string_view text;
  if (item.is_number() && item.get(number) == simdjson::SUCCESS) return number;
  if (item.get(text) == simdjson::SUCCESS) return bare_number(text);
  return std::nullopt;
}

template <typename T>
Values list_values(DataType type, const std::vector<T>& items) {
  Values value;
  value.shape = {items.size()};
  value.data.resize(items.size() * sizeof(T));
  std::memcpy(value.data.data(), items.data(), value.data.size());
  value.type = std::move(type);
  return value;
}

std::optional<Values> integer_list(dom::array list) {
  std::vector<int64_t> items;
  for (dom::element item : list) {
    int64_t number = 0;
    if (item.type() != dom::element_type::INT64 || item.get(number) != simdjson::SUCCESS) return {};
    items.push_back(number);
  }
  return list_values(DataType::integer(8), items);
}

std::optional<Values> double_list(dom::array list) {
  std::vector<double> items;
  for (dom::element item : list) {
    auto number = list_double(item);
    if (!number) return {};
    items.push_back(*number);
  }
  return list_values(DataType::floating(8), items);
}

std::optional<Values> bool_list(dom::array list) {
  std::vector<uint8_t> items;
  for (dom::element item : list) {
    bool flag = false;
    if (item.get(flag) != simdjson::SUCCESS) return {};
    items.push_back(flag ? 1 : 0);
  }
  return list_values(bool_type(), items);
}

std::optional<Values> text_list(dom::array list) {
  std::vector<std::string> items;
  for (dom::element item : list) {
    std::string_view text;
    if (item.get(text) != simdjson::SUCCESS || text.starts_with(kBareMark)) return {};
    items.emplace_back(text);
  }
  return make_texts(items);
}

Values list_value(dom::element element) {
  dom::array list = element.get_array().value_unsafe();
  if (list.size() == 0) return json_value(element);
  if (auto value = integer_list(list)) return std::move(*value);
  if (auto value = double_list(list)) return std::move(*value);
  if (auto value = text_list(list)) return std::move(*value);
  if (auto value = bool_list(list)) return std::move(*value);
  return json_value(element);
}

Values attribute_value(dom::element element) {
  switch (element.type()) {
    case dom::element_type::INT64:
      return make_integer(element.get_int64().value_unsafe());
    case dom::element_type::UINT64: {
      const uint64_t number = element.get_uint64().value_unsafe();
      return scalar_of(DataType::unsigned_integer(8), &number);
    }
    case dom::element_type::DOUBLE:
      return make_number(element.get_double().value_unsafe());
    case dom::element_type::BOOL: {
      const uint8_t flag = element.get_bool().value_unsafe() ? 1 : 0;
      return scalar_of(bool_type(), &flag);
    }
    case dom::element_type::STRING: {
      const std::string_view text = element.get_string().value_unsafe();
      if (auto number = bare_number(text)) return make_number(*number);
      return make_text(text);
    }
    case dom::element_type::ARRAY:
      return list_value(element);
    default:
      return json_value(element);
  }
}

Result<Attributes> object_attributes(std::string_view text, bool member) {
  if (text.size() > kMaxDocument) {
    return fail(Code::kInvalidData, "attributes document is larger than 256 MiB");
  }
  UPWELL_TRY(const std::string strict, strict_json(text));
  dom::parser parser;
  dom::object object;
  auto parsed = parser.parse(strict);
  if (auto error = member ? parsed["attributes"].get(object) : parsed.get(object)) {
    return fail(Code::kInvalidData,
                std::string("attributes are not a JSON object: ") + simdjson::error_message(error));
  }
  Attributes attributes;
  attributes.reserve(object.size());
  for (auto field : object) {
    attributes.push_back({std::string(field.key), attribute_value(field.value), false});
  }
  return attributes;
}

}  // namespace

Result<Attributes> parse_zarr_attributes(std::string_view zattrs) {
  return object_attributes(zattrs, false);
}

Result<Attributes> parse_zarr3_attributes(std::string_view zarr_json) {
  return object_attributes(zarr_json, true);
}

}  // namespace upwell::refs
