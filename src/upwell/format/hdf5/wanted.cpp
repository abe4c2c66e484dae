#include "format/hdf5/wanted.hpp"

#include <algorithm>

#include "format/hdf5/netcdf4.hpp"

namespace upwell::format::hdf5 {
namespace {

/// "/a/b" of "a//b/".
std::string clean_path(std::string_view path) {
  std::string clean;
  while (!path.empty()) {
    size_t slash = std::min(path.find('/'), path.size());
    if (slash > 0) clean.append("/").append(path.substr(0, slash));
    path.remove_prefix(std::min(slash + 1, path.size()));
  }
  return clean;
}

/// Whether `path` is `above` or lies below it.
bool is_within(std::string_view path, std::string_view above) {
  return path.starts_with(above) && (path.size() == above.size() || path[above.size()] == '/');
}

}  // namespace

Wanted::Wanted(const std::vector<std::string>& paths) {
  for (const std::string& path : paths) paths_.push_back(clean_path(path));
  if (std::find(paths_.begin(), paths_.end(), "") != paths_.end()) want_everything();
}

bool Wanted::add(const std::string& path) {
  if (everything() || std::find(paths_.begin(), paths_.end(), path) != paths_.end()) return false;
  paths_.push_back(path);
  return true;
}

bool Wanted::has(std::string_view group, std::string_view link) const {
  if (everything()) return true;
  std::string path = std::string(group) + "/" + std::string(link);
  // An array may be shown under another name than its link has.
  std::string shown = std::string(group) + "/" + std::string(variable_name(link));
  return std::any_of(paths_.begin(), paths_.end(), [&](const std::string& wanted) {
    return is_within(wanted, path) || is_within(path, wanted) || wanted == shown;
  });
}

}  // namespace upwell::format::hdf5
