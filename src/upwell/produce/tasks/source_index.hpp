#pragma once
// The model's output files, NAME_TAG.STEP.data and .meta, found in one pass over their source.

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"
#include "io/session.hpp"

namespace upwell::produce {

/// The files of one field, tag and time step in one directory.
struct SourceFiles {
  static constexpr int64_t kNoStep = -1;  ///< of NAME.data, without a step

  int64_t step = kNoStep;
  uint32_t directory = 0;  ///< index into SourceIndex::directories
  bool data = false, meta = false;
};

/// One file name, taken apart: "SSH_mon_mean.0000000732.data" is stem "SSH_mon_mean", step 732.
struct SourceName {
  std::string_view stem;
  int64_t step = SourceFiles::kNoStep;
  bool meta = false;
};
/// nullopt: not a .data or .meta file.
std::optional<SourceName> parse_source_name(std::string_view name);

/// What a listing of the source has of the fields that were asked for.
struct SourceIndex {
  std::string root;  ///< as the user wrote it
  std::vector<std::string>
      directories;  ///< paths as they go into task lists, without '/' at the end
  std::map<std::string, std::vector<SourceFiles>, std::less<>> stems;  ///< sorted by step
  uint64_t listed = 0;              ///< files that the listing named
  uint64_t skipped_by_version = 0;  ///< of the wanted stems, in directories of another version

  const std::vector<SourceFiles>& files(std::string_view stem) const;
  std::string path(std::string_view stem, const SourceFiles& files, bool meta) const;
};

/// What to look for. A stem is "SSH_mon_mean", of time-invariant fields "DIFFKR".
struct SourceWants {
  /// Directory below the root where a bucket has them ("diags_monthly"; "": the root itself) to
  /// stems.
  std::map<std::string, std::set<std::string>> stems;
  std::string version;  ///< of which directories are, among several versions below one root
};

/// Lists `root` once and keeps the files of the wanted stems. Memory grows with the files kept, by
/// 24 bytes each.
///   Local: the whole tree, without following links to directories; of directories only those whose
///   path has the version in it, as EDP chooses; the directories of the stems do not matter.
///   Elsewhere (s3://): each directory of the stems, and in it what begins with a stem, a listing
///   each.
/// kInvalidData: one stem and step in two directories, of which nobody could tell which is meant.
Result<SourceIndex> list_source(io::Session& session, const std::string& root,
                                const SourceWants& wants);

}  // namespace upwell::produce
