#include "refs/parquet/reader.hpp"

#include <fmt/format.h>
#include <snappy-c.h>
#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "refs/parquet/footer.hpp"
#include "refs/parquet/values.hpp"

namespace upwell::parquet {
namespace {

constexpr int32_t kDataPage = 0;
constexpr int32_t kDictionaryPage = 2;
constexpr int32_t kDataPageV2 = 3;

tl::unexpected<Error> broken_page(const char* codec) {
  return fail(Code::kInvalidData, fmt::format("{} data of a page is broken", codec));
}

Result<> inflate_page(ByteSpan in, MutableByteSpan out) {
  z_stream stream{};
  if (inflateInit2(&stream, 15 + 32) != Z_OK) return fail(Code::kResourceExhausted, "zlib");
  stream.next_in = const_cast<Bytef*>(in.data());
  stream.avail_in = static_cast<uInt>(in.size());
  stream.next_out = out.data();
  stream.avail_out = static_cast<uInt>(out.size());
  const int status = inflate(&stream, Z_FINISH);
  inflateEnd(&stream);
  if (status != Z_STREAM_END || stream.avail_out != 0) return broken_page("gzip");
  return {};
}

/// Exactly `size` bytes. `in` and `size` are below 2 GiB.
Result<Bytes> decompress(int32_t codec, ByteSpan in, uint64_t size) {
  if (codec == static_cast<int32_t>(Compression::kNone)) {
    if (in.size() != size) return broken_page("uncompressed");
    return to_bytes(in);
  }
  if (size == 0) return Bytes();
  if (codec == static_cast<int32_t>(Compression::kSnappy)) {
    size_t length = 0;
    const auto* data = reinterpret_cast<const char*>(in.data());
    if (snappy_uncompressed_length(data, in.size(), &length) != SNAPPY_OK || length != size) {
      return broken_page("Snappy");
    }
    Bytes out(size);
    if (snappy_uncompress(data, in.size(), reinterpret_cast<char*>(out.data()), &length) !=
            SNAPPY_OK ||
        length != size) {
      return broken_page("Snappy");
    }
    return out;
  }
  Bytes out(size);
  if (codec == static_cast<int32_t>(Compression::kGzip)) {
    UPWELL_CHECK(inflate_page(in, out));
    return out;
  }
  if (codec == static_cast<int32_t>(Compression::kZstd)) {
    if (ZSTD_decompress(out.data(), out.size(), in.data(), in.size()) != size) {
      return broken_page("Zstandard");
    }
    return out;
  }
  constexpr const char* kNames[] = {"none",   "Snappy", "gzip",      "LZO",
                                    "Brotli", "LZ4",    "Zstandard", "LZ4_RAW"};
  return fail(Code::kUnsupported,
              fmt::format("compression {} is not read",
                          codec >= 0 && codec < 8 ? kNames[codec] : std::to_string(codec)));
}

class ColumnReader {
 public:
  ColumnReader(ByteSpan file, const Footer& footer, const ReadLimits& limits, size_t leaf)
      : file_(file), footer_(footer), limits_(limits), leaf_(leaf) {
    const SchemaLeaf& schema = footer.leaves[leaf];
    column_.name = schema.name;
    column_.type = schema.type;
    column_.optional = schema.optional;
    column_.utf8 = schema.utf8;
    column_.fixed_length = schema.fixed_length;
  }

  Result<Column> read() {
    if (footer_.leaves[leaf_].nested)
      return fail(Code::kUnsupported, "nested columns are not read");
    for (const RowGroup& group : footer_.groups) UPWELL_CHECK(read_chunk(group));
    return std::move(column_);
  }

 private:
  Result<> read_chunk(const RowGroup& group);
  Result<> read_page(const ColumnChunk& chunk, const PageHeader& page, ByteSpan body,
                     uint64_t& rows);
  Result<> read_dictionary(const ColumnChunk& chunk, const PageHeader& page, ByteSpan body);
  Result<Bytes> page_bytes(const ColumnChunk& chunk, ByteSpan body, int64_t size);
  Result<> add_values(const PageHeader& page, ByteCursor& in, std::span<const uint32_t> levels);

