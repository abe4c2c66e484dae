#include "refs/parquet/writer.hpp"

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>
#include <bit>

#include "refs/parquet/encodings.hpp"
#include "refs/parquet/footer.hpp"
#include "refs/parquet/thrift.hpp"

namespace upwell::parquet {
namespace {

constexpr size_t kPageTarget = size_t{16} << 20;
constexpr size_t kMaxPage = (size_t{1} << 31) - 1;
constexpr std::string_view kCreator = "upwell (own writer)";

struct WrittenColumn {
  int64_t dictionary_offset = -1, data_offset = -1;
  int64_t uncompressed = 0, compressed = 0;
  bool dictionary = false;
};

class TableWriter {
 public:
  TableWriter(const std::vector<OutColumn>& columns, int level)
      : columns_(columns), level_(level) {}

  Result<Bytes> write() {
    if (columns_.empty()) return fail(Code::kInvalidArgument, "a table without columns");
    rows_ = row_count(columns_[0]);
    append(as_bytes("PAR1"));
    for (const OutColumn& column : columns_) {
      auto done = write_column(column);
      if (!done) return fail(std::move(done).error().with("column " + column.name));
    }
    const Bytes footer = make_footer();
    append(footer);
    uint8_t size[4];
    store_le(size, static_cast<uint32_t>(footer.size()));
    append(size);
    append(as_bytes("PAR1"));
    return std::move(out_);
  }

 private:
  static size_t row_count(const OutColumn& column) {
    return column.kind == OutColumn::Kind::kInt64 ? column.integers.size() : column.rows.size();
  }
  void append(ByteSpan bytes) { out_.insert(out_.end(), bytes.begin(), bytes.end()); }

  Result<> write_column(const OutColumn& column);
  Result<> write_dictionary(const OutColumn& column);
  Result<> write_integers(const OutColumn& column);
  Result<> write_values(const OutColumn& column);
  Result<> write_page(int32_t kind, int64_t values, Encoding encoding, ByteSpan body);
  Bytes make_footer() const;
  void put_schema(ThriftWriter& t) const;
  void put_column(ThriftWriter& t, const OutColumn& column, const WrittenColumn& written) const;

