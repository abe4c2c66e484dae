#pragma once
// Zarr stores as sources: a directory of a file system, of an object store or of a web server.

#include <optional>
#include <string>
#include <vector>

#include "cube/dataset.hpp"
#include "io/session.hpp"

namespace upwell::refs {

/// The documents at the root of a store that were found, as text.
struct ZarrRoot {
  std::optional<std::string> zarr_json, zmetadata, zgroup, zarray, zattrs;
  bool empty() const { return !zarr_json && !zmetadata && !zgroup && !zarray; }
};

/// Reads them in one batch. `base`: directory, ending in '/'. A store that forbids what is not
/// there (S3 without the right to list) is understood as long as one of them can be read; else its
/// error.
Result<ZarrRoot> read_zarr_root(io::Session& session, const std::string& base);

/// Opens a Zarr store (storage specification 2, core specification 3.1) of which `root` was read.
/// Consolidated metadata are used where they are there; else groups are listed, a round of requests
/// a level, which a plain web server cannot do: kUnsupported. What cannot be read is in
/// Dataset::problems. Chunks are not listed: lookups ask for them through `session`, which must
/// outlive the dataset.
Result<Dataset> open_zarr_store(io::Session& session, const std::string& base, const ZarrRoot& root,
                                const std::vector<std::string>& drop);

}  // namespace upwell::refs
