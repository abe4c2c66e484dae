#include "format/netcdf3/header.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace upwell::format::netcdf3 {
namespace {

constexpr uint64_t kFirstRead = 64 << 10;
constexpr uint32_t kDimensionTag = 0x0A, kVariableTag = 0x0B, kAttributeTag = 0x0C;
constexpr uint64_t kMaxNameBytes = 1 << 16;
constexpr uint32_t kMaxVariableRank = 1024;  // NC_MAX_VAR_DIMS
constexpr uint64_t kMaxBytes = uint64_t{1} << 62;

uint64_t padded(uint64_t n) { return (n + 3) & ~uint64_t{3}; }

/// Numbers and names from the front of the object. Asks for growing blocks, so that a header of any
/// size takes few rounds.
class HeaderCursor {
 public:
  explicit HeaderCursor(Window& window) : window_(window) {}

  uint64_t at() const { return at_; }
  void wide_counts() { wide_counts_ = true; }

  Result<ByteSpan> bytes(uint64_t n) {
    auto got = window_.get(at_, n);
    if (!got) {
      if (got.error().code == Code::kNeedBytes) {
        (void)window_.get_up_to(at_, std::max({n, kFirstRead, at_}));
      }
      return got;
    }
    at_ += n;
    return got;
  }
  Result<uint32_t> word() {
    UPWELL_TRY(const ByteSpan b, bytes(4));
    return load_be<uint32_t>(b.data());
  }
  Result<uint64_t> long_word() {
    UPWELL_TRY(const ByteSpan b, bytes(8));
    return load_be<uint64_t>(b.data());
  }
  /// NON_NEG: 4 bytes, in CDF-5 8.
  Result<uint64_t> count() {
    if (wide_counts_) return long_word();
    UPWELL_TRY(const uint32_t n, word());
    return n;
  }
  Result<std::string> name() {
    const uint64_t where = at_;
    UPWELL_TRY(const uint64_t n, count());
    if (n > kMaxNameBytes) return broken(where, fmt::format("a name of {} bytes", n));
    UPWELL_TRY(const ByteSpan text, bytes(padded(n)));
    // Some writers count the NUL that ends a C string; netCDF shows the name without it.
    const std::string_view whole = as_text(text.first(n));
    return std::string(whole.substr(0, whole.find('\0')));
  }
  /// Head of a list: its length, 0 when it is absent.
  Result<uint64_t> list(uint32_t tag, const char* what) {
    const uint64_t where = at_;
    UPWELL_TRY(const uint32_t found, word());
    UPWELL_TRY(const uint64_t n, count());
    if (found == 0 && n == 0) return 0;
    if (found != tag) {
      return broken(where, fmt::format("tag {} where the list of {} begins", found, what));
    }
    // Every entry takes at least 8 bytes.
    if (n > window_.object_size() / 8) return broken(where, fmt::format("{} {}", n, what));
    return n;
  }
  tl::unexpected<Error> broken(uint64_t where, const std::string& what) const {
    return fail(Code::kInvalidData, fmt::format("netCDF header at offset {}: {}", where, what));
  }

