#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "refs/store/arrow.hpp"
#include "refs/store/arrow_names.hpp"
#include "refs/store/flat.hpp"

namespace upwell::refs::arrow {
namespace {

using flat::kOffset;
using flat::Slot;

uint64_t rounded(uint64_t n, uint64_t to) { return (n + to - 1) / to * to; }

/// One buffer of the body, relative to it.
struct BufferPlace {
  uint64_t offset = 0, length = 0;
};

struct BodyPlan {
  std::vector<BufferPlace> buffers;    // as Arrow lists them
  std::vector<uint64_t> nodes;         // lengths
  std::vector<uint64_t> values, ends;  // by column: offset in the body
  uint64_t size = 0;
};

/// `sizes`: bytes of the values of each column.
BodyPlan plan_body(const std::vector<Field>& fields, const std::vector<uint64_t>& sizes,
                   uint64_t rows) {
  BodyPlan plan;
  auto place = [&](uint64_t length) {
    plan.buffers.push_back({plan.size, length});
    plan.size += rounded(length, kAlignment);
    return plan.buffers.back().offset;
  };
  for (size_t c = 0; c < fields.size(); ++c) {
    plan.nodes.push_back(rows);
    place(0);  // no validity bitmap: nothing is null
    plan.ends.push_back(width_of(fields[c].type) == 0 ? place(8 * (rows + 1)) : 0);
    plan.values.push_back(place(sizes[c]));
  }
  return plan;
}

void write_type(flat::Writer& out, uint32_t field, Type type) {
  out.point_here(field, kFieldType);
  const uint64_t bits = uint64_t{8} * width_of(type);
  const Slot integer[] = {{kIntBits, 4, bits}, {kIntSigned, 1, type == Type::kInt64 ? 1U : 0U}};
  out.table(bits > 0 ? std::span<const Slot>(integer) : std::span<const Slot>());
}

uint64_t type_number(Type type) {
  switch (type) {
    case Type::kText:
      return kTypeLargeUtf8;
    case Type::kBinary:
      return kTypeLargeBinary;
    default:
      return kTypeInt;
  }
}

void write_field(flat::Writer& out, const Field& field) {
  const Slot slots[] = {{kFieldName, 4, kOffset},
                        {kFieldNullable, 1, 0},
                        {kFieldTypeType, 1, type_number(field.type)},
                        {kFieldType, 4, kOffset},
                        {kFieldChildren, 4, kOffset}};
  const uint32_t table = out.table(slots);
  out.point_here(table, kFieldName);
  out.string(field.name);
  write_type(out, table, field.type);
  out.point_here(table, kFieldChildren);
  out.offsets(0);  // readers want the vector
}

void write_schema(flat::Writer& out, const std::vector<Field>& fields) {
  const Slot slots[] = {{kSchemaEndianness, 2, 0}, {kSchemaFields, 4, kOffset}};
  const uint32_t table = out.table(slots);
  out.point_here(table, kSchemaFields);
  const uint32_t vector = out.offsets(static_cast<uint32_t>(fields.size()));
  for (uint32_t i = 0; i < fields.size(); ++i) {
    out.point_element(vector, i);
    write_field(out, fields[i]);
  }
}

void append_number(Bytes& out, uint64_t value) {
  uint8_t bytes[8];
  store_le(bytes, value);
  out.insert(out.end(), bytes, bytes + 8);
}

/// A message without its body and, still, its length (see pad_message).
Bytes message(uint64_t header_type, uint64_t body, const auto& write_header) {
  flat::Writer out;
  const Slot slots[] = {{kMessageVersion, 2, kVersion5},
                        {kMessageHeaderType, 1, header_type},
                        {kMessageHeader, 4, kOffset},
                        {kMessageBodyLength, 8, body}};
  const uint32_t table = out.table(slots);
  out.point_here(table, kMessageHeader);
  write_header(out);
  Bytes framed(8, 0xff);
  framed.insert(framed.end(), out.bytes().begin(), out.bytes().end());
  return framed;
}

/// Pads a message that begins at `at` of the file, so that it ends at a multiple of `to`.
void pad_message(Bytes& framed, uint64_t at, uint64_t to) {
  framed.resize(rounded(at + framed.size(), to) - at, 0);
  store_le<int32_t>(framed.data() + 4, static_cast<int32_t>(framed.size() - 8));
}

void write_batch(flat::Writer& out, const BodyPlan& plan, uint64_t rows) {
  const Slot slots[] = {
      {kBatchLength, 8, rows}, {kBatchNodes, 4, kOffset}, {kBatchBuffers, 4, kOffset}};
  const uint32_t table = out.table(slots);
  Bytes nodes, buffers;
  for (uint64_t length : plan.nodes) {
    append_number(nodes, length);
    append_number(nodes, 0);  // nulls
  }
  for (const BufferPlace& buffer : plan.buffers) {
    append_number(buffers, buffer.offset);
    append_number(buffers, buffer.length);
  }
  out.point_here(table, kBatchNodes, /*wide=*/true);
  out.vector(plan.nodes.size(), nodes);
  out.point_here(table, kBatchBuffers, /*wide=*/true);
  out.vector(plan.buffers.size(), buffers);
}

/// Everything of a file but its body.
struct Frame {
  Bytes head;    // up to the body
  Bytes footer;  // from the end of the body on
};

Frame frame_of(const std::vector<Field>& fields, const BodyPlan& plan, uint64_t rows) {
  Frame frame;
  frame.head = to_bytes(kMagic);
  frame.head.resize(8, 0);
  Bytes schema = message(kHeaderSchema, 0, [&](flat::Writer& out) { write_schema(out, fields); });
  pad_message(schema, frame.head.size(), 8);
  frame.head.insert(frame.head.end(), schema.begin(), schema.end());
  const uint64_t at = frame.head.size();
  Bytes batch = message(kHeaderRecordBatch, plan.size,
                        [&](flat::Writer& out) { write_batch(out, plan, rows); });
  pad_message(batch, at, kAlignment);  // the body follows
  frame.head.insert(frame.head.end(), batch.begin(), batch.end());

  flat::Writer out;
  const Slot slots[] = {
      {kFooterVersion, 2, kVersion5}, {kFooterSchema, 4, kOffset}, {kFooterBatches, 4, kOffset}};
  const uint32_t table = out.table(slots);
  out.point_here(table, kFooterSchema);
  write_schema(out, fields);
  Bytes block;
  append_number(block, at);
  append_number(block, batch.size());  // 4 bytes and 4 of padding
  append_number(block, plan.size);
  out.point_here(table, kFooterBatches, /*wide=*/true);
  out.vector(1, block);
  frame.footer = to_bytes(kEndOfStream);
  frame.footer.insert(frame.footer.end(), out.bytes().begin(), out.bytes().end());
  uint8_t length[4];
  store_le<uint32_t>(length, static_cast<uint32_t>(out.bytes().size()));
  frame.footer.insert(frame.footer.end(), length, length + 4);
  const ByteSpan magic = as_bytes(kMagic);
  frame.footer.insert(frame.footer.end(), magic.begin(), magic.end());
  return frame;
}

Result<> pwrite_all(int fd, const std::filesystem::path& path, uint64_t offset, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return fail(Code::kCannotWrite, path.string() + ": " + std::strerror(errno));
    bytes = bytes.subspan(static_cast<size_t>(n));
    offset += static_cast<uint64_t>(n);
  }
  return {};
}

Result<int> create_file(const std::filesystem::path& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return fail(Code::kCannotWrite, path.string() + ": " + std::strerror(errno));
  return fd;
}

}  // namespace