  ByteSpan file_;
  const Footer& footer_;
  const ReadLimits& limits_;
  size_t leaf_;
  Column column_;
  PageValues dictionary_;
  bool has_dictionary_ = false;
  uint64_t decompressed_ = 0;
};

Result<Bytes> ColumnReader::page_bytes(const ColumnChunk& chunk, ByteSpan body, int64_t size) {
  if (size < 0 || static_cast<uint64_t>(size) > limits_.max_bytes - decompressed_) {
    return fail(Code::kResourceExhausted,
                fmt::format("page claims {} bytes, more than allowed", size));
  }
  decompressed_ += static_cast<uint64_t>(size);
  return decompress(chunk.codec, body, static_cast<uint64_t>(size));
}

Result<> ColumnReader::read_chunk(const RowGroup& group) {
  const ColumnChunk& chunk = group.columns[leaf_];
  if (chunk.encrypted || chunk.external) {
    return fail(Code::kUnsupported, "encrypted or external column data is not read");
  }
  if (chunk.type != static_cast<int32_t>(column_.type)) {
    return fail(Code::kInvalidData, "the type differs between schema and column chunk");
  }
  const uint64_t rows = static_cast<uint64_t>(group.rows);
  if (rows > limits_.max_rows - column_.rows) {
    return fail(Code::kResourceExhausted, fmt::format("more than {} rows", limits_.max_rows));
  }
  if (chunk.values != group.rows) {
    return fail(Code::kInvalidData, fmt::format("{} values for {} rows", chunk.values, group.rows));
  }
  if (rows == 0) return {};  // then some writers give no proper offset
  int64_t begin = chunk.data_offset;
  if (chunk.dictionary_offset > 0) begin = std::min(begin, chunk.dictionary_offset);
  if (begin < 4 || chunk.compressed_size < 0 || static_cast<uint64_t>(begin) > footer_.data_end ||
      static_cast<uint64_t>(chunk.compressed_size) >
          footer_.data_end - static_cast<uint64_t>(begin)) {
    return fail(Code::kInvalidData, fmt::format("column data of {} bytes at {} lies outside of the "
                                                "file",
                                                chunk.compressed_size, begin));
  }
  dictionary_ = {};
  has_dictionary_ = false;
  // Old writers forgot the header of the dictionary page in the size (PARQUET-816).
  constexpr uint64_t kForgotten = 100;
  const uint64_t end =
      std::min(static_cast<uint64_t>(begin + chunk.compressed_size) + kForgotten, footer_.data_end);
  ByteSpan pages = file_.subspan(static_cast<size_t>(begin), end - static_cast<uint64_t>(begin));
  uint64_t left = rows;
  while (left > 0) {
    const auto at = static_cast<uint64_t>(pages.data() - file_.data());
    const auto where = [&](Error error) {
      return fail(std::move(error).with(fmt::format("page at byte {}", at)));
    };
    auto header = read_page_header(pages);
    if (!header) return where(std::move(header).error());
    const uint64_t rest = pages.size() - header->header_bytes;
    if (header->compressed < 0 || static_cast<uint64_t>(header->compressed) > rest) {
      return where({Code::kInvalidData,
                    fmt::format("{} bytes pass the end of the column", header->compressed),
                    {},
                    {}});
    }
    const ByteSpan body =
        pages.subspan(header->header_bytes, static_cast<size_t>(header->compressed));
    pages = pages.subspan(header->header_bytes + body.size());
    auto done = read_page(chunk, *header, body, left);
    if (!done) return where(std::move(done).error());
  }
  return {};
}

Result<> ColumnReader::read_dictionary(const ColumnChunk& chunk, const PageHeader& page,
                                       ByteSpan body) {
  if (has_dictionary_) return fail(Code::kInvalidData, "a second dictionary");
  if (page.values < 0) return fail(Code::kInvalidData, "a dictionary without a count");
  UPWELL_TRY(const Bytes bytes, page_bytes(chunk, body, page.uncompressed));
  ByteCursor in(bytes);
  const auto count = static_cast<uint64_t>(page.values);
  if (count > limits_.max_rows || (count > bytes.size() && column_.type != Type::kFixedByteArray)) {
    return fail(Code::kInvalidData,
                fmt::format("a dictionary of {} values in {} bytes", count, bytes.size()));
  }
  UPWELL_TRY(dictionary_, decode_values(column_, Encoding::kPlain, in, count, limits_.max_bytes));
  has_dictionary_ = true;
  return {};
}

Result<> ColumnReader::read_page(const ColumnChunk& chunk, const PageHeader& page, ByteSpan body,
                                 uint64_t& rows) {
  if (page.crc && crc32(0, body.data(), static_cast<uInt>(body.size())) != *page.crc) {
    return fail(Code::kInvalidData, "checksum mismatch");
  }
  if (page.kind == kDictionaryPage) return read_dictionary(chunk, page, body);
  if (page.kind != kDataPage && page.kind != kDataPageV2) return {};  // index pages and new kinds
  if (page.values < 0 || static_cast<uint64_t>(page.values) > rows) {
    return fail(Code::kInvalidData,
                fmt::format("{} values where {} rows are left", page.values, rows));
  }
  if (page.values == 0) return {};
  const auto count = static_cast<uint64_t>(page.values);
  std::vector<uint32_t> levels;
  Bytes bytes;
  if (page.kind == kDataPage) {
    UPWELL_TRY(bytes, page_bytes(chunk, body, page.uncompressed));
    ByteCursor in(bytes);
    if (column_.optional) {
      UPWELL_TRY(const ByteSpan size, in.take(4));
      UPWELL_TRY(const ByteSpan runs, in.take(load_le<uint32_t>(size.data())));
      ByteCursor level_bytes(runs);
      UPWELL_TRY(levels, decode_hybrid(level_bytes, 1, count));
    }
    UPWELL_CHECK(add_values(page, in, levels));
  } else {
    ByteCursor whole(body);
    // All zero in a flat column, but some writers put them.
    UPWELL_CHECK(whole.take(static_cast<uint64_t>(page.repetition_bytes)));
    UPWELL_TRY(const ByteSpan runs, whole.take(static_cast<uint64_t>(page.definition_bytes)));
    if (column_.optional) {
      ByteCursor level_bytes(runs);
      UPWELL_TRY(levels, decode_hybrid(level_bytes, 1, count));
    }
    const int64_t size = page.uncompressed - page.definition_bytes - page.repetition_bytes;
    if (page.is_compressed) {
      UPWELL_TRY(bytes, page_bytes(chunk, whole.rest(), size));
    } else {
      bytes = to_bytes(whole.rest());
    }
    ByteCursor in(bytes);
    UPWELL_CHECK(add_values(page, in, levels));
  }
  rows -= count;
  return {};
}

Result<> ColumnReader::add_values(const PageHeader& page, ByteCursor& in,
                                  std::span<const uint32_t> levels) {
  const auto count = static_cast<uint64_t>(page.values);
  uint64_t present = count;
  if (!levels.empty()) {
    present = static_cast<uint64_t>(std::count(levels.begin(), levels.end(), 1U));
  }
  PageValues values;
  const auto encoding = static_cast<Encoding>(page.encoding);
  if (encoding == Encoding::kPlainDictionary || encoding == Encoding::kRleDictionary) {
    if (!has_dictionary_ && present > 0) return fail(Code::kInvalidData, "no dictionary");
    std::vector<uint32_t> indices;
    if (present > 0) {
      UPWELL_TRY(const ByteSpan width, in.take(1));
      UPWELL_TRY(indices, decode_hybrid(in, width[0], present));
    }
    UPWELL_TRY(values, look_up_values(dictionary_, column_.type, indices));
  } else if (present > 0) {
    UPWELL_TRY(values, decode_values(column_, encoding, in, present, limits_.max_bytes));
  }
  append_rows(column_, values, levels, count);
  return {};
}

}  // namespace

size_t Column::memory() const {
  return valid.capacity() + integers.capacity() * 8 + floats.capacity() * 8 + heap.capacity() +
         ends.capacity() * 8 + values.capacity() * 4;
}

Result<std::vector<Column>> read_columns(ByteSpan file, const std::vector<std::string>& names,
                                         const ReadLimits& limits) {
  UPWELL_TRY(const Footer footer, read_footer(file));
  std::vector<size_t> wanted;
  if (names.empty()) {
    for (size_t i = 0; i < footer.leaves.size(); ++i) wanted.push_back(i);
  }
  for (const std::string& name : names) {
    const auto it = std::find_if(footer.leaves.begin(), footer.leaves.end(),
                                 [&](const SchemaLeaf& leaf) { return leaf.name == name; });
    if (it != footer.leaves.end()) {
      wanted.push_back(static_cast<size_t>(it - footer.leaves.begin()));
    }
  }
  std::vector<Column> columns;
  for (const size_t leaf : wanted) {
    auto column = ColumnReader(file, footer, limits, leaf).read();
    if (!column) {
      return fail(std::move(column).error().with("column " + footer.leaves[leaf].name));
    }
    columns.push_back(std::move(*column));
  }
  return columns;
}

}  // namespace upwell::parquet
