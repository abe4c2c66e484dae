#pragma once
// What the steps of link_files share. Internal to virtual_*.cpp and external_*.cpp.

#include <map>
#include <memory>
#include <optional>
#include <string>

#include "format/hdf5/virtual.hpp"

namespace upwell::format::hdf5 {

/// The files that one dataset points to, each scanned once.
class LinkedFiles {
 public:
  LinkedFiles(io::Session& session, Dataset& dataset, const ScanOptions& options, int depth)
      : session_(session), dataset_(dataset), options_(options), depth_(depth) {}

  io::Session& session() { return session_; }
  Dataset& dataset() { return dataset_; }

  /// Where a file lies that is named in ours: as named, beside ours, or by its last part beside
  /// ours; nullopt when there is none. Never on another kind of store.
  Result<std::optional<Granule>> locate(const std::string& name);
  /// True when the located file is the one that is being linked.
  bool is_self(const Granule& granule) const;

  struct Source {
    Dataset dataset;
    std::vector<uint32_t> granules;  ///< number here of each granule of the source
  };
  /// Scans a file (once). kInvalidData for files that lead back to one that is being scanned.
  Result<std::shared_ptr<const Source>> open(const Granule& granule);

 private:
  io::Session& session_;
  Dataset& dataset_;
  const ScanOptions& options_;
  int depth_;
  std::map<std::string, Result<std::shared_ptr<const Source>>> sources_;
};

/// The same chunks with other granule numbers.
std::shared_ptr<const ChunkIndex> renumber(std::shared_ptr<const ChunkIndex> chunks,
                                           const std::vector<uint32_t>& granules);

/// Array or group below `group` by path, to change it; null when not there.
Array* find_array(Group& group, std::string_view path);
Group* find_group(Group& group, std::string_view path);
/// Takes the array out of the tree and reports why.
void refuse_array(Dataset& dataset, const std::string& path, Error error);
/// The error that the source's scan met at this path, when it did.
const Error* problem_at(const Dataset& dataset, std::string_view path);

Result<> link_virtual(LinkedFiles& files, const std::vector<PendingVirtual>& pending);
Result<> link_external_data(LinkedFiles& files, const std::vector<PendingExternal>& pending,
                            const ScanOptions& options);
Result<> link_external_links(LinkedFiles& files, const std::vector<PendingLink>& pending);

}  // namespace upwell::format::hdf5
