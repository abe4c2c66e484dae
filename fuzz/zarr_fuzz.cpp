// Zarr documents and shards: the input up to the first zero byte is a zarr.json (or, where that is
// no JSON of v3, a .zarray), the rest is every chunk or shard of the array.

#include <algorithm>

#include "cube/read.hpp"
#include "io/memory_store.hpp"
#include "refs/open.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell;
  const uint8_t* end = std::find(data, data + size, 0);
  const std::string document(data, end);
  const Bytes rest(end == data + size ? end : end + 1, data + size);
  const bool v3 = document.find("node_type") != std::string::npos;
  io::Session session;
  auto memory = std::make_shared<io::MemoryStore>();
  session.mount("memory", memory);
  memory->put(v3 ? "memory://s/zarr.json" : "memory://s/.zarray", document);
  for (const char* key : {"0", "0.0", "0/0", "c/0", "c/0/0", "c", "c.0.0"}) {
    memory->put(std::string("memory://s/") + key, rest);
  }
  auto dataset = refs::open_source(session, "memory://s/");
  if (!dataset) return 0;
  for_each_array(dataset->root, [&](const std::string&, const Array& array) {
    if (element_count(array.shape) > (1 << 16) || element_count(array.chunk_shape) > (1 << 16))
      return;
    if (array.type.size > (1 << 10)) return;
    (void)read_raw(session, *dataset, array, {});
  });
  return 0;
}
