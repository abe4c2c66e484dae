// Flat Parquet files: whatever the bytes, an answer or an error within the limits.

#include "refs/parquet/reader.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  upwell::parquet::ReadLimits limits;
  limits.max_rows = 1 << 16;
  limits.max_bytes = 1 << 22;
  (void)upwell::parquet::read_columns({data, size}, {}, limits);
  return 0;
}
