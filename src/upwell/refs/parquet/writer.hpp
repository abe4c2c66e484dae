#pragma once
// Writing of flat Parquet files as fsspec's LazyReferenceMapper wants them: one row group,
// Zstandard, no minima and maxima, a dictionary for text.

#include <limits>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::parquet {

/// One column to write.
struct OutColumn {
  enum class Kind { kInt64, kText, kBytes };
  static constexpr uint32_t kNull = std::numeric_limits<uint32_t>::max();

  std::string name;
  Kind kind = Kind::kInt64;
  std::vector<int64_t> integers;    ///< kInt64 (required): one per row
  std::vector<std::string> values;  ///< kText, kBytes (optional): distinct values as far as known
  std::vector<uint32_t> rows;       ///< kText, kBytes: per row the number of its value, or kNull
};

/// The whole file. Text is dictionary-encoded unless every row is null (fastparquet cannot read
/// that). Same input, same bytes. kInvalidArgument when columns differ in rows, or a value number
/// is out of range; kUnsupported for pages beyond 2 GiB.
Result<Bytes> write_table(const std::vector<OutColumn>& columns, int zstd_level = 3);

}  // namespace upwell::parquet
