// The HDF5 reader on any bytes: once with everything there, once fed only with what it asks for.

#include <cstddef>
#include <cstdint>

#include "format/hdf5/hdf5.hpp"

namespace {

constexpr int kMaxRounds = 5000;

void scan(upwell::ByteSpan bytes, bool all_at_once) {
  using namespace upwell;
  format::Window window(bytes.size());
  uint64_t head = all_at_once ? bytes.size() : std::min<size_t>(bytes.size(), 64);
  window.add(0, SharedBytes(nullptr, bytes.first(head)));
  Granule granule;
  granule.url = "memory:fuzz";
  granule.info.size = bytes.size();
  format::ScanOptions options;
  options.all_attributes = !all_at_once;
  auto reader = format::hdf5::hdf5_format().make(granule, options);
  for (int round = 0; round < kMaxRounds; ++round) {
    auto done = reader->advance(window);
    if (!done) return;
    if (*done) {
      (void)reader->finish();
      return;
    }
    auto missing = window.take_missing();
    if (missing.empty()) __builtin_trap();  // it waits for nothing
    for (const io::Range& range : missing)
      window.add(range.offset, SharedBytes(nullptr, bytes.subspan(range.offset, range.length)));
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  upwell::ByteSpan bytes(data, size);
  auto recognise = upwell::format::hdf5::hdf5_format().recognise;
  if (!recognise(bytes.first(std::min<size_t>(size, 8192)), size)) return 0;
  scan(bytes, true);
  scan(bytes, false);
  return 0;
}
