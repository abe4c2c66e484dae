#pragma once
// What scans have read of remote objects, on disk, so that the next scan of the same object reads
// nothing. See docs/decisions/index-cache.md.

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "io/disk_cache.hpp"

namespace upwell::io {

/// Some bytes of an object and where they stand in it.
struct Extent {
  uint64_t offset = 0;
  SharedBytes bytes;
};

/// Extents sorted, none touching another: those that touch or overlap are joined. Where they
/// overlap, they are taken to agree.
std::vector<Extent> united(std::vector<Extent> extents);

/// One document that holds extents, and back. kInvalidData when it is not exactly such a document
/// of an object of this size: sorted, apart from each other, within the object.
Bytes index_document(const std::vector<Extent>& extents);
Result<std::vector<Extent>> parse_index_document(const SharedBytes& document, uint64_t object_size);

/// Thread-safe; several processes may use one directory. Failing to write is no error.
class IndexCache {
 public:
  IndexCache(std::filesystem::path directory, uint64_t limit)
      : files_(std::move(directory), limit) {}

  /// Whether what was read of this object may be kept: its URL holds no secret (user, query) and
  /// its state has a strong ETag that no later change can share with it (ObjectInfo::settled).
  static bool may_keep(const std::string& url, const ObjectInfo& state);

  /// `place`: where the URL leads, if it is not clear from itself (the service of a bucket). Empty
  /// when nothing is kept of this state.
  std::vector<Extent> find(const std::string& place, const std::string& url,
                           const ObjectInfo& state);
  /// In the place of what is kept of this state.
  void put(const std::string& place, const std::string& url, const ObjectInfo& state,
           std::vector<Extent> extents);

 private:
  DiskCache files_;
};

/// "$XDG_CACHE_HOME/upwell/index", "~/.cache/upwell/index"; empty where there is no home.
std::filesystem::path usual_index_directory();

}  // namespace upwell::io
