#include "refs/base64.hpp"

#include <fmt/format.h>

#include <array>

namespace upwell::refs {
namespace {

constexpr std::string_view kBase64Alphabet =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

constexpr std::array<int8_t, 256> make_base64_values() {
  std::array<int8_t, 256> values{};
  for (auto& v : values) v = -1;
  for (size_t i = 0; i < kBase64Alphabet.size(); ++i) {
    values[static_cast<uint8_t>(kBase64Alphabet[i])] = static_cast<int8_t>(i);
  }
  return values;
}
constexpr auto kBase64Values = make_base64_values();

}  // namespace

std::string base64_encode(ByteSpan bytes) {
  std::string out((bytes.size() + 2) / 3 * 4, '=');
  char* to = out.data();
  size_t i = 0;
  for (; i + 3 <= bytes.size(); i += 3, to += 4) {
    const uint32_t group = uint32_t{bytes[i]} << 16 | uint32_t{bytes[i + 1]} << 8 | bytes[i + 2];
    to[0] = kBase64Alphabet[group >> 18];
    to[1] = kBase64Alphabet[group >> 12 & 63];
    to[2] = kBase64Alphabet[group >> 6 & 63];
    to[3] = kBase64Alphabet[group & 63];
  }
  if (i < bytes.size()) {
    const bool two = i + 2 == bytes.size();
    const uint32_t group = uint32_t{bytes[i]} << 16 | (two ? uint32_t{bytes[i + 1]} << 8 : 0);
    to[0] = kBase64Alphabet[group >> 18];
    to[1] = kBase64Alphabet[group >> 12 & 63];
    if (two) to[2] = kBase64Alphabet[group >> 6 & 63];
  }
  return out;
}

Result<Bytes> base64_decode(std::string_view text) {
  Bytes out;
  out.reserve(text.size() / 4 * 3 + 3);
  uint32_t group = 0;
  int digits = 0;
  bool padded = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\n' || c == '\r' || c == ' ' || c == '\t') continue;
    if (c == '=') {
      padded = true;
      continue;
    }
    const int8_t value = kBase64Values[static_cast<uint8_t>(c)];
    if (value < 0 || padded) {
      return fail(Code::kInvalidData, fmt::format("base64: wrong character at position {}", i));
    }
    group = group << 6 | static_cast<uint32_t>(value);
    if (++digits == 4) {
      out.push_back(static_cast<uint8_t>(group >> 16));
      out.push_back(static_cast<uint8_t>(group >> 8));
      out.push_back(static_cast<uint8_t>(group));
      group = 0;
      digits = 0;
    }
  }
  if (digits == 1) return fail(Code::kInvalidData, "base64: ends within a byte");
  if (digits >= 2) out.push_back(static_cast<uint8_t>(group >> (digits == 2 ? 4 : 10)));
  if (digits == 3) out.push_back(static_cast<uint8_t>(group >> 2));
  return out;
}

}  // namespace upwell::refs
