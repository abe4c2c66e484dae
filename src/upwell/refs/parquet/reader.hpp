#pragma once
// Flat Parquet files (Apache Parquet format 2): what reference sets are kept in. No nesting, no
// predicates; a file or partition is read as a whole, column by column.

#include <limits>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::parquet {

/// Physical types (parquet.thrift).
enum class Type : uint8_t {
  kBoolean = 0,
  kInt32 = 1,
  kInt64 = 2,
  kInt96 = 3,
  kFloat = 4,
  kDouble = 5,
  kByteArray = 6,
  kFixedByteArray = 7,
};

/// One column, decoded. Byte arrays are kept once per dictionary entry.
struct Column {
  std::string name;
  Type type = Type::kInt64;
  bool optional = false;
  bool utf8 = false;          ///< annotated as text
  uint32_t fixed_length = 0;  ///< kFixedByteArray (and 12 for kInt96)
  uint64_t rows = 0;
  std::vector<uint8_t> valid;     ///< one per row; empty: no nulls
  std::vector<int64_t> integers;  ///< kBoolean, kInt32, kInt64: one per row, 0 where null
  std::vector<double> floats;     ///< kFloat, kDouble
  Bytes heap;                     ///< kByteArray, kFixedByteArray, kInt96: all values
  std::vector<uint64_t> ends;     ///< value i is heap[ends[i-1], ends[i])
  std::vector<uint32_t> values;   ///< per row: number of its value; kNoValue where null

  static constexpr uint32_t kNoValue = std::numeric_limits<uint32_t>::max();
  bool is_null(uint64_t row) const { return !valid.empty() && valid[row] == 0; }
  ByteSpan value(uint32_t number) const {
    const uint64_t begin = number == 0 ? 0 : ends[number - 1];
    return ByteSpan(heap).subspan(begin, ends[number] - begin);
  }
  size_t memory() const;
};

struct ReadLimits {
  uint64_t max_rows = uint64_t{1} << 26;
  uint64_t max_bytes = uint64_t{1} << 30;  ///< decompressed pages and decoded values, each
};

/// Columns by name, in the order asked for; all columns when `names` is empty. Names that the file
/// has not are left out. kInvalidData (with the column and the offset) for broken files,
/// kUnsupported for nested columns, encryption, and encodings or compressions that are not read:
/// read are PLAIN, dictionaries, RLE, DELTA_BINARY_PACKED, DELTA_LENGTH_BYTE_ARRAY,
/// DELTA_BYTE_ARRAY, BYTE_STREAM_SPLIT; no compression, Snappy, gzip, Zstandard.
Result<std::vector<Column>> read_columns(ByteSpan file, const std::vector<std::string>& names = {},
                                         const ReadLimits& limits = {});

}  // namespace upwell::parquet
