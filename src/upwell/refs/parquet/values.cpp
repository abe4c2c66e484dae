#include "refs/parquet/values.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace upwell::parquet {
namespace {

bool is_bytes(Type type) {
  return type == Type::kByteArray || type == Type::kFixedByteArray || type == Type::kInt96;
}

uint32_t plain_width(const Column& column) {
  switch (column.type) {
    case Type::kInt32:
    case Type::kFloat:
      return 4;
    case Type::kInt64:
    case Type::kDouble:
      return 8;
    default:
      return column.fixed_length;
  }
}

Result<> add_value(Column& column, PageValues& out, ByteSpan bytes, uint64_t max_bytes) {
  if (column.heap.size() + bytes.size() > max_bytes || column.ends.size() >= Column::kNoValue - 1) {
    return fail(Code::kResourceExhausted, "column " + column.name + " is larger than allowed");
  }
  column.heap.insert(column.heap.end(), bytes.begin(), bytes.end());
  out.numbers.push_back(static_cast<uint32_t>(column.ends.size()));
  column.ends.push_back(column.heap.size());
  return {};
}

Result<> add_fixed(Column& column, PageValues& out, const uint8_t* p, uint64_t max_bytes) {
  switch (column.type) {
    case Type::kInt32:
      out.integers.push_back(load_le<int32_t>(p));
      return {};
    case Type::kInt64:
      out.integers.push_back(load_le<int64_t>(p));
      return {};
    case Type::kFloat:
      out.floats.push_back(load_le<float>(p));
      return {};
    case Type::kDouble:
      out.floats.push_back(load_le<double>(p));
      return {};
    default:
      return add_value(column, out, {p, column.fixed_length}, max_bytes);
  }
}

Result<> decode_plain(Column& column, PageValues& out, ByteCursor& in, uint64_t count,
                      uint64_t max_bytes) {
  if (column.type == Type::kBoolean) {
    UPWELL_TRY(const ByteSpan bits, in.take((count + 7) / 8));
    for (uint64_t i = 0; i < count; ++i) out.integers.push_back(bits[i >> 3] >> (i & 7) & 1);
    return {};
  }
  if (column.type == Type::kByteArray) {
    for (uint64_t i = 0; i < count; ++i) {
      UPWELL_TRY(const ByteSpan size, in.take(4));
      UPWELL_TRY(const ByteSpan bytes, in.take(load_le<uint32_t>(size.data())));
      UPWELL_CHECK(add_value(column, out, bytes, max_bytes));
    }
    return {};
  }
  const uint32_t width = plain_width(column);
  if (width > 0 && count > in.left() / width) {
    return fail(Code::kInvalidData,
                fmt::format("page of {} bytes for {} values of {} bytes", in.left(), count, width));
  }
  for (uint64_t i = 0; i < count; ++i) {
    UPWELL_TRY(const ByteSpan bytes, in.take(width));
    UPWELL_CHECK(add_fixed(column, out, bytes.data(), max_bytes));
  }
  return {};
}

Result<> decode_byte_stream_split(Column& column, PageValues& out, ByteCursor& in, uint64_t count,
                                  uint64_t max_bytes) {
  const uint32_t width = plain_width(column);
  if (column.type == Type::kBoolean || column.type == Type::kByteArray || width == 0 ||
      count > in.left() / width) {
    return fail(Code::kInvalidData, "BYTE_STREAM_SPLIT does not fit the page");
  }
  UPWELL_TRY(const ByteSpan all, in.take(count * width));
  Bytes one(width);
  for (uint64_t i = 0; i < count; ++i) {
    for (uint32_t b = 0; b < width; ++b) one[b] = all[b * count + i];
    UPWELL_CHECK(add_fixed(column, out, one.data(), max_bytes));
  }
  return {};
}

Result<> decode_delta_length(Column& column, PageValues& out, ByteCursor& in, uint64_t count,
                             uint64_t max_bytes) {
  UPWELL_TRY(const std::vector<int64_t> lengths, decode_delta(in, count));
  for (const int64_t length : lengths) {
    UPWELL_TRY(const ByteSpan bytes, in.take(static_cast<uint64_t>(length)));
    UPWELL_CHECK(add_value(column, out, bytes, max_bytes));
  }
  return {};
}

Result<> decode_delta_bytes(Column& column, PageValues& out, ByteCursor& in, uint64_t count,
                            uint64_t max_bytes) {
  UPWELL_TRY(const std::vector<int64_t> prefixes, decode_delta(in, count));
  UPWELL_TRY(const std::vector<int64_t> lengths, decode_delta(in, count));
  Bytes value;
  for (uint64_t i = 0; i < count; ++i) {
    if (prefixes[i] < 0 || static_cast<uint64_t>(prefixes[i]) > value.size()) {
      return fail(Code::kInvalidData, "DELTA_BYTE_ARRAY: prefix longer than the value before");
    }
    value.resize(static_cast<size_t>(prefixes[i]));
    UPWELL_TRY(const ByteSpan suffix, in.take(static_cast<uint64_t>(lengths[i])));
    value.insert(value.end(), suffix.begin(), suffix.end());
    UPWELL_CHECK(add_value(column, out, value, max_bytes));
  }
  return {};
}

}  // namespace

