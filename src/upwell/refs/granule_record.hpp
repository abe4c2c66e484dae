#pragma once
// What a reference set knows of its granules beyond where their chunks lie: which, in which order,
// how long each is, and the state in which each was indexed.

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "format/format.hpp"
#include "io/session.hpp"
#include "refs/url_policy.hpp"

namespace upwell::refs {

/// One source of a reference set, in cube order.
struct GranuleRecord {
  std::string url;      ///< as in the output
  io::ObjectInfo info;  ///< its state when it was indexed
  uint64_t length = 0;  ///< elements along the concat dimension
};

/// What a set that follows a catalogue keeps of it.
struct CatalogueState {
  std::string as_of;  ///< all that the catalogue said up to then is in the set; ISO 8601, UTC
  /// Granules whose URL begins with the first also lie where it begins with the second. (Not
  /// LocationPairs: readers shall hold granules to the states that were recorded of the first.)
  std::vector<std::pair<std::string, std::string>> places;
  std::string instructions;  ///< what else decides on granules and references; empty: not known
};

/// The member "upwell" of a reference set: of the document in kerchunk JSON, of .zmetadata in
/// kerchunk Parquet; the last member of either. fsspec, kerchunk, zarr and xarray look at the
/// members that they know and pass over it. A program that rewrites the set leaves it out, so that
/// it does not stand beside references that it does not describe.
struct StoreRecord {
  std::string concat;               ///< dimension; empty: one granule
  std::string coordinate;           ///< path of the variable that orders granules; may be empty
  std::vector<std::string> loaded;  ///< paths of arrays whose values are in the set
  std::vector<GranuleRecord> granules;
  /// How MITgcm's files were read, where some granules are such: scanned anew, they are read alike.
  std::optional<format::MdsOptions> mds;
  std::optional<CatalogueState> catalogue;  ///< nothing: the granules were named in another way
};

/// What of an object's state outlives this machine: without the ETag of a file, which holds its
/// inode. A copy that kept size and time of change is the same granule (docs/decisions/append.md).
io::ObjectInfo lasting_state(const std::string& url, io::ObjectInfo info);

enum class Sameness {
  kSame,
  kChanged,
  kUnknown,  ///< too little is known of either: the same size, at most
};
/// Whether an object is as it was recorded: by size and ETag; by size and time of change where
/// either has no ETag. A time in whole seconds equals one within that second: many copies keep no
/// more.
Sameness compare_states(const io::ObjectInfo& recorded, const io::ObjectInfo& now);

/// JSON of the member's value. Same record, same bytes.
std::string record_json(const StoreRecord& record);

/// Options of MITgcm's files as a JSON object, of which only what is not the default is a member.
std::string mds_json(const format::MdsOptions& mds);
/// kInvalidData when it is something else than what mds_json writes.
Result<format::MdsOptions> parse_mds(std::string_view json);
/// How to read the granules of a set: as recorded, or as `given` where nothing was.
/// kInvalidArgument when an option that is given contradicts the record: times or shapes would be
/// others.
Result<format::MdsOptions> mds_of_set(const StoreRecord& record, const format::MdsOptions& given);

/// The record in the text of a document. nullopt: it has none (another program wrote it).
/// kInvalidData when it is something else than what record_json writes.
Result<std::optional<StoreRecord>> read_record(std::string_view document);

/// Makes the session refuse (kChanged) an object in another state (size, ETag; of a file, time)
/// than the recorded one, as far as that is known (size 0: not at all).
void expect_granule(io::Session& session, const std::string& url, io::ObjectInfo recorded);

/// Makes the session refuse objects that are not what a set with this document recorded of its
/// granules, and gives their number. A set without a record expects nothing, and gives 0.
Result<uint64_t> expect_granules(io::Session& session, std::string_view document,
                                 const UrlPolicy& urls);

/// The record of the reference set at `source` (a path or URL of a kerchunk JSON document or of a
/// Parquet directory), with URLs as the set's references resolve (see UrlPolicy), or as they are
/// written.
Result<std::optional<StoreRecord>> read_store_record(io::Session& session,
                                                     const std::string& source,
                                                     bool as_written = false);

}  // namespace upwell::refs
