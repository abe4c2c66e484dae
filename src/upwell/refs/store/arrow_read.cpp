#include <fmt/format.h>

#include "refs/store/arrow.hpp"
#include "refs/store/arrow_names.hpp"
#include "refs/store/flat.hpp"

namespace upwell::refs::arrow {
namespace {

constexpr uint64_t kMaxMetadata = 16 << 20;
constexpr uint64_t kMaxRows = uint64_t{1} << 40;

/// The column types that stores have; nullopt: another one.
std::optional<Type> type_of(const flat::Table& field) {
  const auto number = field.number<uint8_t>(kFieldTypeType);
  const auto type = field.table(kFieldType);
  if (!type || field.has(kFieldDictionary)) return {};
  if (number == kTypeLargeUtf8) return Type::kText;
  if (number == kTypeLargeBinary) return Type::kBinary;
  if (number == kTypeInt) {
    const auto bits = type->number<int32_t>(kIntBits);
    const bool with_sign = type->number<uint8_t>(kIntSigned) != 0;
    if (bits == 32 && !with_sign) return Type::kUint32;
    if (bits == 64) return with_sign ? Type::kInt64 : Type::kUint64;
    return {};
  }
  return {};
}

struct PlacedBuffer {
  uint64_t offset = 0, length = 0;  // in the file
};

/// Nodes and buffers of a record batch, taken one after the other.
class BatchWalk {
 public:
  BatchWalk(const flat::Table& batch, uint64_t body_at, uint64_t body_size)
      : nodes_(batch.vector(kBatchNodes).bytes(16)),
        buffers_(batch.vector(kBatchBuffers).bytes(16)),
        body_at_(body_at),
        body_size_(body_size) {}

  /// Length of the next node. kUnsupported when something in it is null.
  Result<uint64_t> node() {
    if (nodes_.size() < 16) return broken("too few nodes");
    const auto length = load_le<uint64_t>(nodes_.data());
    const auto nulls = load_le<uint64_t>(nodes_.data() + 8);
    nodes_ = nodes_.subspan(16);
    if (nulls != 0) return fail(Code::kUnsupported, "Arrow: a column with nulls");
    if (length > kMaxRows) return broken("a length that cannot be");
    return length;
  }
  /// The next buffer; it has at least `least` bytes.
  Result<PlacedBuffer> buffer(uint64_t least) {
    if (buffers_.size() < 16) return broken("too few buffers");
    const auto offset = load_le<uint64_t>(buffers_.data());
    const auto length = load_le<uint64_t>(buffers_.data() + 8);
    buffers_ = buffers_.subspan(16);
    if (length < least || offset > body_size_ || length > body_size_ - offset)
      return broken("a buffer outside of the file");
    return PlacedBuffer{body_at_ + offset, length};
  }
  static tl::unexpected<Error> broken(const std::string& what) {
    return fail(Code::kInvalidData, "Arrow: " + what);
  }

