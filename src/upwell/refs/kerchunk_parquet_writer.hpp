#pragma once
// Kerchunk reference sets as Parquet, in the layout of fsspec's LazyReferenceMapper.

#include "refs/reference_output.hpp"

namespace upwell::refs {

/// Gives <array>/refs.N.parq of `record_size` rows each, the last one padded as readers expect, and
/// last .zmetadata to `sink`. `bytes_written` is increased. Arrays as in write_kerchunk_json.
Result<ReferenceCounts> write_kerchunk_parquet(const Dataset& dataset,
                                               const ReferenceOutputOptions& options,
                                               uint64_t record_size, const ObjectSink& sink,
                                               uint64_t& bytes_written);

/// Grows a set that is there, `store`, along the leading axes to `cube`. Gives the partitions that
/// change, in which every row of `store` stays as it is, and last .zmetadata: a reader of the old
/// .zmetadata sees no difference. Of arrays that grow, `cube` needs chunks from the first on that
/// is not full in `store`; chunk shapes are equal.
Result<> extend_kerchunk_parquet(const Dataset& store, const Dataset& cube,
                                 const ReferenceOutputOptions& options, uint64_t record_size,
                                 const ObjectSink& sink, ReferenceCounts& counts,
                                 uint64_t& bytes_written);

}  // namespace upwell::refs
