#include "refs/zarr_array_cache.hpp"

namespace upwell::refs {

Result<ZarrArray> ZarrArrayCache::parse_zarr2(const std::string& path, const std::string& zarray,
                                              const std::string& zattrs) {
  std::shared_ptr<const Parsed> known;
  {
    std::lock_guard lock(mutex_);
    if (auto it = last_.find(path); it != last_.end()) known = it->second;
  }
  if (known && known->zarray == zarray && known->zattrs == zattrs) return known->array;
  UPWELL_TRY(ZarrArray array, parse_zarr2_array(zarray, zattrs));
  known = std::make_shared<const Parsed>(Parsed{zarray, zattrs, array});
  std::lock_guard lock(mutex_);
  last_[path] = std::move(known);
  return array;
}

}  // namespace upwell::refs
