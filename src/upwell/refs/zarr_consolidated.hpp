#pragma once
// Documents that hold other documents: .zmetadata of Zarr v2, "consolidated_metadata" of v3.
// Internal to refs/.

#include "refs/reference_tree.hpp"

namespace upwell::refs {

/// Adds what is in a .zmetadata (zarr-python's convention; fsspec's reference sets in Parquet have
/// one too). Gives its "record_size", 0 where there is none. kInvalidData names the key.
Result<uint64_t> add_zmetadata(ReferenceTree& tree, ByteSpan zmetadata);

/// Whether a .zmetadata is that of a reference set in Parquet.
bool has_record_size(ByteSpan zmetadata);

/// Adds what is in "consolidated_metadata" of a group's zarr.json (Zarr core specification 3.1).
/// False: it has none.
Result<bool> add_zarr3_consolidated(ReferenceTree& tree, ByteSpan zarr_json);

/// Whether a zarr.json is that of an array; anything else may be a group.
bool zarr3_is_array(std::string_view zarr_json);

}  // namespace upwell::refs
