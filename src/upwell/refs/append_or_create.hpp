#pragma once
// A reference set that is there as soon as its first granules are, for who makes granules.

#include "refs/append.hpp"

namespace upwell::refs {

/// append to the set at `store`, or, where none is, virtualize to it: a path, or an s3:// URL of
/// JSON. Of runs that begin the same set at the same time one makes it, and the others add to it.
/// options.virtualize.combine.concat says along which dimension granules follow, also of a set of
/// one granule.
Result<> append_or_create(io::Session& session, const std::string& store,
                          const std::vector<std::string>& sources, const AppendOptions& options,
                          AppendReport& report);

}  // namespace upwell::refs
