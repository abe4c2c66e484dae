#pragma once
// What an oracle and upwell_dump print alike: one JSON line per object, with values as a hash of
// one canonical serialisation. Standard library only.
//
// Canonical values: numbers and bitfields little-endian in 1, 2, 4 or 8 bytes (odd sizes widened;
// floats of an odd layout as IEEE 4 or 8 bytes); strings as u64 length + bytes without padding;
// opaque bytes as they are; object references as u64 address; region references as stored;
// sequences as u64 count + items; array and compound parts in order without gaps.

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <string>
#include <string_view>

namespace upwell::oracle {

/// At most so many stored bytes of an array are compared: whole rows of the leading axis from the
/// first on.
inline constexpr uint64_t kMostBytes = 24 << 20;
/// Chunk positions are compared up to this many places in the grid.
inline constexpr uint64_t kMostChunks = 20000;

/// FNV-1a, 64 bits.
class Hash {
 public:
  void add(const void* data, size_t size) {
    const auto* p = static_cast<const uint8_t*>(data);
    for (size_t i = 0; i < size; ++i) state_ = (state_ ^ p[i]) * 0x100000001b3ULL;
  }
  void add_u64(uint64_t v) { add(&v, 8); }
  void add_text(std::string_view text) {
    add_u64(text.size());
    add(text.data(), text.size());
  }
  /// Every NaN is the same: conversions may quiet it or lose its payload.
  void add_float(const uint8_t* p, size_t size) {
    double v = 0;
    if (size == 4) {
      float f;
      std::memcpy(&f, p, 4);
      v = f;
    } else if (size == 8) {
      std::memcpy(&v, p, 8);
    }
    if (std::isnan(v)) return add("NaN", 3);
    add(p, size);
  }
  std::string hex() const {
    char text[17];
    snprintf(text, sizeof(text), "%016llx", static_cast<unsigned long long>(state_));
    return text;
  }

 private:
  uint64_t state_ = 0xcbf29ce484222325ULL;
};

enum class Pad { kNullTerminated, kNullPadded, kSpacePadded };

inline std::string_view trimmed(std::string_view text, Pad pad) {
  if (pad == Pad::kNullTerminated) return text.substr(0, text.find('\0'));
  char fill = pad == Pad::kSpacePadded ? ' ' : '\0';
  size_t last = text.find_last_not_of(fill);
  return last == std::string_view::npos ? text.substr(0, 0) : text.substr(0, last + 1);
}

/// Bytes are taken as Latin-1, so that any name gives valid JSON and equal bytes equal text.
inline std::string json_text(std::string_view text) {
  std::string out = "\"";
  for (unsigned char c : text) {
    if (c == '"' || c == '\\') {
      out += '\\';
      out += static_cast<char>(c);
    } else if (c < 0x20 || c >= 0x7f) {
      char escape[8];
      snprintf(escape, sizeof(escape), "\\u%04x", c);
      out += escape;
    } else {
      out += static_cast<char>(c);
    }
  }
  return out + '"';
}

/// Members of a compound, written "name:type;", hold a variable-length part.
inline bool has_vlen_text(const std::string& text) {
  return text.starts_with("vs") || text.starts_with("v(") || text.find(":vs") != text.npos ||
         text.find(":v(") != text.npos || text.find("(vs") != text.npos ||
         text.find("(v(") != text.npos || text.find("c{") != text.npos;
}

template <typename Range>
std::string json_list(const Range& values) {
  std::string out = "[";
  for (auto v : values) {
    if (out.size() > 1) out += ',';
    out += v == ~decltype(v){0} ? std::string("-1") : std::to_string(v);
  }
  return out + ']';
}

/// Rows of the leading axis that are compared, 0 when even one is too big. Rank 0 counts as one
/// row.
template <typename Range>
uint64_t rows_compared(const Range& shape, uint64_t element_size) {
  uint64_t row = element_size == 0 ? 1 : element_size;
  uint64_t rows = 1;
  bool first = true;
  for (auto n : shape) {
    if (first) {
      rows = n;
      first = false;
    } else if (n != 0 && row > kMostBytes / n) {
      return 0;
    } else {
      row *= n;
    }
  }
  if (row == 0 || rows == 0) return rows;
  return std::min<uint64_t>(rows, kMostBytes / row);
}

}  // namespace upwell::oracle
