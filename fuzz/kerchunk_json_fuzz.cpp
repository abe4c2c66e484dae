// Kerchunk JSON, and the Zarr documents inside it: what is read can be written again.

#include "refs/granule_record.hpp"
#include "refs/kerchunk_json_reader.hpp"
#include "refs/zarr_metadata.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell;
  (void)refs::read_record(as_text({data, size}));
  refs::KerchunkJsonOptions options;
  options.urls = {"https://example.org/set.json",
                  std::make_shared<io::Reach>("https://example.org/set.json", io::ReachOptions{}),
                  {}};
  options.max_generated = 1000;
  auto dataset = refs::read_kerchunk_json({data, size}, options);
  if (!dataset) return 0;
  (void)refs::zarr2_documents(dataset->root);
  (void)refs::zarr3_documents(dataset->root);
  return 0;
}
