#pragma once
// The footer of a Parquet file and the headers of its pages. Internal.

#include <optional>
#include <string>
#include <vector>

#include "refs/parquet/reader.hpp"
#include "refs/parquet/thrift.hpp"

namespace upwell::parquet {

enum class Compression : int32_t { kNone = 0, kSnappy = 1, kGzip = 2, kZstd = 6 };
enum class Encoding : int32_t {
  kPlain = 0,
  kPlainDictionary = 2,
  kRle = 3,
  kDeltaBinaryPacked = 5,
  kDeltaLengthByteArray = 6,
  kDeltaByteArray = 7,
  kRleDictionary = 8,
  kByteStreamSplit = 9,
};

struct SchemaLeaf {
  std::string name;
  Type type = Type::kInt64;
  uint32_t fixed_length = 0;
  bool optional = false;
  bool utf8 = false;
  bool nested = false;  ///< below or itself a group, or repeated: not read
};

struct ColumnChunk {
  int32_t type = -1;
  int32_t codec = 0;
  int64_t values = 0;
  int64_t compressed_size = 0;
  int64_t data_offset = -1;
  int64_t dictionary_offset = -1;
  bool encrypted = false, external = false;
};

struct RowGroup {
  int64_t rows = 0;
  std::vector<ColumnChunk> columns;  ///< one per leaf
};

struct Footer {
  std::vector<SchemaLeaf> leaves;
  std::vector<RowGroup> groups;
  uint64_t data_end = 0;  ///< where the footer begins
};

struct PageHeader {
  int32_t kind = -1;  ///< 0 data, 2 dictionary, 3 data v2
  int64_t uncompressed = -1, compressed = -1;
  std::optional<uint32_t> crc;
  int64_t values = -1;
  int32_t encoding = -1;
  int64_t definition_bytes = 0, repetition_bytes = 0;  ///< v2
  bool is_compressed = true;                           ///< v2
  size_t header_bytes = 0;
};

Result<Footer> read_footer(ByteSpan file);
Result<PageHeader> read_page_header(ByteSpan bytes);

}  // namespace upwell::parquet
