// What was kept of a scan: the first two bytes are the size of the object that it is said to be of.

#include <cstdlib>

#include "io/index_cache.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell;
  if (size < 2) return 0;
  const uint64_t object_size = data[0] | data[1] << 8;
  const SharedBytes document(Bytes(data + 2, data + size));
  const auto extents = io::parse_index_document(document, object_size);
  if (!extents) return 0;
  // What is taken is in order, apart, and within the object; written again it is the same.
  uint64_t end = 0;
  for (const io::Extent& e : *extents) {
    if (e.bytes.empty() || (end > 0 && e.offset <= end)) std::abort();
    end = e.offset + e.bytes.size();
    if (end > object_size) std::abort();
  }
  if (io::index_document(*extents) != to_bytes(document.span())) std::abort();
  if (io::united(*extents).size() != extents->size()) std::abort();
  return 0;
}
