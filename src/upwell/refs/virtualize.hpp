#pragma once
// From a pile of granules to one reference set: scan in parallel, audit, combine, write.

#include <filesystem>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "base/files.hpp"
#include "base/progress.hpp"
#include "format/format.hpp"
#include "io/session.hpp"
#include "refs/combine.hpp"
#include "refs/granule_record.hpp"
#include "refs/open.hpp"
#include "refs/reference_output.hpp"

namespace upwell::refs {

/// Another set of the same granules, with other URLs.
struct ReferenceCopy {
  std::string output;  ///< as of write_output
  /// From URLs as they are in the set that is copied.
  std::vector<std::pair<std::string, std::string>> url_prefix;
};

struct VirtualizeOptions {
  CombineOptions combine;
  ReferenceOutputOptions output;
  uint64_t record_size = 10000;  ///< Parquet: chunks in one file
  /// Of one source in Upwell's own form: only the longest run that references can say.
  bool longest_uniform = false;
  /// In an object store: written only where no object is (kAlreadyExists).
  bool must_be_new = false;
  size_t threads = 0;  ///< granules scanned at once; 0: chosen
  SidecarUse sidecar = SidecarUse::kWhenNeeded;
  format::MdsOptions mds;
  Progress::Style progress = Progress::Style::kQuiet;
  /// Changes what a scan says of the granule at `url`, before it is compared; null: nothing.
  std::function<Result<>(const std::string& url, Dataset& granule)> amend = {};
  /// A granule that is not there is left out and reported, with combine.skip_offenders or without.
  bool skip_missing = false;
  /// Written before the set itself, which so tells that all are complete. Not of the own form.
  std::vector<ReferenceCopy> copies = {};
  /// Copies may be of another state than the set: append writes all, though it changes nothing.
  bool renew_copies = false;
};

struct VirtualizeReport {
  CombineReport combine;
  ReferenceCounts counts;
  uint64_t output_bytes = 0;
  std::string output, format;  ///< "kerchunk-json", "kerchunk-parquet", "upwell"
  std::string error;           ///< why nothing was written

  std::string to_json() const;
};

/// Scans the sources `urls` (see expand_sources) in bounded memory and combines them. `report` is
/// filled as far as things went, also when this fails.
Result<Dataset> combine_sources(io::Session& session, const std::vector<std::string>& urls,
                                const VirtualizeOptions& options, CombineReport& report);

/// How sources were read, where that is not plain, in one line for people; empty when all is plain.
std::string notes_line(const CombineReport& report);

/// What a store keeps of the granules that went into it.
StoreRecord record_of(const CombineReport& report, const ReferenceOutputOptions& options,
                      const format::MdsOptions& mds);

/// Opens a source and amends it, as options.amend says.
Result<Dataset> scan_source(io::Session& session, const std::string& url, const OpenOptions& open,
                            const VirtualizeOptions& options);
/// Whether a granule that is not there is to be left out.
bool is_withdrawn(const VirtualizeOptions& options, const Error& error);

/// Whether trying again, or logging in, would help: such a failure says nothing about the granule.
bool is_about_access(Code code);
/// Lasting state of a source: of the one granule that its dataset has, else of the object itself.
io::ObjectInfo identity_of(io::Session& session, const Dataset& dataset, const std::string& url);

/// Of a run whose output another run wrote first: kUnavailable, for the next one finds what to do.
Error overtaken(const std::string& output);

bool wants_parquet(const std::filesystem::path& output);
/// Whether a reference set may be written at `output`: nothing but such a set is replaced, above
/// all none of `urls`.
Result<> check_output(io::Session& session, const std::string& output,
                      const std::vector<std::string>& urls);
/// Writes `cube`, whole or not at all; a set in Parquet in an object store with its metadata last.
/// `condition` is for one object of JSON there.
Result<> write_output(io::Session& session, const std::string& output, const Dataset& cube,
                      const ReferenceOutputOptions& form, uint64_t record_size,
                      const io::PutCondition& condition, VirtualizeReport& report);

/// The record of a copy of the set with this record.
StoreRecord record_of_copy(const ReferenceCopy& copy, const StoreRecord& record);
/// Writes copies of the set that `cube` and `record` describe, of which URLs are those of the set.
Result<> write_copies(io::Session& session, const Dataset& cube, const StoreRecord& record,
                      const VirtualizeOptions& options);
/// Gives granules the URLs that they have in an output; those in `keep` have them. One of these
/// that a new one replaces at its URL has no chunks any more, and gets another name.
/// kInvalidArgument when two granules would have one URL.
Result<> rename_granules(Dataset& dataset, const ReferenceOutputOptions& form,
                         const GranuleTable* keep = nullptr);

/// combine_sources, written to `output`: Upwell's own form when its name ends in .upwell, Parquet
/// when it ends in .parq or .parquet or '/', else JSON. The output is whole or not there. It may be
/// an s3:// URL: JSON is replaced in one step, a set in Parquet is written where none is
/// (kAlreadyExists), its metadata last.
Result<> virtualize(io::Session& session, const std::vector<std::string>& sources,
                    const std::filesystem::path& output, const VirtualizeOptions& options,
                    VirtualizeReport& report);

}  // namespace upwell::refs
