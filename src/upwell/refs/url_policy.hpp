#pragma once
// Which objects a reference set may name.

#include <memory>
#include <string>

#include "base/result.hpp"
#include "io/reach.hpp"
#include "refs/locations.hpp"

namespace upwell::refs {

/// Where a reference set lies, and what it may therefore point to.
struct UrlPolicy {
  std::string base;    ///< URL of the reference set; relative URLs resolve against its directory
  io::ReachPtr reach;  ///< goes with every read of what the set names; null: no limits
  std::shared_ptr<LocationChoice> locations = {};  ///< of objects in two places; null: none are

  /// Absolute form of a URL of the set, in the place to read. kPermissionDenied when the set may
  /// not name it, as far as the spelling tells.
  Result<std::string> resolve(const std::string& url) const;
};

}  // namespace upwell::refs