void Column::add(uint64_t value) {
  uint8_t bytes[8];
  store_le(bytes, value);
  values.insert(values.end(), bytes, bytes + width_of(field.type));
}

void Column::add(std::string_view bytes) {
  const ByteSpan span = as_bytes(bytes);
  values.insert(values.end(), span.begin(), span.end());
  ends.push_back(static_cast<int64_t>(values.size()));
}

TableWriter::TableWriter(TableWriter&& other) noexcept
    : path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      fields_(std::move(other.fields_)),
      starts_(std::move(other.starts_)),
      footer_(std::move(other.footer_)),
      footer_at_(other.footer_at_),
      end_(other.end_) {}

TableWriter::~TableWriter() {
  if (fd_ >= 0) ::close(fd_);
}

Result<TableWriter> TableWriter::create(const std::filesystem::path& path,
                                        std::vector<Field> fields, uint64_t rows) {
  UPWELL_TRY(const int fd, create_file(path));
  TableWriter out(path, fd);
  std::vector<uint64_t> sizes;
  for (const Field& field : fields) sizes.push_back(rows * width_of(field.type));
  const BodyPlan plan = plan_body(fields, sizes, rows);
  Frame frame = frame_of(fields, plan, rows);
  UPWELL_CHECK(pwrite_all(fd, path, 0, frame.head));
  for (uint64_t start : plan.values) out.starts_.push_back(frame.head.size() + start);
  out.footer_at_ = frame.head.size() + plan.size;
  out.end_ = out.footer_at_ + frame.footer.size();
  out.footer_ = std::move(frame.footer);
  out.fields_ = std::move(fields);
  return out;
}

Result<> TableWriter::put(size_t column, uint64_t row, ByteSpan values) {
  return pwrite_all(fd_, path_, starts_[column] + row * width_of(fields_[column].type), values);
}

Result<> TableWriter::finish() {
  UPWELL_CHECK(pwrite_all(fd_, path_, footer_at_, footer_));
  if (::close(std::exchange(fd_, -1)) != 0)
    return fail(Code::kCannotWrite, path_.string() + ": " + std::strerror(errno));
  return {};
}

Result<> write_table(const std::filesystem::path& path, const std::vector<Column>& columns,
                     uint64_t rows) {
  std::vector<Field> fields;
  std::vector<uint64_t> sizes;
  for (const Column& column : columns) {
    fields.push_back(column.field);
    sizes.push_back(column.values.size());
  }
  const BodyPlan plan = plan_body(fields, sizes, rows);
  const Frame frame = frame_of(fields, plan, rows);
  UPWELL_TRY(const int fd, create_file(path));
  Result<> result = pwrite_all(fd, path, 0, frame.head);
  for (size_t c = 0; c < columns.size() && result; ++c) {
    result = pwrite_all(fd, path, frame.head.size() + plan.values[c], columns[c].values);
    if (!result || width_of(fields[c].type) != 0) continue;
    Bytes ends;
    for (int64_t end : columns[c].ends) append_number(ends, static_cast<uint64_t>(end));
    result = pwrite_all(fd, path, frame.head.size() + plan.ends[c], ends);
  }
  if (result) result = pwrite_all(fd, path, frame.head.size() + plan.size, frame.footer);
  if (::close(fd) != 0 && result)
    return fail(Code::kCannotWrite, path.string() + ": " + std::strerror(errno));
  return result;
}

}  // namespace upwell::refs::arrow
