#pragma once
// The codec chain of a Zarr v3 array, with its shards. Internal to refs/.

#include <string_view>
#include <vector>

#include "cube/dataset.hpp"

namespace upwell::refs {

/// One level of the codec sharding_indexed (Zarr codec specification "sharding-indexed" 1.0): an
/// object, or a byte range of one, that holds many chunks and an index of them.
struct ZarrShards {
  Shape shape;               ///< of a shard, along the axes of the array
  Shape chunk_shape;         ///< of the chunks in it, along the axes of the array
  std::vector<size_t> axes;  ///< the index counts along axes[0], axes[1], ... of the array
  bool index_at_start = false;
  bool index_big_endian = false;
  std::vector<codec::CodecSpec> index_checks;  ///< checksums behind the index, 4 bytes each
  std::vector<codec::CodecSpec> codecs;        ///< of bytes, over the shard as a whole

  uint64_t chunks_in_shard() const;
  /// As stored.
  uint64_t index_bytes() const { return chunks_in_shard() * 16 + index_checks.size() * 4; }
};

/// What the list "codecs" says.
struct ZarrCodecs {
  std::vector<ZarrShards> shards;  ///< outermost first
  Shape chunk_shape;               ///< of what is encoded by `specs`
  std::vector<codec::CodecSpec> specs;
  bool fortran_order = false;
};

/// `codecs_json`: the list; `chunk_shape`: that of the chunk grid. Takes the byte order into
/// `type`.
Result<ZarrCodecs> parse_zarr3_codecs(std::string_view codecs_json, const Shape& chunk_shape,
                                      DataType& type);

}  // namespace upwell::refs
