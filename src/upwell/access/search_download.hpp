#pragma once
// Copies of granules: resumed where they broke off, compared with their checksums, whole or not
// there.

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "access/umm.hpp"
#include "base/result.hpp"
#include "io/session.hpp"

namespace upwell::access {

struct DownloadItem {
  std::string url;
  std::string name;                                    ///< of the file; a plain name
  std::optional<uint64_t> size = {};                   ///< as recorded, exactly
  std::string checksum_algorithm = {}, checksum = {};  ///< in lower case
};

/// The kind of a checksum that cannot be compared here (it is none of MD5, SHA-1, SHA-2); else "".
std::string unknown_checksum(const DownloadItem& item);

/// `name`d by the URL. kInvalidArgument when that ends in no name of a file.
Result<DownloadItem> download_item(const std::string& url);
/// A file of a granule, from where `prefer_s3` says, as far as it is there.
Result<DownloadItem> download_item(const GranuleFile& file, bool prefer_s3);

/// Each URL once, with what any of its mentions records of it. kInvalidArgument when two files
/// would have the same name, or when two mentions contradict each other.
Result<std::vector<DownloadItem>> each_once(std::vector<DownloadItem> items);

struct DownloadOptions {
  std::filesystem::path directory = ".";
  size_t files_at_once = 4;
  bool again = false;  ///< also what is there already
};

struct DownloadResult {
  enum class How { kFetched, kResumed, kPresent, kFailed } how = How::kFailed;
  std::filesystem::path path;
  uint64_t bytes = 0;     ///< that were fetched now
  bool verified = false;  ///< by its checksum
  std::optional<Error> error;
};

/// Result i is of item i; `done` is called with i as they are finished, by any thread. A file that
/// is there counts as present when its checksum is right, where there is none when its length is.
/// What broke off stays as .NAME.part, and is gone on with if the object is still the same (ETag,
/// length), or if a checksum will tell. A checksum that does not fit is kInvalidData, and the bytes
/// are thrown away. A server that ignores ranges gives the whole file in one answer, of one file at
/// a time. The names of the items differ: see each_once.
Result<std::vector<DownloadResult>> download(io::Session& session,
                                             const std::vector<DownloadItem>& items,
                                             const DownloadOptions& options,
                                             const std::function<void(size_t)>& done);

}  // namespace upwell::access
