#pragma once
// Parameters of a codec: the flat JSON object of a CodecSpec, checked once, without JSON types.

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/result.hpp"

namespace upwell::codec {

/// One scalar of a numpy data type such as "<f4", "|u1" or ">i2".
struct ItemType {
  char kind = 'u';  ///< b bool, i, u, f; M and m (dates) are kept as i
  size_t size = 1;
  bool big_endian = false;
  bool operator==(const ItemType&) const = default;
};

/// kUnsupported for types that are not numbers of 1, 2, 4 or 8 bytes.
Result<ItemType> parse_item_type(std::string_view text);

/// Every getter fails with kInvalidData, naming codec and parameter, when the value is missing
/// (without fallback) or of another type. A JSON null counts as missing.
class Params {
 public:
  static Result<Params> parse(std::string_view id, std::string_view config);

  bool has(std::string_view name) const { return values_.find(name) != values_.end(); }
  bool is_integer(std::string_view name) const;
  Result<int64_t> integer(std::string_view name, std::optional<int64_t> fallback, int64_t low,
                          int64_t high) const;
  Result<double> number(std::string_view name) const;
  Result<bool> boolean(std::string_view name, bool fallback) const;
  Result<std::string> text(std::string_view name, std::optional<std::string> fallback) const;
  Result<std::vector<int64_t>> integers(std::string_view name) const;
  /// {"cd_values":[...]} of an HDF5 filter, at least `at_least` of them.
  Result<std::vector<uint32_t>> cd_values(size_t at_least) const;
  /// A data type; `fallback_name` names the parameter to use when this one is missing.
  Result<ItemType> item_type(std::string_view name, std::string_view fallback_name = {}) const;

  /// kInvalidData "codec zlib: <message>".
  tl::unexpected<Error> bad(const std::string& message) const;

 private:
  using Value =
      std::variant<std::monostate, bool, int64_t, double, std::string, std::vector<int64_t>>;
  const Value* find(std::string_view name) const;

  std::string id_;
  std::map<std::string, Value, std::less<>> values_;
};

}  // namespace upwell::codec
