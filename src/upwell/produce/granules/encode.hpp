#pragma once
// From values to chunks as they lie in a file: cut, shuffled, deflated; on all cores.

#include <map>
#include <memory>
#include <mutex>

#include "codec/codec.hpp"
#include "format/netcdf4/writer.hpp"

namespace upwell::produce {

/// How granules are compressed.
enum class Compression {
  kSmall,  ///< not larger than with zlib at level 5
  kFast,   ///< at most some percent larger, in less than half of the time
};

/// Encodes chunks of one run. Chunks that hold nothing but fill are encoded once. Thread-safe.
class ChunkEncoder {
 public:
  explicit ChunkEncoder(Compression compression) : compression_(compression) {}

  /// All chunks of C-order `values` with shape `values_shape`; edge chunks are padded with `fill`,
  /// one element. `announced`: the level that the file names.
  Result<format::netcdf4::EncodedChunks> encode(ByteSpan values, const Shape& values_shape,
                                                const Shape& chunk_shape, ByteSpan fill,
                                                int announced);

 private:
  Result<SharedBytes> empty_chunk(const codec::Pipeline& pipeline, const Bytes& chunk);

  Compression compression_;
  std::mutex mutex_;
  std::map<Bytes::size_type, std::pair<Bytes, SharedBytes>> empty_;  ///< by size: fill and chunk
};

}  // namespace upwell::produce