  const std::vector<OutColumn>& columns_;
  int level_;
  size_t rows_ = 0;
  Bytes out_;
  std::vector<WrittenColumn> written_;
};

Result<> TableWriter::write_page(int32_t kind, int64_t values, Encoding encoding, ByteSpan body) {
  if (body.size() > kMaxPage) return fail(Code::kUnsupported, "a page of 2 GiB or more");
  Bytes packed(ZSTD_compressBound(body.size()));
  const size_t size = ZSTD_compress(packed.data(), packed.size(), body.data(), body.size(), level_);
  if (ZSTD_isError(size) != 0 || size > kMaxPage) {
    return fail(Code::kInternal, "Zstandard could not compress a page");
  }
  ThriftWriter t;
  t.begin_struct();
  t.i32(1, kind);
  t.i32(2, static_cast<int32_t>(body.size()));
  t.i32(3, static_cast<int32_t>(size));
  t.struct_field(kind == 2 ? 7 : 5);
  t.i32(1, static_cast<int32_t>(values));
  t.i32(2, static_cast<int32_t>(encoding));
  if (kind == 0) {
    t.i32(3, static_cast<int32_t>(Encoding::kRle));
    t.i32(4, static_cast<int32_t>(Encoding::kRle));
  }
  t.end_struct();
  t.end_struct();
  const Bytes header = t.take();
  append(header);
  append(ByteSpan(packed).first(size));
  written_.back().uncompressed += static_cast<int64_t>(header.size() + body.size());
  written_.back().compressed += static_cast<int64_t>(header.size() + size);
  return {};
}

Result<> TableWriter::write_dictionary(const OutColumn& column) {
  Bytes body;
  for (const std::string& value : column.values) {
    uint8_t size[4];
    store_le(size, static_cast<uint32_t>(value.size()));
    body.insert(body.end(), size, size + 4);
    body.insert(body.end(), value.begin(), value.end());
    if (body.size() > kMaxPage) return fail(Code::kUnsupported, "a dictionary of 2 GiB or more");
  }
  written_.back().dictionary = true;
  written_.back().dictionary_offset = static_cast<int64_t>(out_.size());
  return write_page(2, static_cast<int64_t>(column.values.size()), Encoding::kPlain, body);
}

Result<> TableWriter::write_integers(const OutColumn& column) {
  written_.back().data_offset = static_cast<int64_t>(out_.size());
  constexpr size_t kRows = kPageTarget / 8;
  for (size_t begin = 0; begin < rows_ || begin == 0; begin += kRows) {
    const size_t n = std::min(kRows, rows_ - begin);
    Bytes body(n * 8);
    for (size_t i = 0; i < n; ++i) store_le(body.data() + i * 8, column.integers[begin + i]);
    UPWELL_CHECK(write_page(0, static_cast<int64_t>(n), Encoding::kPlain, body));
  }
  return {};
}

Result<> TableWriter::write_values(const OutColumn& column) {
  for (const uint32_t number : column.rows) {
    if (number != OutColumn::kNull && number >= column.values.size()) {
      return fail(Code::kInvalidArgument,
                  fmt::format("value {} of {}", number, column.values.size()));
    }
  }
  const bool all_null = std::all_of(column.rows.begin(), column.rows.end(),
                                    [](uint32_t n) { return n == OutColumn::kNull; });
  const bool dictionary = column.kind == OutColumn::Kind::kText && !all_null;
  if (dictionary) UPWELL_CHECK(write_dictionary(column));
  written_.back().data_offset = static_cast<int64_t>(out_.size());
  const auto width =
      static_cast<uint32_t>(std::bit_width(column.values.empty() ? 0 : column.values.size() - 1));
  size_t begin = 0;
  do {
    std::vector<uint32_t> levels;
    std::vector<uint32_t> indices;
    Bytes plain;
    size_t i = begin;
    for (; i < rows_ && plain.size() < kPageTarget && i - begin < kPageTarget; ++i) {
      const uint32_t number = column.rows[i];
      levels.push_back(number == OutColumn::kNull ? 0 : 1);
      if (number == OutColumn::kNull) continue;
      if (dictionary) {
        indices.push_back(number);
        continue;
      }
      const std::string& value = column.values[number];
      uint8_t size[4];
      store_le(size, static_cast<uint32_t>(value.size()));
      plain.insert(plain.end(), size, size + 4);
      plain.insert(plain.end(), value.begin(), value.end());
    }
    const Bytes runs = encode_hybrid(levels, 1);
    Bytes body(4);
    store_le(body.data(), static_cast<uint32_t>(runs.size()));
    body.insert(body.end(), runs.begin(), runs.end());
    if (dictionary) {
      // A width of 0 is legal for one value, but not every reader takes it.
      const uint32_t bits = std::max<uint32_t>(width, 1);
      body.push_back(static_cast<uint8_t>(bits));
      plain = encode_hybrid(indices, bits);
    }
    body.insert(body.end(), plain.begin(), plain.end());
    UPWELL_CHECK(write_page(0, static_cast<int64_t>(i - begin),
                            dictionary ? Encoding::kRleDictionary : Encoding::kPlain, body));
    begin = i;
  } while (begin < rows_);
  return {};
}

Result<> TableWriter::write_column(const OutColumn& column) {
  if (row_count(column) != rows_) {
    return fail(Code::kInvalidArgument,
                fmt::format("{} rows where {} belong", row_count(column), rows_));
  }
  written_.emplace_back();
  return column.kind == OutColumn::Kind::kInt64 ? write_integers(column) : write_values(column);
}

void TableWriter::put_schema(ThriftWriter& t) const {
  t.list_field(2, Wire::kStruct, static_cast<uint32_t>(columns_.size() + 1));
  t.begin_struct();
  t.binary(4, "schema");
  t.i32(5, static_cast<int32_t>(columns_.size()));
  t.end_struct();
  for (const OutColumn& column : columns_) {
    const bool integers = column.kind == OutColumn::Kind::kInt64;
    t.begin_struct();
    t.i32(1, static_cast<int32_t>(integers ? Type::kInt64 : Type::kByteArray));
    t.i32(3, integers ? 0 : 1);
    t.binary(4, column.name);
    if (column.kind == OutColumn::Kind::kText) {
      t.i32(6, 0);  // UTF8
      t.struct_field(10);
      t.struct_field(1);  // STRING
      t.end_struct();
      t.end_struct();
    }
    t.end_struct();
  }
}

void TableWriter::put_column(ThriftWriter& t, const OutColumn& column,
                             const WrittenColumn& written) const {
  t.begin_struct();
  t.i64(2, written.data_offset);
  t.struct_field(3);
  t.i32(1, static_cast<int32_t>(column.kind == OutColumn::Kind::kInt64 ? Type::kInt64
                                                                       : Type::kByteArray));
  t.list_field(2, Wire::kI32, written.dictionary ? 3 : 2);
  t.element_i32(static_cast<int32_t>(Encoding::kPlain));
  t.element_i32(static_cast<int32_t>(Encoding::kRle));
  if (written.dictionary) t.element_i32(static_cast<int32_t>(Encoding::kRleDictionary));
  t.list_field(3, Wire::kBinary, 1);
  t.element_binary(column.name);
  t.i32(4, static_cast<int32_t>(Compression::kZstd));
  t.i64(5, static_cast<int64_t>(rows_));
  t.i64(6, written.uncompressed);
  t.i64(7, written.compressed);
  t.i64(9, written.data_offset);
  if (written.dictionary) t.i64(11, written.dictionary_offset);
  if (column.kind == OutColumn::Kind::kInt64) {
    // fastparquet makes floats of integers that may be null, unless told that there are none.
    t.struct_field(12);
    t.i64(3, 0);
    t.end_struct();
  }
  t.end_struct();
  t.end_struct();
}

Bytes TableWriter::make_footer() const {
  ThriftWriter t;
  t.begin_struct();
  t.i32(1, 2);
  put_schema(t);
  t.i64(3, static_cast<int64_t>(rows_));
  t.list_field(4, Wire::kStruct, 1);
  t.begin_struct();
  t.list_field(1, Wire::kStruct, static_cast<uint32_t>(columns_.size()));
  int64_t total = 0;
  int64_t packed = 0;
  for (size_t i = 0; i < columns_.size(); ++i) {
    put_column(t, columns_[i], written_[i]);
    total += written_[i].uncompressed;
    packed += written_[i].compressed;
  }
  t.i64(2, total);
  t.i64(3, static_cast<int64_t>(rows_));
  t.i64(5, 4);
  t.i64(6, packed);
  t.end_struct();
  t.binary(6, kCreator);
  t.end_struct();
  return t.take();
}

}  // namespace

Result<Bytes> write_table(const std::vector<OutColumn>& columns, int zstd_level) {
  return TableWriter(columns, zstd_level).write();
}

}  // namespace upwell::parquet
