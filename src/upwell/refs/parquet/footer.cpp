#include "refs/parquet/footer.hpp"

#include <fmt/format.h>

#include <functional>

namespace upwell::parquet {
namespace {

constexpr std::string_view kMagic = "PAR1";
constexpr std::string_view kEncryptedMagic = "PARE";
constexpr size_t kMaxLeaves = 10'000;

/// Calls `visit` for every field of a struct; what it does not take (false) is skipped.
Result<> each_field(ThriftReader& in, const std::function<Result<bool>(Field)>& visit) {
  int16_t last = 0;
  while (true) {
    UPWELL_TRY(const Field field, in.field(last));
    if (field.wire == Wire::kStop) return {};
    UPWELL_TRY(const bool taken, visit(field));
    if (!taken) UPWELL_CHECK(in.skip(field.wire));
  }
}

template <typename T>
Result<bool> take_integer(ThriftReader& in, Field field, T& out) {
  UPWELL_TRY(const int64_t value, in.integer(field.wire));
  out = static_cast<T>(value);
  return true;
}

Result<bool> need(Field field, Wire wire) {
  if (field.wire == wire) return true;
  return fail(Code::kInvalidData, fmt::format("metadata: field {} has the wrong type", field.id));
}

struct SchemaElement {
  std::string name;
  int32_t type = -1, length = 0, repetition = 0, children = 0, converted = -1;
  bool is_group = false, string_type = false;
};

Result<SchemaElement> read_schema_element(ThriftReader& in) {
  SchemaElement e;
  auto fields_read = each_field(in, [&](Field field) -> Result<bool> {
    switch (field.id) {
      case 1:
        return take_integer(in, field, e.type);
      case 2:
        return take_integer(in, field, e.length);
      case 3:
        return take_integer(in, field, e.repetition);
      case 4: {
        UPWELL_CHECK(need(field, Wire::kBinary));
        UPWELL_TRY(const std::string_view name, in.binary());
        e.name = std::string(name);
        return true;
      }
      case 5:
        e.is_group = true;
        return take_integer(in, field, e.children);
      case 6:
        return take_integer(in, field, e.converted);
      case 10: {
        // LogicalType is a union: field 1 is STRING.
        UPWELL_CHECK(need(field, Wire::kStruct));
        UPWELL_CHECK(each_field(in, [&](Field kind) -> Result<bool> {
          e.string_type = e.string_type || kind.id == 1;
          return false;
        }));
        return true;
      }
      default:
        return false;
    }
  });
  UPWELL_CHECK(std::move(fields_read));
  return e;
}

/// The leaves in the order of the tree.
Result<std::vector<SchemaLeaf>> schema_leaves(const std::vector<SchemaElement>& elements) {
  if (elements.empty() || !elements[0].is_group) {
    return fail(Code::kInvalidData, "metadata: schema without a root");
  }
  std::vector<SchemaLeaf> leaves;
  std::vector<int64_t> open = {elements[0].children};  // children still to come, per level
  for (size_t i = 1; i < elements.size(); ++i) {
    while (!open.empty() && open.back() == 0) open.pop_back();
    if (open.empty()) return fail(Code::kInvalidData, "metadata: schema has elements to spare");
    --open.back();
    const SchemaElement& e = elements[i];
    if (e.is_group && e.type < 0) {
      if (e.children < 0 || open.size() > 100) {
        return fail(Code::kInvalidData, "metadata: schema tree is broken");
      }
      open.push_back(e.children);
      continue;
    }
    if (e.type < 0 || e.type > 7 || e.length < 0) {
      return fail(Code::kInvalidData, "metadata: column " + e.name + " has no proper type");
    }
    SchemaLeaf leaf{e.name,
                    static_cast<Type>(e.type),
                    static_cast<uint32_t>(e.length),
                    e.repetition == 1,
                    e.converted == 0 || e.string_type,
                    open.size() > 1 || e.repetition == 2};
    if (leaf.type == Type::kInt96) leaf.fixed_length = 12;
    leaves.push_back(std::move(leaf));
  }
  if (leaves.size() > kMaxLeaves) return fail(Code::kUnsupported, "more than 10,000 columns");
  return leaves;
}

Result<> read_column_metadata(ThriftReader& in, ColumnChunk& chunk) {
  return each_field(in, [&](Field field) -> Result<bool> {
    switch (field.id) {
      case 1:
        return take_integer(in, field, chunk.type);
      case 4:
        return take_integer(in, field, chunk.codec);
      case 5:
        return take_integer(in, field, chunk.values);
      case 7:
        return take_integer(in, field, chunk.compressed_size);
      case 9:
        return take_integer(in, field, chunk.data_offset);
      case 11:
        return take_integer(in, field, chunk.dictionary_offset);
      default:
        return false;
    }
  });
}

Result<ColumnChunk> read_column_chunk(ThriftReader& in) {
  ColumnChunk chunk;
  auto fields_read = each_field(in, [&](Field field) -> Result<bool> {
    if (field.id == 1) chunk.external = true;
    if (field.id == 8 || field.id == 9) chunk.encrypted = true;
    if (field.id != 3) return false;
    UPWELL_CHECK(need(field, Wire::kStruct));
    UPWELL_CHECK(read_column_metadata(in, chunk));
    return true;
  });
  UPWELL_CHECK(std::move(fields_read));
  return chunk;
}

template <typename T>
Result<> read_structs(ThriftReader& in, Field field, std::vector<T>& out,
                      const std::function<Result<T>(ThriftReader&)>& read) {
  UPWELL_CHECK(need(field, Wire::kList));
  UPWELL_TRY(const ListHead head, in.list());
  if (head.size > 0 && head.wire != Wire::kStruct) {
    return fail(Code::kInvalidData, "metadata: a list of the wrong type");
  }
  for (uint32_t i = 0; i < head.size; ++i) {
    UPWELL_TRY(T one, read(in));
    out.push_back(std::move(one));
  }
  return {};
}

Result<RowGroup> read_row_group(ThriftReader& in) {
  RowGroup group;
  auto fields_read = each_field(in, [&](Field field) -> Result<bool> {
    if (field.id == 3) return take_integer(in, field, group.rows);
    if (field.id != 1) return false;
    UPWELL_CHECK(read_structs<ColumnChunk>(in, field, group.columns, read_column_chunk));
    return true;
  });
  UPWELL_CHECK(std::move(fields_read));
  return group;
}

}  // namespace

Result<Footer> read_footer(ByteSpan file) {
  const size_t n = file.size();
  if (n < 12) return fail(Code::kInvalidData, fmt::format("{} bytes are no Parquet file", n));
  const std::string_view magic = as_text(file.subspan(n - 4));
  if (magic == kEncryptedMagic) return fail(Code::kUnsupported, "an encrypted Parquet file");
  if (magic != kMagic) {
    return fail(Code::kInvalidData,
                fmt::format("no Parquet file, or cut short: no PAR1 at byte {}", n - 4));
  }
  const uint64_t size = load_le<uint32_t>(file.data() + n - 8);
  if (size > n - 12) {
    return fail(Code::kInvalidData, fmt::format("footer of {} bytes in a file of {}", size, n));
  }
  Footer footer;
  footer.data_end = n - 8 - size;
  ThriftReader in(file.subspan(footer.data_end, size));
  std::vector<SchemaElement> elements;
  auto fields_read = each_field(in, [&](Field field) -> Result<bool> {
    if (field.id == 2) {
      UPWELL_CHECK(read_structs<SchemaElement>(in, field, elements, read_schema_element));
      return true;
    }
    if (field.id == 4) {
      UPWELL_CHECK(read_structs<RowGroup>(in, field, footer.groups, read_row_group));
      return true;
    }
    if (field.id == 8) return fail(Code::kUnsupported, "an encrypted Parquet file");
    return false;
  });
  UPWELL_CHECK(std::move(fields_read));
  UPWELL_TRY(footer.leaves, schema_leaves(elements));
  for (const RowGroup& group : footer.groups) {
    if (group.columns.size() != footer.leaves.size() || group.rows < 0) {
      return fail(Code::kInvalidData, "metadata: a row group does not match the schema");
    }
  }
  return footer;
}

Result<PageHeader> read_page_header(ByteSpan bytes) {
  ThriftReader in(bytes);
  PageHeader page;
  auto fields_read = each_field(in, [&](Field field) -> Result<bool> {
    switch (field.id) {
      case 1:
        return take_integer(in, field, page.kind);
      case 2:
        return take_integer(in, field, page.uncompressed);
      case 3:
        return take_integer(in, field, page.compressed);
      case 4: {
        UPWELL_TRY(const int64_t crc, in.integer(field.wire));
        page.crc = static_cast<uint32_t>(crc);
        return true;
      }
      case 5:
      case 7:
      case 8: {
        const int16_t kind = field.id;
        UPWELL_CHECK(need(field, Wire::kStruct));
        UPWELL_CHECK(each_field(in, [&](Field inner) -> Result<bool> {
          if (inner.id == 1) return take_integer(in, inner, page.values);
          if (inner.id == (kind == 8 ? 4 : 2)) return take_integer(in, inner, page.encoding);
          if (kind == 8 && inner.id == 5) return take_integer(in, inner, page.definition_bytes);
          if (kind == 8 && inner.id == 6) return take_integer(in, inner, page.repetition_bytes);
          if (kind == 8 && inner.id == 7) page.is_compressed = inner.wire == Wire::kTrue;
          return false;
        }));
        return true;
      }
      default:
        return false;
    }
  });
  UPWELL_CHECK(std::move(fields_read));
  page.header_bytes = in.position();
  return page;
}

}  // namespace upwell::parquet