 private:
  ByteSpan nodes_, buffers_;
  uint64_t body_at_, body_size_;
};

Result<ColumnPlace> take_column(BatchWalk& walk, Field field, uint64_t rows) {
  ColumnPlace place;
  UPWELL_TRY(const uint64_t length, walk.node());
  if (length != rows) return BatchWalk::broken("columns of different lengths");
  UPWELL_CHECK(walk.buffer(0));  // validity
  const uint32_t width = width_of(field.type);
  if (width == 0) {
    UPWELL_TRY(const PlacedBuffer ends, walk.buffer(rows == 0 ? 0 : 8 * (rows + 1)));
    place.ends = ends.offset;
  }
  UPWELL_TRY(const PlacedBuffer values, walk.buffer(rows * width));
  place.values = values.offset;
  place.bytes = width > 0 ? rows * width : values.length;
  place.field = std::move(field);
  return place;
}

struct BlockPlace {
  uint64_t offset = 0, metadata = 0, body = 0;
};

/// The schema's fields and the one record batch. nullopt for a file without rows.
Result<std::optional<BlockPlace>> read_footer(const StoreFile& file, std::vector<Field>& fields) {
  const uint64_t tail = kMagic.size() + 4;
  if (file.size() < 8 + tail) return BatchWalk::broken("too short for an IPC file");
  UPWELL_TRY(const SharedBytes end, file.read({file.size() - tail, tail}));
  if (as_text(end.span().subspan(4)) != kMagic)
    return BatchWalk::broken("no IPC file: it does not end in ARROW1");
  const uint64_t size = load_le<uint32_t>(end.data());
  if (size > kMaxMetadata || size > file.size() - tail - 8)
    return BatchWalk::broken("a footer larger than the file");
  UPWELL_TRY(const SharedBytes bytes, file.read({file.size() - tail - size, size}));
  const flat::Buffer buffer{bytes.span()};
  const flat::Table footer = flat::Table::root(buffer);
  const auto schema = footer.table(kFooterSchema);
  const flat::Vector batches = footer.vector(kFooterBatches);
  if (!schema || buffer.bad) return BatchWalk::broken("a broken footer");
  if (schema->number<int16_t>(kSchemaEndianness) != 0)
    return fail(Code::kUnsupported, "Arrow: big-endian columns");
  const flat::Vector list = schema->vector(kSchemaFields);
  if (list.size() > 256) return fail(Code::kUnsupported, "Arrow: more than 256 columns");
  for (uint32_t i = 0; i < list.size(); ++i) {
    const flat::Table field = schema->element(list, i);
    const auto type = type_of(field);
    const std::string name(field.text(kFieldName));
    if (buffer.bad) return BatchWalk::broken("a broken schema");
    if (!type) return fail(Code::kUnsupported, "Arrow: column " + name + " has another type");
    fields.push_back({name, *type});
  }
  if (batches.size() == 0) return std::optional<BlockPlace>();
  if (batches.size() > 1) return fail(Code::kUnsupported, "Arrow: more than one record batch");
  const ByteSpan block = batches.bytes(24);
  if (buffer.bad) return BatchWalk::broken("a broken footer");
  return BlockPlace{load_le<uint64_t>(block.data()), load_le<uint32_t>(block.data() + 8),
                    load_le<uint64_t>(block.data() + 16)};
}

Result<> read_batch(const BlockPlace& block, std::vector<Field> fields, Table& out) {
  const StoreFile& file = *out.file;
  const uint64_t end = file.size();
  const bool inside = block.metadata >= 8 && block.metadata <= kMaxMetadata &&
                      block.offset <= end && block.metadata <= end - block.offset &&
                      block.body <= end - block.offset - block.metadata;
  if (!inside) return BatchWalk::broken("a record batch outside of the file");
  UPWELL_TRY(const SharedBytes bytes, file.read({block.offset, block.metadata}));
  if (load_le<uint32_t>(bytes.data()) != 0xffffffff)
    return fail(Code::kUnsupported, "Arrow: metadata older than version 0.15");
  const flat::Buffer buffer{bytes.span().subspan(8)};
  const flat::Table message = flat::Table::root(buffer);
  const auto batch = message.table(kMessageHeader);
  if (!batch || message.number<uint8_t>(kMessageHeaderType) != kHeaderRecordBatch || buffer.bad)
    return BatchWalk::broken("no record batch where the footer says");
  if (batch->has(kBatchCompression)) return fail(Code::kUnsupported, "Arrow: compressed columns");
  out.rows = batch->number<uint64_t>(kBatchLength);
  if (out.rows > kMaxRows) return BatchWalk::broken("a length that cannot be");
  BatchWalk walk(*batch, block.offset + block.metadata, block.body);
  if (buffer.bad) return BatchWalk::broken("a broken record batch");
  for (Field& field : fields) {
    UPWELL_TRY(ColumnPlace place, take_column(walk, std::move(field), out.rows));
    out.columns.push_back(std::move(place));
  }
  return {};
}

}  // namespace

uint32_t width_of(Type type) {
  switch (type) {
    case Type::kUint32:
      return 4;
    case Type::kUint64:
    case Type::kInt64:
      return 8;
    default:
      return 0;
  }
}

const ColumnPlace* Table::find(std::string_view name) const {
  for (const ColumnPlace& column : columns)
    if (column.field.name == name) return &column;
  return nullptr;
}

Result<Table> open_table(std::shared_ptr<const StoreFile> file) {
  Table out;
  out.file = std::move(file);
  auto read = [&]() -> Result<> {
    std::vector<Field> fields;
    UPWELL_TRY(const auto block, read_footer(*out.file, fields));
    if (block) return read_batch(*block, std::move(fields), out);
    for (Field& field : fields) out.columns.push_back({std::move(field), 0, 0, 0});
    return {};
  };
  auto result = read();
  if (!result) return fail(std::move(result).error().with(out.file->url()));
  return out;
}

Result<Rows> read_rows(const Table& table, std::string_view name, Type type, uint64_t first,
                       uint64_t count) {
  const ColumnPlace* place = table.find(name);
  const auto wrong = [&](const char* what) {
    return fail(Code::kInvalidData, table.file->url() + ": column " + std::string(name) + what);
  };
  if (place == nullptr || place->field.type != type) return wrong(" is missing, or another type");
  if (first > table.rows || count > table.rows - first) return wrong(" has no such rows");
  Rows out;
  out.type_ = type;
  if (count == 0) return out;
  if (const uint64_t width = width_of(type); width > 0) {
    UPWELL_TRY(out.values_, table.file->read({place->values + first * width, count * width}));
    return out;
  }
  UPWELL_TRY(out.ends_, table.file->read({place->ends + 8 * first, 8 * (count + 1)}));
  out.base_ = load_le<uint64_t>(out.ends_.data());
  uint64_t before = out.base_;
  for (uint64_t row = 1; row <= count; ++row) {
    const auto end = load_le<uint64_t>(out.ends_.data() + 8 * row);
    if (end < before || end > place->bytes) return wrong(": offsets that do not rise");
    before = end;
  }
  UPWELL_TRY(out.values_, table.file->read({place->values + out.base_, before - out.base_}));
  return out;
}

uint64_t Rows::number(uint64_t row) const {
  return width_of(type_) == 4 ? load_le<uint32_t>(values_.data() + 4 * row)
                              : load_le<uint64_t>(values_.data() + 8 * row);
}

SharedBytes Rows::shared(uint64_t row) const {
  const ByteSpan span = bytes(row);
  return values_.slice(static_cast<size_t>(span.data() - values_.data()), span.size());
}

ByteSpan Rows::bytes(uint64_t row) const {
  const auto begin = load_le<uint64_t>(ends_.data() + 8 * row);
  const auto end = load_le<uint64_t>(ends_.data() + 8 * (row + 1));
  return values_.span().subspan(begin - base_, end - begin);
}

}  // namespace upwell::refs::arrow
