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

/// A configuration file. What a command needs it asks for by key; a key that is absent, or that
/// holds something else, is kBadConfiguration and names file, line and key. Keys that nobody asks
/// for are not looked at.
class Config {
 public:
  /// `name`: of the file, for messages. kBadConfiguration: not YAML, not a map of keys, or a key
  /// that occurs twice (of which programs take different ones).
  static Result<Config> parse(const std::string& text, std::string name);

  const std::string& name() const { return name_; }
  /// Null when the key is absent or has no value.
  const ConfigValue* find(const std::string& key) const;
  Result<std::string> text(const std::string& key) const;
  Result<int64_t> integer(const std::string& key) const;
  Result<double> number(const std::string& key) const;
  /// "YYYY-MM-DDThh:mm:ss" as seconds since 1970-01-01 (proleptic Gregorian).
  Result<int64_t> time(const std::string& key) const;
  /// The scalar `member` of a map; nullopt when the map has no such member.
  Result<std::optional<std::string>> member(const std::string& key,
                                            const std::string& member) const;

  /// An error about a key: "FILE:LINE:COLUMN: KEY: message".
  Error wrong(const std::string& key, const std::string& message) const;

 private:
  Result<const ConfigValue*> scalar(const std::string& key, const char* what) const;
  std::string name_;
  std::map<std::string, ConfigValue> keys_;
};

}  // namespace upwell::produce
