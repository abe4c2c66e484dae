// netCDF classic headers, fed as a driver would: only what the reader asks for.

#include "format/netcdf3/netcdf3.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace upwell;
  const format::Format& netcdf3 = format::netcdf3::netcdf3_format();
  if (!netcdf3.recognise({data, std::min<size_t>(size, netcdf3.head_bytes)}, size)) return 0;
  format::Window window(size);
  auto reader = netcdf3.make({"memory://x", {}}, {});
  for (int round = 0; round < 64; ++round) {
    auto done = reader->advance(window);
    if (!done) return 0;
    if (*done) {
      (void)reader->finish();
      return 0;
    }
    for (const io::Range& range : window.take_missing()) {
      window.add(range.offset, SharedBytes(to_bytes(ByteSpan(data + range.offset, range.length))));
    }
  }
  __builtin_trap();  // a header is read in few rounds
}
