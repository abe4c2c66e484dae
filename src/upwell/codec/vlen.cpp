#include <fmt/format.h>

#include "codec/codec.hpp"

namespace upwell::codec {

Result<std::vector<std::string_view>> split_vlen(ByteSpan decoded, size_t max_items) {
  const auto broken = [&](size_t at, const char* what) {
    return fail(Code::kInvalidData, fmt::format("variable-length items: {} at byte {}", what, at));
  };
  constexpr size_t kLengthSize = 4;
  if (decoded.size() < kLengthSize) return broken(0, "no count");
  const size_t count = load_le<uint32_t>(decoded.data());
  if (count > max_items) {
    return fail(Code::kInvalidData,
                fmt::format("variable-length items: {} stored, at most {} fit", count, max_items));
  }
  size_t at = kLengthSize;
  if (count > (decoded.size() - at) / kLengthSize) return broken(0, "a count beyond the end");
  std::vector<std::string_view> items;
  items.reserve(count);
  for (size_t i = 0; i < count; ++i) {
    if (decoded.size() - at < kLengthSize) return broken(at, "no length");
    const size_t length = load_le<uint32_t>(decoded.data() + at);
    at += kLengthSize;
    if (length > decoded.size() - at) return broken(at, "an item beyond the end");
    items.push_back(as_text(decoded.subspan(at, length)));
    at += length;
  }
  return items;
}

Bytes join_vlen(std::span<const std::string_view> items) {
  size_t size = 4;
  for (const std::string_view item : items) size += 4 + item.size();
  Bytes out(size);
  uint8_t* p = out.data();
  store_le<uint32_t>(p, static_cast<uint32_t>(items.size()));
  p += 4;
  for (const std::string_view item : items) {
    store_le<uint32_t>(p, static_cast<uint32_t>(item.size()));
    p += 4;
    if (!item.empty()) std::memcpy(p, item.data(), item.size());
    p += item.size();
  }
  return out;
}

}  // namespace upwell::codec
