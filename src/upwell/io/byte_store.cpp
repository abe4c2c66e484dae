#include "io/byte_store.hpp"

#include <algorithm>

namespace upwell::io {

Result<std::vector<std::string>> ByteStore::list_directory(const std::string& directory) {
  UPWELL_TRY(const std::vector<std::string> urls, list(directory));
  std::vector<std::string> names;
  for (const std::string& url : urls) {
    if (!url.starts_with(directory)) continue;
    std::string below = url.substr(directory.size());
    if (const size_t slash = below.find('/'); slash != std::string::npos) below.resize(slash + 1);
    names.push_back(std::move(below));
  }
  std::sort(names.begin(), names.end());
  names.erase(std::unique(names.begin(), names.end()), names.end());
  return names;
}

}  // namespace upwell::io
