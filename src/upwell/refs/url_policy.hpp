#pragma once
// Which objects a reference set may name.

#include <memory>
#include <string>

#include "base/result.hpp"
#include "refs/locations.hpp"

namespace upwell::refs {

/// Where a reference set lies, and what it may therefore point to.
struct UrlPolicy {
  std::string base;  ///< URL of the reference set; relative URLs resolve against its directory
  bool allow_local = true;                         ///< local files may be named
  std::shared_ptr<LocationChoice> locations = {};  ///< of objects in two places; null: none are

  /// The policy for a set at `base`: local files only for local sets, unless told otherwise.
  static UrlPolicy for_set(const std::string& base, bool remote_may_name_local);
  /// Absolute form of a URL of the set, in the place to read. kPermissionDenied when the set may
  /// not name it.
  Result<std::string> resolve(const std::string& url) const;
};

}  // namespace upwell::refs
