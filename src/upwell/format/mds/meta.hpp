#pragma once
// The text of a .meta file (MITgcm pkg/mdsio, mdsio_write_meta.F). Internal.

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace upwell::format::mds {

/// What a file holds of one dimension of the field: elements `start` to `end`, counted from 1, of
/// `size`.
struct MetaDimension {
  uint64_t size = 0, start = 0, end = 0;
  uint64_t extent() const { return end - start + 1; }
  bool whole() const { return start == 1 && end == size; }
};

/// An item without a meaning here, kept: either texts or numbers.
struct MetaItem {
  std::string key;
  std::vector<std::string> texts;
  std::vector<double> numbers;
};

struct Meta {
  std::vector<MetaDimension> dimensions;  ///< the one that varies fastest first
  uint32_t item_size = 0;                 ///< 4 or 8, of big endian floats
  uint64_t records = 0;
  std::optional<int64_t> step;      ///< timeStepNumber
  std::vector<double> interval;     ///< timeInterval: none, the moment, or begin and end; seconds
  std::string date;                 ///< timeStepDate, "1992-02-01T00:00:00"
  std::optional<double> missing;    ///< missingValue
  std::vector<std::string> fields;  ///< fldList, without the blanks that pad
  std::vector<MetaItem> others;
  std::map<std::string, uint32_t, std::less<>> lines;  ///< of every key

  /// "line 7: "; empty for a key that is not there.
  std::string at(std::string_view key) const;
  uint64_t record_elements() const;  ///< of one record: product of the extents
  uint64_t data_bytes() const;       ///< what the .data holds
};

/// The whole grammar: items `key = [ ... ];` or `key = { ... };` of numbers and quoted texts,
/// commas and line ends anywhere between them, comments /* ... */; keys in any order. dataprec may
/// be called format. kInvalidData with the number of the line; sizes that cannot be (overflow, no
/// elements) are errors too.
Result<Meta> parse_meta(std::string_view text);

}  // namespace upwell::format::mds
