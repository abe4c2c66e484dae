// The text of a .meta and, where it promises little enough, the dataset over a .data of that size.

#include "format/mds/mds.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell;
  constexpr uint64_t kMaxData = 1 << 20;
  auto meta = format::mds::parse_meta(as_text(ByteSpan(data, size)));
  if (!meta) return 0;
  const uint64_t bytes = meta->data_bytes();
  for (const bool one_layout : {false, true}) {
    format::ScanOptions options;
    options.one_layout = one_layout;
    Granule granule{"memory://x/T.0000000012.data", {}};
    granule.info.size = std::min(bytes, kMaxData);
    auto dataset = format::mds::make_dataset({{*meta, granule}}, options);
    if (!dataset) continue;
    if (bytes > kMaxData) __builtin_trap();  // more is believed than is there
    for (const Array& array : dataset->root.arrays)
      for (const Segment& segment : array.segments)
        for (uint64_t n = 0; n < segment.chunks->size(); ++n) {
          auto ref = segment.chunks->at(n);
          if (ref && ref->state == ChunkRef::State::kStored && ref->offset + ref->length > bytes)
            __builtin_trap();
        }
  }
  return 0;
}
