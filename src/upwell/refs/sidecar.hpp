#pragma once
// A DMR++ that lies beside its granule. Internal to refs/.

#include <optional>
#include <string>

#include "refs/open.hpp"

namespace upwell::refs {

/// What lies beside the granule `url` as "URL.dmrpp". No dataset: there is none, or it does not
/// agree with the granule; then `note` says why. It agrees when it names this granule or none, is
/// not older, has no chunk beyond the granule's end, and nothing in it is beyond us (unless
/// `partly`, for granules that nothing else can read).
struct Sidecar {
  std::optional<Dataset> dataset;
  std::string note;
};
Result<Sidecar> open_sidecar(io::Session& session, const std::string& url,
                             const io::ObjectInfo& granule, const OpenOptions& options,
                             bool partly);

}  // namespace upwell::refs
