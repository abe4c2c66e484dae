// Archives of grids: tar, with and without gzip.

#include <algorithm>

#include "produce/grid/tar.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t kLimit = 1 << 20;
  constexpr size_t kPart = 700;  // that ends anywhere in headers and contents
  size_t at = 0;
  const auto source = [&]() -> upwell::Result<upwell::SharedBytes> {
    const upwell::ByteSpan part =
        upwell::ByteSpan(data, size).subspan(at, std::min(kPart, size - at));
    at += part.size();
    return upwell::SharedBytes(upwell::to_bytes(part));
  };
  const auto files = upwell::produce::read_tar(
      source, [](std::string_view path) { return !path.ends_with(".skip"); }, kLimit);
  if (!files) return 0;
  uint64_t bytes = 0;
  for (const auto& file : *files) {
    if (file.path.empty() || file.path.ends_with('/')) __builtin_trap();
    bytes += file.bytes.size();
  }
  if (bytes > kLimit) __builtin_trap();
  return 0;
}
