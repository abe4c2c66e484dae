#include "produce/config.hpp"

#include <fmt/core.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <charconv>

#include "produce/dates.hpp"

namespace upwell::produce {
namespace {

constexpr int kMaxDepth = 32;

Error at(const std::string& name, const YAML::Mark& mark, const std::string& message) {
  if (mark.is_null()) return Error{Code::kBadConfiguration, name + ": " + message, {}, {}};
  return Error{Code::kBadConfiguration,
               fmt::format("{}:{}:{}: {}", name, mark.line + 1, mark.column + 1, message),
               {},
               {}};
}

Result<ConfigValue> convert(const YAML::Node& node, const std::string& name, int depth) {
  if (depth > kMaxDepth) return fail(at(name, node.Mark(), "nested too deeply"));
  ConfigValue value;
  value.line = node.Mark().line + 1;
  value.column = node.Mark().column + 1;
  if (node.IsScalar()) {
    value.kind = ConfigValue::Kind::kScalar;
    value.scalar = node.Scalar();
  } else if (node.IsSequence()) {
    value.kind = ConfigValue::Kind::kList;
    for (const YAML::Node& item : node) {
      UPWELL_TRY(ConfigValue converted, convert(item, name, depth + 1));
      value.items.push_back(std::move(converted));
    }
  } else if (node.IsMap()) {
    value.kind = ConfigValue::Kind::kMap;
    for (const auto& pair : node) {
      if (!pair.first.IsScalar()) return fail(at(name, pair.first.Mark(), "a key that is no text"));
      const std::string& key = pair.first.Scalar();
      UPWELL_TRY(ConfigValue converted, convert(pair.second, name, depth + 1));
      if (!value.members.emplace(key, std::move(converted)).second)
        return fail(at(name, pair.first.Mark(), "the key '" + key + "' occurs a second time"));
    }
  }
  return value;
}

}  // namespace

Result<Config> Config::parse(const std::string& text, std::string name) {
  Config config;
  config.name_ = std::move(name);
  try {
    const YAML::Node root = YAML::Load(text);
    if (!root.IsMap()) return fail(at(config.name_, root.Mark(), "not a map of keys and values"));
    UPWELL_TRY(ConfigValue value, convert(root, config.name_, 0));
    config.keys_ = std::move(value.members);
  } catch (const YAML::Exception& error) {
    return fail(at(config.name_, error.mark, error.msg));
  }
  return config;
}

const ConfigValue* Config::value_of(const std::string& key) const {
  auto it = keys_.find(key);
  return it == keys_.end() || it->second.kind == ConfigValue::Kind::kNull ? nullptr : &it->second;
}

Error Config::wrong(KeyName key, const std::string& message) const {
  return wrong_value(key.text(), message);
}

Error Config::wrong_value(const std::string& key, const std::string& message) const {
  auto it = keys_.find(key);
  const std::string where =
      it == keys_.end() ? name_
                        : fmt::format("{}:{}:{}", name_, it->second.line, it->second.column);
  return Error{Code::kBadConfiguration, fmt::format("{}: {}: {}", where, key, message), {}, {}};
}

Result<const ConfigValue*> Config::scalar(const std::string& key, const char* what) const {
  const ConfigValue* value = value_of(key);
  if (value == nullptr) return fail(wrong_value(key, std::string("missing; wanted is ") + what));
  if (value->kind != ConfigValue::Kind::kScalar)
    return fail(wrong_value(key, std::string("a list or map, where wanted is ") + what));
  return value;
}

Result<std::string> Config::text(KeyName key) const {
  UPWELL_TRY(const ConfigValue* value, scalar(key.text(), "text"));
  return value->scalar;
}

Result<int64_t> Config::integer(KeyName key) const { return integer_of(key.text()); }

Result<int64_t> Config::integer_of(const std::string& key) const {
  UPWELL_TRY(const ConfigValue* value, scalar(key, "an integer"));
  const std::string& text = value->scalar;
  int64_t result = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(wrong_value(key, "'" + text + "' is not an integer"));
  return result;
}

Result<double> Config::number(KeyName key) const { return number_of(key.text()); }

Result<double> Config::number_of(const std::string& key) const {
  UPWELL_TRY(const ConfigValue* value, scalar(key, "a number"));
  const std::string& text = value->scalar;
  double result = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), result);
  if (error != std::errc() || end != text.data() + text.size())
    return fail(wrong_value(key, "'" + text + "' is not a number"));
  return result;
}

Result<int64_t> Config::time(KeyName key) const { return time_of(key.text()); }

Result<int64_t> Config::time_of(const std::string& key) const {
  UPWELL_TRY(const ConfigValue* value, scalar(key, "a time, 'YYYY-MM-DDThh:mm:ss'"));
  auto span = parse_time_span(value->scalar);
  if (!span)
    return fail(wrong_value(key, "'" + value->scalar + "' is not a time, 'YYYY-MM-DDThh:mm:ss'"));
  return span->begin;
}

Result<std::optional<std::string>> Config::member(KeyName key, const std::string& member) const {
  const ConfigValue* value = find(key);
  if (value == nullptr) return fail(wrong(key, "missing; wanted is a map with '" + member + "'"));
  if (value->kind != ConfigValue::Kind::kMap)
    return fail(wrong(key, "not a map with '" + member + "'"));
  auto it = value->members.find(member);
  if (it == value->members.end() || it->second.kind == ConfigValue::Kind::kNull)
    return std::optional<std::string>{};
  if (it->second.kind != ConfigValue::Kind::kScalar)
    return fail(wrong(key, "'" + member + "' is not text"));
  return std::optional<std::string>(it->second.scalar);
}

Result<> Config::has_type(const ConfigKey& key, const ConfigValue& value) const {
  const std::string name(key.name);
  const auto nothing = [](const auto&) {};
  if (key.type == "integer") return integer_of(name).transform(nothing);
  if (key.type == "number") return number_of(name).transform(nothing);
  if (key.type == "time") return time_of(name).transform(nothing);
  const ConfigValue::Kind wanted = key.type == "list"  ? ConfigValue::Kind::kList
                                   : key.type == "map" ? ConfigValue::Kind::kMap
                                                       : ConfigValue::Kind::kScalar;
  if (value.kind != wanted) return fail(wrong_value(name, "wanted is a " + std::string(key.type)));
  return {};
}

Config::Check Config::check() const {
  Check check;
  for (const auto& [name, value] : keys_) {
    const auto known = std::find_if(kConfigKeys.begin(), kConfigKeys.end(),
                                    [&](const ConfigKey& key) { return key.name == name; });
    if (known == kConfigKeys.end()) {
      check.unread.push_back(fmt::format("{}:{}: {}", name_, value.line, name));
      continue;
    }
    ++check.read;
    if (value.kind != ConfigValue::Kind::kNull &&
        (value.kind != ConfigValue::Kind::kScalar || !value.scalar.empty())) {
      if (auto right = has_type(*known, value); !right)
        check.wrong.push_back(right.error().message);
    }
  }
  for (const ConfigKey& key : kConfigKeys) {
    if (value_of(std::string(key.name)) == nullptr) check.absent.emplace_back(key.name);
  }
  return check;
}

}  // namespace upwell::produce