 private:
  Window& window_;
  uint64_t at_ = 0;
  bool wide_counts_ = false;
};

Result<DataType> read_type(HeaderCursor& in, int version) {
  const uint64_t where = in.at();
  UPWELL_TRY(const uint32_t code, in.word());
  switch (code) {
    case 1:
      return DataType::integer(1, ByteOrder::kBig);
    case 2:
      return DataType::fixed_string(1);
    case 3:
      return DataType::integer(2, ByteOrder::kBig);
    case 4:
      return DataType::integer(4, ByteOrder::kBig);
    case 5:
      return DataType::floating(4, ByteOrder::kBig);
    case 6:
      return DataType::floating(8, ByteOrder::kBig);
    default:
      break;
  }
  if (version == 5) {
    switch (code) {
      case 7:
        return DataType::unsigned_integer(1, ByteOrder::kBig);
      case 8:
        return DataType::unsigned_integer(2, ByteOrder::kBig);
      case 9:
        return DataType::unsigned_integer(4, ByteOrder::kBig);
      case 10:
        return DataType::integer(8, ByteOrder::kBig);
      case 11:
        return DataType::unsigned_integer(8, ByteOrder::kBig);
      default:
        break;
    }
  }
  return in.broken(where, fmt::format("data type {} does not exist in CDF-{}", code, version));
}

/// Text is one string, numbers a list: as netCDF shows them.
Result<Values> read_attribute_value(HeaderCursor& in, int version) {
  UPWELL_TRY(const DataType type, read_type(in, version));
  const uint64_t where = in.at();
  UPWELL_TRY(const uint64_t n, in.count());
  if (n > kMaxBytes / type.size)
    return in.broken(where, fmt::format("an attribute of {} values", n));
  UPWELL_TRY(const ByteSpan stored, in.bytes(padded(n * type.size)));
  Values value;
  if (type.kind == Kind::kString) {
    value.type = DataType::fixed_string(static_cast<uint32_t>(n));
    value.data = to_bytes(stored.first(n));
    return value;
  }
  value.type = memory_type(type);
  value.shape = {n};
  value.data.resize(n * value.type.size);
  UPWELL_CHECK(to_memory(type, stored.first(n * type.size), n, value.data));
  return value;
}

Result<Attributes> read_attributes(HeaderCursor& in, int version) {
  UPWELL_TRY(const uint64_t n, in.list(kAttributeTag, "attributes"));
  Attributes attributes;
  for (uint64_t i = 0; i < n; ++i) {
    UPWELL_TRY(std::string name, in.name());
    auto value = read_attribute_value(in, version);
    if (!value) {
      if (value.error().code == Code::kNeedBytes) return fail(std::move(value).error());
      return fail(std::move(value).error().with("attribute " + name));
    }
    attributes.push_back({std::move(name), std::move(*value), false});
  }
  return attributes;
}

Result<> read_dimensions(HeaderCursor& in, Header& header) {
  UPWELL_TRY(const uint64_t n, in.list(kDimensionTag, "dimensions"));
  for (uint64_t i = 0; i < n; ++i) {
    const uint64_t where = in.at();
    UPWELL_TRY(std::string name, in.name());
    UPWELL_TRY(const uint64_t size, in.count());
    if (size > kMaxBytes) return in.broken(where, fmt::format("dimension {} of {}", name, size));
    if (size == 0) {
      if (header.record_dimension) return in.broken(where, "a second record dimension, " + name);
      header.record_dimension = static_cast<uint32_t>(i);
    }
    header.dimensions.push_back({std::move(name), size, size == 0});
  }
  return {};
}

/// Shape and bytes of one part (record or whole).
Result<> settle_shape(const HeaderCursor& in, const Header& header, Variable& v) {
  v.part_bytes = v.type.size;
  for (size_t d = 0; d < v.dimensions.size(); ++d) {
    const bool record = header.record_dimension == v.dimensions[d];
    if (record && d > 0) {
      return in.broken(v.header_offset, "the record dimension is not the first of " + v.name);
    }
    v.is_record = v.is_record || record;
    const uint64_t extent = header.dimensions[v.dimensions[d]].size;
    v.shape.push_back(extent);
    if (record) continue;
    if (v.part_bytes > kMaxBytes / extent) {
      return in.broken(v.header_offset, "variable " + v.name + " of more than 2^62 bytes");
    }
    v.part_bytes *= extent;
  }
  return {};
}

Result<Variable> read_variable(HeaderCursor& in, const Header& header) {
  Variable v;
  v.header_offset = in.at();
  UPWELL_TRY(v.name, in.name());
  const uint64_t where = in.at();
  UPWELL_TRY(const uint64_t rank, in.count());
  if (rank > kMaxVariableRank) {
    return in.broken(where, fmt::format("variable {} with {} dimensions", v.name, rank));
  }
  for (uint64_t i = 0; i < rank; ++i) {
    UPWELL_TRY(const uint64_t number, in.count());
    if (number >= header.dimensions.size()) {
      return in.broken(where, fmt::format("variable {} has dimension {} of {}", v.name, number,
                                          header.dimensions.size()));
    }
    v.dimensions.push_back(static_cast<uint32_t>(number));
  }
  UPWELL_TRY(v.attributes, read_attributes(in, header.version));
  UPWELL_TRY(v.type, read_type(in, header.version));
  // vsize is redundant, and wrong by rule for variables beyond 4 GiB: the shape says it all.
  UPWELL_CHECK(in.count());
  if (header.version == 1) {
    UPWELL_TRY(v.begin, in.word());
  } else {
    UPWELL_TRY(v.begin, in.long_word());
  }
  UPWELL_CHECK(settle_shape(in, header, v));
  return v;
}

/// Records are interleaved: each variable's part padded to 4 bytes, but not when there is only one.
Result<> settle_records(const HeaderCursor& in, Header& header, uint64_t object_size) {
  uint64_t sum = 0;
  uint64_t count = 0;
  uint64_t first = ~uint64_t{0};
  uint64_t only = 0;
  for (const Variable& v : header.variables) {
    if (!v.is_record) continue;
    sum += padded(v.part_bytes);
    if (sum > kMaxBytes) return in.broken(0, "a record of more than 2^62 bytes");
    only = v.part_bytes;
    first = std::min(first, v.begin);
    ++count;
  }
  header.record_stride = count == 1 ? only : sum;
  if (header.streaming) {
    const bool any = count > 0 && header.record_stride > 0 && first < object_size;
    header.records = any ? (object_size - first) / header.record_stride : 0;
  }
  if (header.record_stride > 0 && header.records > kMaxBytes / header.record_stride) {
    return in.broken(4, fmt::format("{} records", header.records));
  }
  if (header.record_dimension) header.dimensions[*header.record_dimension].size = header.records;
  for (Variable& v : header.variables) {
    if (v.is_record) v.shape[0] = header.records;
  }
  return {};
}

}  // namespace

Result<Header> parse_header(Window& window) {
  HeaderCursor in(window);
  Header header;
  UPWELL_TRY(const ByteSpan magic, in.bytes(4));
  header.version = magic[3];
  if (header.version == 5) in.wide_counts();
  UPWELL_TRY(header.records, in.count());
  header.streaming = header.records == (header.version == 5 ? ~uint64_t{0} : 0xFFFFFFFFU);
  if (!header.streaming && header.records > kMaxBytes) {
    return in.broken(4, fmt::format("{} records", header.records));
  }
  UPWELL_CHECK(read_dimensions(in, header));
  UPWELL_TRY(header.attributes, read_attributes(in, header.version));
  UPWELL_TRY(const uint64_t n, in.list(kVariableTag, "variables"));
  for (uint64_t i = 0; i < n; ++i) {
    UPWELL_TRY(Variable v, read_variable(in, header));
    header.variables.push_back(std::move(v));
  }
  UPWELL_CHECK(settle_records(in, header, window.object_size()));
  return header;
}

}  // namespace upwell::format::netcdf3
