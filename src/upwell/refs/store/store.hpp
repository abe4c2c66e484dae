#pragma once
// Upwell's own form of a cube: a directory NAME.upwell of a JSON manifest and parts, whose columns
// are Arrow IPC files. It holds segments, so granules may differ in how they store an array.
// docs/own-form.md describes it.

#include <filesystem>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "cube/dataset.hpp"
#include "refs/granule_record.hpp"
#include "refs/reference_output.hpp"
#include "refs/url_policy.hpp"

namespace upwell::refs {

/// A directory of columns that never changes: some granules in a row.
struct StorePart {
  std::string name;       ///< "part-1"
  uint64_t length = 0;    ///< elements along the concat dimension
  uint64_t granules = 0;  ///< objects
  uint64_t sources = 0;   ///< those of them that are granules of the cube
  ReferenceCounts counts;
  std::vector<std::pair<std::string, uint64_t>> files;  ///< name, size
};

/// A part that readers of an older manifest may still open.
struct SupersededPart {
  std::string name;
  int64_t since_unix_s = 0;
};

/// manifest.json. Small, whatever the number of granules; replaced in one step.
struct StoreManifest {
  uint64_t next_part = 1;            ///< a number that no part has had
  std::string concat;                ///< dimension; empty: one granule
  std::string coordinate;            ///< path of the variable that orders granules; may be empty
  std::vector<std::string> loaded;   ///< paths of arrays whose values are in the store
  std::vector<std::string> decoded;  ///< paths of arrays that hold decoded values
  std::string locations;             ///< locations_member
  std::optional<format::MdsOptions> mds;   ///< of StoreRecord
  Group root;                              ///< arrays without segments
  std::vector<StorePart> parts;            ///< in order along the concat dimension
  std::vector<SupersededPart> superseded;  ///< in object stores
  std::string etag;                        ///< of the object that it was read from

  uint64_t length() const;
};

inline constexpr const char* kManifest = "manifest.json";

/// True for a name or URL that a store has: it ends in ".upwell".
bool names_store(std::string_view name);

/// The manifest of a store of `cube`, without parts. `record`: without granules.
StoreManifest plan_store(const Dataset& cube, const StoreRecord& record,
                         const std::vector<std::string>& decoded,
                         const ReferenceOutputOptions& output);

/// What becomes a part.
struct PartInput {
  /// Segments of a cube that begin at `begin` of the concat dimension or later.
  struct Cube {
    const Dataset* dataset = nullptr;
    uint64_t begin = 0;
  };
  /// One after the other; the part begins where the first does. Arrays without the concat dimension
  /// are those of the first, and taken when it begins at 0.
  std::vector<Cube> cubes;
  std::span<const GranuleRecord> granules;  ///< in cube order, URLs as in the output
  const ReferenceOutputOptions& output;     ///< for the last cube; URLs of others are kept
  uint64_t length = 0;                      ///< elements along the concat dimension
};
/// Writes the files of a part into `directory`, which it makes. Memory does not grow with the
/// references but for those stored inline. kUnsupported names an array that a store cannot hold.
Result<StorePart> write_part(const std::filesystem::path& directory, const std::string& name,
                             const StoreManifest& manifest, const PartInput& input);
/// Puts a manifest into `directory` in one step: readers see the old one or the new.
Result<uint64_t> write_manifest(const std::filesystem::path& directory,
                                const StoreManifest& manifest);
/// Same manifest, same bytes.
Result<std::string> manifest_json(const StoreManifest& manifest);

/// Adds `input` as the last part to those of `next`, and puts the manifest that names it in the
/// place of `before`, in one step. `before` without an ETag, in an object store: nothing is there.
/// There, nullopt: another run was faster, and nothing was changed. Parts that no reader needs any
/// more are removed; what hinders that is a warning.
Result<std::optional<StorePart>> change_store(io::Session& session, const std::string& location,
                                              const StoreManifest& before, StoreManifest next,
                                              const PartInput& input,
                                              std::vector<std::string>& warnings);
/// Chunks in segments that begin at `begin` of the concat dimension or later.
uint64_t rows_behind(const Dataset& cube, const std::string& concat, uint64_t begin);
/// Takes those parts from the end of `next` that a part of `rows` chunks behind them should hold,
/// too, so that many small additions do not leave many parts.
std::vector<StorePart> take_small_parts(StoreManifest& next, uint64_t rows);

/// The manifest in an object store; an empty one where there is none, and in place of one of ours
/// that is broken, with its ETag.
Result<StoreManifest> manifest_there(io::Session& session, const std::string& url);
/// Removes parts that no manifest names from a local store: of runs that were stopped, and those
/// that the last change made superfluous. Until then readers of the older manifest can open them.
Result<> sweep_parts(const std::filesystem::path& location, const StoreManifest& manifest);

struct OpenStoreOptions {
  UrlPolicy urls;
  std::vector<std::string> drop;  ///< paths of arrays
  bool only_as_recorded = false;  ///< see OpenOptions
};
/// Opens the store at `base`, which ends with '/'. References stay in their files until they are
/// looked up; the session must outlive the dataset. kInvalidData names the file that is broken.
Result<Dataset> open_store(io::Session& session, const std::string& base, ByteSpan manifest,
                           const OpenStoreOptions& options);

/// Leaves of a cube that open_store gave the longest run along the concat dimension in which every
/// array of references is stored in one way; gives where it begins and ends. What was decoded there
/// is stored values again. kUnsupported when there is none.
Result<std::pair<uint64_t, uint64_t>> cut_to_longest_uniform(Dataset& cube,
                                                             const StoreManifest& manifest);

/// The manifest of the store at `url`, as it is now.
Result<StoreManifest> read_manifest(io::Session& session, const std::string& url);
/// The same, and certainly that of its ETag.
Result<StoreManifest> read_manifest_to_change(io::Session& session, const std::string& url);
/// What other forms of reference sets keep in their member "upwell".
Result<StoreRecord> record_of_store(io::Session& session, const std::string& url,
                                    const StoreManifest& manifest);

}  // namespace upwell::refs
