#pragma once
// Kerchunk reference sets in JSON, versions 0 and 1 (kerchunk documentation, "References
// specification"), with Zarr v2 or v3 metadata.

#include "base/bytes.hpp"
#include "cube/dataset.hpp"
#include "refs/url_policy.hpp"
#include "refs/zarr_array_cache.hpp"

namespace upwell::refs {

struct KerchunkJsonOptions {
  UrlPolicy urls;
  std::vector<std::string> drop;  ///< arrays to leave out
  /// Most references that "gen" may make; more is kInvalidData.
  uint64_t max_generated = 20'000'000;
  ZarrArrayCache* arrays = nullptr;  ///< shared by sets that are alike
};

/// `head`: the first bytes of an object. True when they begin a JSON object.
bool looks_like_json(ByteSpan head);

/// Reads a whole document. References go straight to chunk indexes: a document of a million
/// references needs its own size plus about 20 bytes each. A chunk key outside of its array's grid
/// is no chunk, as in Zarr. Arrays that cannot be understood are in Dataset::problems. kInvalidData
/// names the key that is wrong; kPermissionDenied as in UrlPolicy.
Result<Dataset> read_kerchunk_json(ByteSpan text, const KerchunkJsonOptions& options);

}  // namespace upwell::refs
