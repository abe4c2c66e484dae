#pragma once
// Granules of one collection say the same of their arrays: what was parsed last is kept.

#include <memory>
#include <mutex>
#include <string>
#include <unordered_map>

#include "refs/zarr_metadata.hpp"

namespace upwell::refs {

/// The last array that was parsed for each path. Thread-safe.
class ZarrArrayCache {
 public:
  /// parse_zarr2_array, unless the documents are those of the last call for this path.
  Result<ZarrArray> parse_zarr2(const std::string& path, const std::string& zarray,
                                const std::string& zattrs);

 private:
  struct Parsed {
    std::string zarray, zattrs;
    ZarrArray array;
  };
  std::mutex mutex_;
  std::unordered_map<std::string, std::shared_ptr<const Parsed>> last_;
};

}  // namespace upwell::refs
