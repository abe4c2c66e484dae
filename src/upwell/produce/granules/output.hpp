#pragma once
// Where granules go: a local path or any store that can be written.

#include <string>
#include <vector>

#include "format/netcdf4/writer.hpp"
#include "produce/granules/receipt.hpp"

namespace upwell::produce {

/// Writes a granule whole or not at all, makes the directories above it, and then the sidecars
/// NAME.sha256 or NAME.md5 in the form of sha256sum and md5sum. `checksums` are of these names; a
/// sidecar of an earlier granule that is not among them goes.
Result<FileRecord> write_granule(io::Session& session, const std::string& url,
                                 const format::netcdf4::File& file,
                                 const std::vector<std::string>& checksums);

/// Makes sure that the sidecars of these names beside a granule that is kept are its own; writes
/// those that are not.
Result<> keep_checksums(io::Session& session, const FileRecord& granule,
                        const std::vector<std::string>& checksums);

Result<> write_receipt(io::Session& session, const Receipt& receipt);

}  // namespace upwell::produce
