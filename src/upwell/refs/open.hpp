#pragma once
// The one way to open whatever a user names: a granule or a reference set.

#include <string>

#include "cube/dataset.hpp"
#include "format/format.hpp"
#include "io/session.hpp"
#include "refs/zarr_array_cache.hpp"

namespace upwell::refs {

/// Opens `source`, a path or a URL, as
///  - a kerchunk reference set in JSON (version 0 or 1),
///  - a kerchunk reference set in Parquet (a directory with a .zmetadata that has "record_size";
///    the .zmetadata itself may be named too),
///  - a store in Upwell's own form (a directory NAME.upwell, or its manifest.json),
///  - a Zarr store, v2 or v3 (a directory; its .zmetadata or zarr.json may be named too),
///  - a DMR++ document, for the granule that it describes,
///  - or a granule of any format that format::scan knows, or with a DMR++ beside it (SidecarUse).
/// Relative URLs inside a reference set resolve against where the set lies.
///
/// What a reference set names is read under the session's `reach_from` it: a stranger's set must
/// not read this machine's files or its network (docs/decisions/reference-urls.md).
Result<Dataset> open_source(io::Session& session, const std::string& source,
                            const format::ScanOptions& options = {});

/// When a DMR++ beside a granule ("X.nc.dmrpp") is read instead of the granule's own structures.
enum class SidecarUse {
  kWhenNeeded,  ///< for granules of a format that is not read here (HDF4)
  kAlways,      ///< looked for beside every granule, which costs a request
  kNever,
};

struct OpenOptions {
  format::ScanOptions scan;
  SidecarUse sidecar = SidecarUse::kWhenNeeded;
  /// Where many sets that are alike are opened.
  ZarrArrayCache* arrays = nullptr;
  /// Holds granules to the states that a reference set recorded of them: those that changed since
  /// are not read (kChanged).
  bool only_as_recorded = false;
  io::ReachPtr reach = {};  ///< of what names the source; null: the user
};
Result<Dataset> open_source_with(io::Session& session, const std::string& source,
                                 const OpenOptions& options);
/// Whether the object at `url` is something that open_source opens, or a broken one of it: for
/// files of which a directory has all kinds. Reads its first bytes.
Result<bool> looks_like_source(io::Session& session, const std::string& url);

}  // namespace upwell::refs
