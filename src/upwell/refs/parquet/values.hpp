#pragma once
// Decoded values of one page, into a column. Internal.

#include "refs/parquet/encodings.hpp"
#include "refs/parquet/footer.hpp"

namespace upwell::parquet {

/// Non-null values as they come from a page or dictionary.
struct PageValues {
  std::vector<int64_t> integers;
  std::vector<double> floats;
  std::vector<uint32_t> numbers;  ///< of byte values, in the column's heap
};

/// `count` values. Byte values go to the column's heap, of which `max_bytes` bounds the size.
Result<PageValues> decode_values(Column& column, Encoding encoding, ByteCursor& in, uint64_t count,
                                 uint64_t max_bytes);
/// The values that `indices` name. kInvalidData when one is beyond the dictionary.
Result<PageValues> look_up_values(const PageValues& dictionary, Type type,
                                  std::span<const uint32_t> indices);
/// Appends rows; `valid` empty: none is null.
void append_rows(Column& column, const PageValues& values, std::span<const uint32_t> valid,
                 uint64_t rows);

}  // namespace upwell::parquet
