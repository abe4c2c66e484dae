// DMR++ documents: what is read can be looked up, and its values read from a granule of a few
// bytes. Nothing is asked of files and servers.

#include <algorithm>

#include "cube/read.hpp"
#include "io/memory_store.hpp"
#include "refs/dmrpp.hpp"

namespace {

upwell::io::Session& fuzz_session() {
  static upwell::io::Session session;
  static const bool ready = [] {
    auto memory = std::make_shared<upwell::io::MemoryStore>();
    for (const char* scheme : {"memory", "file", "http", "https", "s3"})
      session.mount(scheme, memory);
    upwell::Bytes granule(4096);
    for (size_t i = 0; i < granule.size(); ++i) granule[i] = static_cast<uint8_t>(i * 7);
    memory->put("memory://d/g", std::move(granule));
    return true;
  }();
  (void)ready;
  return session;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell;
  io::Session& session = fuzz_session();
  refs::DmrppOptions options;
  options.document_url = "memory://d/g.dmrpp";
  options.granule_url = "memory://d/g";
  options.urls = {"https://example.org/g.dmrpp",
                  std::make_shared<io::Reach>("https://example.org/g.dmrpp", io::ReachOptions{}),
                  {}};
  auto dataset = refs::read_dmrpp(session, {data, size}, options);
  if (!dataset) return 0;
  for_each_array(dataset->root, [&](const std::string&, const Array& array) {
    const uint64_t most = (1 << 18) / std::max<uint32_t>(array.type.size, 1);
    const bool small =
        element_count(array.shape) <= most && element_count(array.chunk_shape) <= most;
    if (small) (void)read_raw(session, *dataset, array, {});
  });
  return 0;
}
