#pragma once
// Keeping a reference set up to date: granules added, replaced, removed.

#include <filesystem>
#include <string>
#include <vector>

#include "refs/virtualize.hpp"

namespace upwell::refs {

struct AppendOptions {
  VirtualizeOptions virtualize;     ///< combine.concat and combine.on_overlap among them
  std::vector<std::string> remove;  ///< URLs, file names, or patterns of either
};

struct AppendReport {
  VirtualizeReport virtualize;         ///< of the store as it is afterwards
  std::vector<std::string> unchanged;  ///< sources that were in the store already, as they are
  size_t added = 0, replaced = 0, removed = 0, skipped = 0;
  bool written = false;  ///< false: there was nothing to do, and nothing was touched
  std::string to_json() const;
};

/// Brings the kerchunk JSON reference set at `output`, a local file, up to date with `sources` (see
/// expand_sources), under the audit of virtualize: the store stands in place of the first granule.
/// The document is replaced in one step; a second run with the same sources touches nothing. Runs
/// on the same store follow one another. kUnsupported for a set that does not say where its
/// granules end (no record; see granule_record.hpp), and for other forms.
Result<> append(io::Session& session, const std::filesystem::path& output,
                const std::vector<std::string>& sources, const AppendOptions& options,
                AppendReport& report);

/// Brings what a scan says of a new granule into the form in which `store` holds it: a dimension
/// put in front, names given to nameless dimensions, one run of unencoded bytes cut into the
/// store's chunks.
Dataset adapted_to_store(Dataset granule, const Group& store, const std::string& concat);

}  // namespace upwell::refs
