#pragma once
// Arrow IPC files of one record batch, uncompressed and without nulls
// (https://arrow.apache.org/docs/format/Columnar.html, "IPC File Format"): the columns of a store.
// pyarrow reads what this writes. Internal to refs/store.

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "refs/store/store_file.hpp"

namespace upwell::refs::arrow {

enum class Type : uint8_t {
  kUint32,
  kUint64,
  kInt64,
  kText,    ///< large_utf8
  kBinary,  ///< large_binary
};

struct Field {
  std::string name;
  Type type = Type::kUint64;
};

/// Bytes of one value of a fixed-width column, 0 for the others.
uint32_t width_of(Type type);

// --- Writing ------------------------------------------------------------------------------------

/// A column in memory, to be written.
struct Column {
  Field field;
  Bytes values;                  ///< little-endian
  std::vector<int64_t> ends{0};  ///< of kText and kBinary

  void add(uint64_t value);
  void add(std::string_view bytes);
};

Result<> write_table(const std::filesystem::path& path, const std::vector<Column>& columns,
                     uint64_t rows);

/// Writes fixed-width columns piece by piece, in any order, in memory that does not grow with rows.
class TableWriter {
 public:
  static Result<TableWriter> create(const std::filesystem::path& path, std::vector<Field> fields,
                                    uint64_t rows);
  TableWriter(TableWriter&& other) noexcept;
  TableWriter& operator=(TableWriter&&) = delete;
  ~TableWriter();
  /// Values of one column from `row` on, little-endian.
  Result<> put(size_t column, uint64_t row, ByteSpan values);
  Result<> finish();
  uint64_t bytes() const { return end_; }

 private:
  TableWriter(std::filesystem::path path, int fd) : path_(std::move(path)), fd_(fd) {}
  std::filesystem::path path_;
  int fd_ = -1;
  std::vector<Field> fields_;
  std::vector<uint64_t> starts_;  // of each column in the file
  Bytes footer_;
  uint64_t footer_at_ = 0, end_ = 0;
};

// --- Reading ------------------------------------------------------------------------------------

/// Where the values of a column lie in their file. Checked against its size.
struct ColumnPlace {
  Field field;
  uint64_t values = 0;  ///< offset of the first value
  uint64_t bytes = 0;   ///< of all values; of those where width_of is 0, at most
  uint64_t ends = 0;    ///< offset of rows + 1 int64, where width_of is 0
};

/// A file whose columns stay where they are.
struct Table {
  std::shared_ptr<const StoreFile> file;
  uint64_t rows = 0;
  std::vector<ColumnPlace> columns;

  const ColumnPlace* find(std::string_view name) const;
};
/// kInvalidData for what is not such a file; kUnsupported for what Arrow allows and this does not
/// read: several batches, nulls, compression, dictionaries, columns of other types.
Result<Table> open_table(std::shared_ptr<const StoreFile> file);

/// Some rows of a column, in memory. Rows count from the first of them.
class Rows {
 public:
  uint64_t number(uint64_t row) const;
  ByteSpan bytes(uint64_t row) const;
  std::string_view text(uint64_t row) const { return as_text(bytes(row)); }
  /// The same bytes, sharing their owner.
  SharedBytes shared(uint64_t row) const;

 private:
  friend Result<Rows> read_rows(const Table&, std::string_view, Type, uint64_t, uint64_t);
  Type type_ = Type::kUint64;
  uint64_t base_ = 0;  // end of the row before the first
  SharedBytes values_, ends_;
};
/// Rows [first, first + count). kInvalidData when there is no such column of that type, when it has
/// no such rows, or when its offsets do not rise.
Result<Rows> read_rows(const Table& table, std::string_view name, Type type, uint64_t first,
                       uint64_t count);

}  // namespace upwell::refs::arrow
