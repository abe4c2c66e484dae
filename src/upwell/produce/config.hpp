#pragma once
// The configuration of ECCO dataset production (YAML): the keys of EDP's
// product_generation_config*.yaml (2024) and config_V4r*.yaml (2026), with the line of each for
// messages.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "produce/config_keys.hpp"

namespace upwell::produce {

/// One value: a scalar, a list or a map, and where it stands in the file (from 1; 0: not known).
struct ConfigValue {
  enum class Kind { kNull, kScalar, kList, kMap };
  Kind kind = Kind::kNull;
  std::string scalar;  ///< as written, without quotes
  std::vector<ConfigValue> items;
  std::map<std::string, ConfigValue> members;
  int line = 0, column = 0;
};

/// A configuration file. What a command needs it asks for by key, of those in config_keys.hpp; a
/// key that is absent, or that holds something else, is kBadConfiguration and names file, line and
/// key. Keys that nobody asks for are not looked at, but by `check`.
class Config {
 public:
  /// `name`: of the file, for messages. kBadConfiguration: not YAML, not a map of keys, or a key
  /// that occurs twice (of which programs take different ones).
  static Result<Config> parse(const std::string& text, std::string name);

  const std::string& name() const { return name_; }
  /// Null when the key is absent or has no value.
  const ConfigValue* find(KeyName key) const { return value_of(key.text()); }
  Result<std::string> text(KeyName key) const;
  Result<int64_t> integer(KeyName key) const;
  Result<double> number(KeyName key) const;
  /// "YYYY-MM-DDThh:mm:ss" as seconds since 1970-01-01 (proleptic Gregorian).
  Result<int64_t> time(KeyName key) const;
  /// The scalar `member` of a map; nullopt when the map has no such member.
  Result<std::optional<std::string>> member(KeyName key, const std::string& member) const;

  /// An error about a key: "FILE:LINE:COLUMN: KEY: message".
  Error wrong(KeyName key, const std::string& message) const;

  /// What a user should know of the file as a whole.
  struct Check {
    std::vector<std::string>
        wrong;  ///< values of another type than the key's: FILE:LINE:COLUMN: ...
    std::vector<std::string> unread;  ///< keys that nobody asks for: FILE:LINE: KEY
    std::vector<std::string> absent;  ///< keys without a value
    size_t read = 0;                  ///< keys that somebody asks for
  };
  Check check() const;

 private:
  const ConfigValue* value_of(const std::string& key) const;
  Error wrong_value(const std::string& key, const std::string& message) const;
  Result<const ConfigValue*> scalar(const std::string& key, const char* what) const;
  Result<int64_t> integer_of(const std::string& key) const;
  Result<double> number_of(const std::string& key) const;
  Result<int64_t> time_of(const std::string& key) const;
  Result<> has_type(const ConfigKey& key, const ConfigValue& value) const;
  std::string name_;
  std::map<std::string, ConfigValue> keys_;
};

}  // namespace upwell::produce