Result<PageValues> decode_values(Column& column, Encoding encoding, ByteCursor& in, uint64_t count,
                                 uint64_t max_bytes) {
  PageValues out;
  switch (encoding) {
    case Encoding::kPlain:
      UPWELL_CHECK(decode_plain(column, out, in, count, max_bytes));
      return out;
    case Encoding::kRle: {
      if (column.type != Type::kBoolean) break;
      UPWELL_TRY(const ByteSpan size, in.take(4));
      UPWELL_TRY(const ByteSpan bytes, in.take(load_le<uint32_t>(size.data())));
      ByteCursor runs(bytes);
      UPWELL_TRY(const std::vector<uint32_t> bits, decode_hybrid(runs, 1, count));
      out.integers.assign(bits.begin(), bits.end());
      return out;
    }
    case Encoding::kDeltaBinaryPacked: {
      if (column.type != Type::kInt32 && column.type != Type::kInt64) break;
      UPWELL_TRY(out.integers, decode_delta(in, count));
      if (column.type == Type::kInt32) {
        for (int64_t& v : out.integers) v = static_cast<int32_t>(v);
      }
      return out;
    }
    case Encoding::kDeltaLengthByteArray:
      if (column.type != Type::kByteArray) break;
      UPWELL_CHECK(decode_delta_length(column, out, in, count, max_bytes));
      return out;
    case Encoding::kDeltaByteArray:
      if (!is_bytes(column.type)) break;
      UPWELL_CHECK(decode_delta_bytes(column, out, in, count, max_bytes));
      return out;
    case Encoding::kByteStreamSplit:
      UPWELL_CHECK(decode_byte_stream_split(column, out, in, count, max_bytes));
      return out;
    default:
      break;
  }
  return fail(Code::kUnsupported,
              fmt::format("encoding {} of type {} is not read", static_cast<int>(encoding),
                          static_cast<int>(column.type)));
}

Result<PageValues> look_up_values(const PageValues& dictionary, Type type,
                                  std::span<const uint32_t> indices) {
  PageValues out;
  const bool integers = type == Type::kBoolean || type == Type::kInt32 || type == Type::kInt64;
  const bool floats = type == Type::kFloat || type == Type::kDouble;
  const size_t size = integers ? dictionary.integers.size()
                      : floats ? dictionary.floats.size()
                               : dictionary.numbers.size();
  for (const uint32_t i : indices) {
    if (i >= size) {
      return fail(Code::kInvalidData, fmt::format("value {} of a dictionary of {}", i, size));
    }
    if (integers) {
      out.integers.push_back(dictionary.integers[i]);
    } else if (floats) {
      out.floats.push_back(dictionary.floats[i]);
    } else {
      out.numbers.push_back(dictionary.numbers[i]);
    }
  }
  return out;
}

void append_rows(Column& column, const PageValues& values, std::span<const uint32_t> valid,
                 uint64_t rows) {
  const bool floats = column.type == Type::kFloat || column.type == Type::kDouble;
  const bool bytes = is_bytes(column.type);
  const bool has_null = std::find(valid.begin(), valid.end(), 0U) != valid.end();
  const bool keep_valid = has_null || !column.valid.empty();
  if (has_null && column.valid.empty()) column.valid.assign(column.rows, 1);
  size_t next = 0;
  for (uint64_t i = 0; i < rows; ++i) {
    const bool here = valid.empty() || valid[i] != 0;
    if (keep_valid) column.valid.push_back(here ? 1 : 0);
    if (bytes) {
      column.values.push_back(here ? values.numbers[next] : Column::kNoValue);
    } else if (floats) {
      column.floats.push_back(here ? values.floats[next] : 0);
    } else {
      column.integers.push_back(here ? values.integers[next] : 0);
    }
    if (here) ++next;
  }
  column.rows += rows;
}

}  // namespace upwell::parquet
