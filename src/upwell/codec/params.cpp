#include "codec/params.hpp"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace upwell::codec {
namespace {

std::optional<int64_t> integer_of(const nlohmann::json& value) {
  if (value.is_number_unsigned()) {
    const auto number = value.get<uint64_t>();
    if (number > static_cast<uint64_t>(INT64_MAX)) return std::nullopt;
    return static_cast<int64_t>(number);
  }
  if (value.is_number_integer()) return value.get<int64_t>();
  return std::nullopt;
}

std::optional<std::vector<int64_t>> integers_of(const nlohmann::json& value) {
  std::vector<int64_t> out;
  out.reserve(value.size());
  for (const auto& item : value) {
    const auto number = integer_of(item);
    if (!number) return std::nullopt;
    out.push_back(*number);
  }
  return out;
}

}  // namespace

Result<ItemType> parse_item_type(std::string_view text) {
  const auto unsupported = [&] {
    return fail(Code::kUnsupported, fmt::format("data type \"{}\" of a codec", text));
  };
  ItemType type;
  size_t at = 0;
  if (!text.empty() && (text[0] == '<' || text[0] == '>' || text[0] == '|' || text[0] == '=')) {
    type.big_endian = text[0] == '>';
    at = 1;
  }
  // numpy's long names appear in hand-written configurations ("float32").
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"float32", "f4"}, {"float64", "f8"}, {"float16", "f2"}, {"int8", "i1"},
      {"int16", "i2"},   {"int32", "i4"},   {"int64", "i8"},   {"uint8", "u1"},
      {"uint16", "u2"},  {"uint32", "u4"},  {"uint64", "u8"},  {"bool", "b1"}};
  std::string_view rest = text.substr(at);
  for (const auto& [name, code] : kNames) {
    if (rest == name) rest = code;
  }
  if (rest.size() < 2) return unsupported();
  type.kind = rest[0];
  const char size = rest[1];
  const bool date = type.kind == 'M' || type.kind == 'm';
  if (!date && rest.size() != 2) return unsupported();
  if (size != '1' && size != '2' && size != '4' && size != '8') return unsupported();
  type.size = static_cast<size_t>(size - '0');
  if (date) {
    if (type.size != 8) return unsupported();
    type.kind = 'i';
  }
  const bool known = type.kind == 'i' || type.kind == 'u' || (type.kind == 'f' && type.size >= 2) ||
                     (type.kind == 'b' && type.size == 1);
  if (!known) return unsupported();
  if (type.size == 1) type.big_endian = false;
  return type;
}

tl::unexpected<Error> Params::bad(const std::string& message) const {
  return fail(Code::kInvalidData, fmt::format("codec {}: {}", id_, message));
}

Result<Params> Params::parse(std::string_view id, std::string_view config) {
  Params params;
  params.id_ = id;
  const auto json = nlohmann::json::parse(config, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return params.bad("parameters are not a JSON object");
  for (const auto& [name, value] : json.items()) {
    if (value.is_null()) continue;
    Value& slot = params.values_[name];
    if (value.is_boolean()) {
      slot = value.get<bool>();
    } else if (const auto number = integer_of(value)) {
      slot = *number;
    } else if (value.is_number()) {
      slot = value.get<double>();
    } else if (value.is_string()) {
      slot = value.get<std::string>();
    } else if (value.is_array()) {
      if (auto list = integers_of(value)) slot = std::move(*list);
    }
  }
  return params;
}

const Params::Value* Params::find(std::string_view name) const {
  const auto it = values_.find(name);
  return it == values_.end() ? nullptr : &it->second;
}

bool Params::is_integer(std::string_view name) const {
  const Value* value = find(name);
  return value && std::holds_alternative<int64_t>(*value);
}

Result<int64_t> Params::integer(std::string_view name, std::optional<int64_t> fallback, int64_t low,
                                int64_t high) const {
  const Value* value = find(name);
  if (!value && fallback) return *fallback;
  if (!value) return bad(fmt::format("\"{}\" is missing", name));
  const auto* number = std::get_if<int64_t>(value);
  if (!number) return bad(fmt::format("\"{}\" is not an integer", name));
  if (*number < low || *number > high) {
    return bad(fmt::format("\"{}\" is {}, outside {} to {}", name, *number, low, high));
  }
  return *number;
}

Result<double> Params::number(std::string_view name) const {
  const Value* value = find(name);
  if (!value) return bad(fmt::format("\"{}\" is missing", name));
  if (const auto* number = std::get_if<int64_t>(value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<double>(value)) return *number;
  return bad(fmt::format("\"{}\" is not a number", name));
}

Result<bool> Params::boolean(std::string_view name, bool fallback) const {
  const Value* value = find(name);
  if (!value) return fallback;
  if (const auto* flag = std::get_if<bool>(value)) return *flag;
  return bad(fmt::format("\"{}\" is not true or false", name));
}

Result<std::string> Params::text(std::string_view name, std::optional<std::string> fallback) const {
  const Value* value = find(name);
  if (!value && fallback) return *fallback;
  if (!value) return bad(fmt::format("\"{}\" is missing", name));
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  return bad(fmt::format("\"{}\" is not text", name));
}

Result<std::vector<int64_t>> Params::integers(std::string_view name) const {
  const Value* value = find(name);
  if (!value) return bad(fmt::format("\"{}\" is missing", name));
  if (const auto* list = std::get_if<std::vector<int64_t>>(value)) return *list;
  return bad(fmt::format("\"{}\" is not a list of integers", name));
}

Result<std::vector<uint32_t>> Params::cd_values(size_t at_least) const {
  std::vector<int64_t> wide;
  if (has("cd_values")) {
    UPWELL_TRY(wide, integers("cd_values"));
  }
  if (wide.size() < at_least) {
    return bad(fmt::format("{} client data values, at least {} are needed", wide.size(), at_least));
  }
  std::vector<uint32_t> values;
  values.reserve(wide.size());
  for (const int64_t value : wide) {
    if (value < 0 || value > UINT32_MAX) return bad("a client data value is not 32 bits");
    values.push_back(static_cast<uint32_t>(value));
  }
  return values;
}

Result<ItemType> Params::item_type(std::string_view name, std::string_view fallback_name) const {
  const bool use_fallback = !has(name) && !fallback_name.empty();
  UPWELL_TRY(const std::string type, text(use_fallback ? fallback_name : name, std::nullopt));
  auto parsed = parse_item_type(type);
  if (!parsed) return fail(std::move(parsed.error()).with(fmt::format("codec {}", id_)));
  return *parsed;
}

}  // namespace upwell::codec
