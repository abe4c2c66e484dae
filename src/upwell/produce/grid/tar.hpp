#pragma once
// Tar archives, as they are or compressed with gzip, read in one pass by libarchive.

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::produce {

struct TarFile {
  std::string path;  ///< as in the archive, without "./" in front
  Bytes bytes;
};

/// The next bytes of an archive; none at its end. They are looked at until the next call.
using ArchiveSource = std::function<Result<SharedBytes>()>;

/// The regular files of an archive that `wanted` takes by their path, in its order: of POSIX (ustar
/// and pax) and of GNU tar, sparse ones too. Links, directories and devices are passed over.
/// kInvalidData: not such an archive, cut short, or with a wrong checksum (of a header, or gzip's);
/// kResourceExhausted: what is wanted has more than `limit` bytes. Errors of the source are passed
/// on. Nothing is allocated ahead of the bytes that come, and nothing is written to the disk.
Result<std::vector<TarFile>> read_tar(const ArchiveSource& source,
                                      const std::function<bool(std::string_view path)>& wanted,
                                      uint64_t limit);

}  // namespace upwell::produce
