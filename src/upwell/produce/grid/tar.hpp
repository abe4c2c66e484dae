#pragma once
// Tar archives, as they are or compressed with gzip, read in one pass.

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

/// The regular files of an archive that `wanted` takes by their path, in its order. Read are the
/// formats of POSIX (ustar and pax, IEEE 1003.1 "pax Interchange Format") and of GNU tar (long
/// names, sizes in base 256); links, directories and devices are passed over. kInvalidData: not
/// such an archive, cut short, or with a wrong checksum (of a header, or gzip's);
/// kResourceExhausted: what is wanted has more than `limit` bytes; kUnsupported: a wanted file is
/// sparse. Nothing is allocated ahead of the bytes that come.
Result<std::vector<TarFile>> read_tar(ByteSpan archive,
                                      const std::function<bool(std::string_view path)>& wanted,
                                      uint64_t limit);

}  // namespace upwell::produce
