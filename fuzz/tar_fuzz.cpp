// Archives of grids: tar, with and without gzip.

#include "produce/grid/tar.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  constexpr uint64_t kLimit = 1 << 20;
  const auto files = upwell::produce::read_tar(
      {data, size}, [](std::string_view path) { return !path.ends_with(".skip"); }, kLimit);
  if (!files) return 0;
  uint64_t bytes = 0;
  for (const auto& file : *files) {
    if (file.path.empty() || file.path.ends_with('/')) __builtin_trap();
    bytes += file.bytes.size();
  }
  if (bytes > kLimit) __builtin_trap();
  return 0;
}
