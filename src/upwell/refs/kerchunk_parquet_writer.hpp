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

}  // namespace upwell::refs
