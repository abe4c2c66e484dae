#include "io/byte_store.hpp"

#include <algorithm>

namespace upwell::io {

Result<Front> ByteStore::front(const std::string& url, uint64_t length, const ReachPtr& reach) {
  UPWELL_TRY(ObjectInfo info, stat(url, reach));
  ReadRequest request{url, {0, std::min(length, info.size)}, reach};
  if (request.range.length == 0) return Front{std::move(info), {}};
  UPWELL_TRY(SharedBytes bytes, std::move(read({&request, 1}).front()));
  return Front{std::move(info), std::move(bytes)};
}

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
