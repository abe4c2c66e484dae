#pragma once
// Kerchunk reference sets in Parquet, as fsspec's LazyReferenceMapper lays them out: .zmetadata
// with "record_size", and DIR/ARRAY/refs.N.parq with the columns path, offset, size, raw.

#include "cube/dataset.hpp"
#include "io/session.hpp"
#include "refs/url_policy.hpp"

namespace upwell::refs {

struct KerchunkParquetOptions {
  UrlPolicy urls;
  std::vector<std::string> drop;  ///< arrays to leave out
  /// Partitions (refs.N.parq) of the whole set that are kept decoded; the least recently used one
  /// goes. At record_size 100,000 one takes about 2 MB.
  size_t cached_partitions = 64;
};

/// `base`: the directory, ending in '/'; `zmetadata`: the document in it. Reads no partition:
/// chunk lookups do, through `session`, which must outlive the dataset.
Result<Dataset> read_kerchunk_parquet(io::Session& session, const std::string& base,
                                      ByteSpan zmetadata, const KerchunkParquetOptions& options);

}  // namespace upwell::refs
