#include "refs/parquet/encodings.hpp"

#include <fmt/format.h>

#include <algorithm>

namespace upwell::parquet {
namespace {

constexpr uint64_t kMaxMiniblock = uint64_t{1} << 24;

/// Bits [bit, bit + width) of `bytes`, least significant first. The caller has checked the bounds.
uint64_t bits_at(const uint8_t* bytes, uint64_t bit, uint32_t width) {
  uint64_t value = 0;
  uint32_t got = 0;
  while (got < width) {
    const uint64_t at = bit + got;
    const uint32_t shift = at & 7;
    const uint32_t n = std::min<uint32_t>(8 - shift, width - got);
    const uint64_t part = (bytes[at >> 3] >> shift) & ((1U << n) - 1);
    value |= part << got;
    got += n;
  }
  return value;
}

}  // namespace

Result<ByteSpan> ByteCursor::take(uint64_t n) {
  if (n > left()) {
    return fail(Code::kInvalidData,
                fmt::format("page ends: {} bytes wanted at byte {} of {}", n, at_, bytes_.size()));
  }
  const ByteSpan out = bytes_.subspan(at_, n);
  at_ += n;
  return out;
}

Result<uint64_t> ByteCursor::varint() {
  uint64_t value = 0;
  for (int shift = 0; shift < 64; shift += 7) {
    UPWELL_TRY(const ByteSpan b, take(1));
    value |= static_cast<uint64_t>(b[0] & 127) << shift;
    if (b[0] < 128) return value;
  }
  return fail(Code::kInvalidData, fmt::format("page: number too long at byte {}", at_));
}

Result<int64_t> ByteCursor::zigzag() {
  UPWELL_TRY(const uint64_t v, varint());
  return static_cast<int64_t>(v >> 1) ^ -static_cast<int64_t>(v & 1);
}

Result<std::vector<uint32_t>> decode_hybrid(ByteCursor& in, uint32_t width, uint64_t count) {
  if (width > 32) return fail(Code::kInvalidData, fmt::format("bit width {}", width));
  std::vector<uint32_t> out;
  out.reserve(count);
  while (out.size() < count) {
    UPWELL_TRY(const uint64_t head, in.varint());
    const uint64_t room = count - out.size();
    if ((head & 1) == 0) {
      UPWELL_TRY(const ByteSpan bytes, in.take((width + 7) / 8));
      uint32_t value = 0;
      for (size_t i = 0; i < bytes.size(); ++i) value |= static_cast<uint32_t>(bytes[i]) << (8 * i);
      if (width < 32 && value >> width != 0) {
        return fail(Code::kInvalidData, fmt::format("{} in a run of {} bits", value, width));
      }
      if (head >> 1 == 0) return fail(Code::kInvalidData, "a run of no values");
      out.insert(out.end(), std::min(head >> 1, room), value);
      continue;
    }
    // Groups of 8; the last ones may be padding, and some writers cut them short.
    const uint64_t groups = head >> 1;
    if (groups == 0) return fail(Code::kInvalidData, "a run of no values");
    const uint64_t wanted = groups > room ? room : std::min(groups * 8, room);
    const uint64_t bytes_wanted = (wanted * width + 7) / 8;
    const uint64_t bytes_all =
        groups > in.left() ? in.left() : std::min<uint64_t>(groups * width, in.left());
    UPWELL_TRY(const ByteSpan bytes, in.take(std::max(bytes_wanted, bytes_all)));
    for (uint64_t i = 0; i < wanted; ++i) {
      out.push_back(static_cast<uint32_t>(bits_at(bytes.data(), i * width, width)));
    }
  }
  return out;
}

Bytes encode_hybrid(std::span<const uint32_t> values, uint32_t width) {
  Bytes out;
  const auto varint = [&](uint64_t v) {
    for (; v >= 128; v >>= 7) out.push_back(static_cast<uint8_t>(v | 128));
    out.push_back(static_cast<uint8_t>(v));
  };
  const auto run_length = [&](size_t i) {
    size_t n = 1;
    while (i + n < values.size() && values[i + n] == values[i]) ++n;
    return n;
  };
  size_t i = 0;
  while (i < values.size()) {
    const size_t run = run_length(i);
    if (run >= 8) {
      varint(static_cast<uint64_t>(run) << 1);
      for (uint32_t b = 0; b < (width + 7) / 8; ++b) {
        out.push_back(static_cast<uint8_t>(values[i] >> (8 * b)));
      }
      i += run;
      continue;
    }
    // Bit-packed groups until a run of 8 begins at a group's start.
    size_t groups = 0;
    size_t end = i;
    while (end < values.size() && (groups == 0 || run_length(end) < 8)) {
      end += 8;
      ++groups;
    }
    varint(static_cast<uint64_t>(groups) << 1 | 1);
    const size_t begin = out.size();
    out.resize(begin + groups * width, 0);
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(begin), out.end(), 0);
    for (size_t k = i; k < std::min(end, values.size()); ++k) {
      const uint64_t bit = static_cast<uint64_t>(k - i) * width;
      for (uint32_t b = 0; b < width; ++b) {
        if (values[k] >> b & 1)
          out[begin + ((bit + b) >> 3)] |= static_cast<uint8_t>(1U << ((bit + b) & 7));
      }
    }
    i = std::min(end, values.size());
  }
  return out;
}

Result<std::vector<int64_t>> decode_delta(ByteCursor& in, uint64_t count) {
  UPWELL_TRY(const uint64_t block, in.varint());
  UPWELL_TRY(const uint64_t miniblocks, in.varint());
  UPWELL_TRY(const uint64_t total, in.varint());
  UPWELL_TRY(const int64_t first, in.zigzag());
  if (miniblocks == 0 || block % miniblocks != 0 || block / miniblocks > kMaxMiniblock ||
      block / miniblocks % 8 != 0 || block == 0) {
    return fail(Code::kInvalidData, fmt::format("delta blocks of {} in {}", block, miniblocks));
  }
  if (total != count) {
    return fail(Code::kInvalidData, fmt::format("{} delta values where {} belong", total, count));
  }
  std::vector<int64_t> out;
  if (count == 0) return out;
  out.reserve(count);
  out.push_back(first);
  const uint64_t per_miniblock = block / miniblocks;
  auto value = static_cast<uint64_t>(first);
  while (out.size() < count) {
    UPWELL_TRY(const int64_t min_delta, in.zigzag());
    UPWELL_TRY(const ByteSpan widths, in.take(miniblocks));
    for (uint64_t m = 0; m < miniblocks && out.size() < count; ++m) {
      const uint32_t width = widths[m];
      if (width > 64) return fail(Code::kInvalidData, fmt::format("delta bit width {}", width));
      const uint64_t wanted = std::min<uint64_t>(per_miniblock, count - out.size());
      // The last miniblock is padded, but not by every writer.
      const uint64_t size = std::max((wanted * width + 7) / 8,
                                     std::min<uint64_t>(per_miniblock / 8 * width, in.left()));
      UPWELL_TRY(const ByteSpan bytes, in.take(size));
      for (uint64_t i = 0; i < wanted; ++i) {
        value += static_cast<uint64_t>(min_delta) + bits_at(bytes.data(), i * width, width);
        out.push_back(static_cast<int64_t>(value));
      }
    }
  }
  return out;
}

}  // namespace upwell::parquet
