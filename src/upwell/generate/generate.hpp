#pragma once
// Reference sets of a whole collection of NASA's catalogue, kept up to date: found, scanned, joined
// and written under PO.DAAC's names. docs/guide/generate.md

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "access/cmr_search.hpp"
#include "generate/collection_form.hpp"
#include "generate/listing.hpp"
#include "refs/append.hpp"

namespace upwell::generate {

/// By which of its two places a granule is read.
enum class Access {
  kAuto,  ///< S3 where its first granule can be read so, else https
  kS3,
  kHttps,
};

struct GenerateOptions {
  std::string collection;           ///< short name
  std::string version, provider;    ///< where several collections have that name
  std::string start, end;           ///< as of temporal_of and output_stem
  std::string output;               ///< directory or "s3://bucket/prefix/"
  std::vector<std::string> copies;  ///< further such places
  bool parquet = false;             ///< the same sets in Parquet, too
  bool rebuild = false;             ///< from all granules, whatever is there
  Access access = Access::kAuto;
  access::FileChoice files;
  std::optional<CollectionForm> form;
  /// How granules are scanned, compared and joined. `copies` and URLs are filled in here.
  refs::VirtualizeOptions virtualize;
};

/// What the run needs of the program around it.
struct GenerateContext {
  access::CmrSearch& cmr;
  io::Session& outputs;  ///< reads and writes outputs, knows no keys of data centres
  /// Another one, that signs requests for these buckets with keys of these endpoints.
  std::function<std::shared_ptr<io::Session>(const std::map<std::string, std::string>& keys)>
      session;
  std::function<void(const std::string&)> say;
};

struct GenerateReport {
  std::string collection_id;
  std::string output;          ///< of the set with s3:// URLs; the others stand beside it
  bool created = false;        ///< false: what was there was brought up to date
  size_t listed = 0;           ///< granules that the catalogue gave in this run
  size_t gone = 0;             ///< of the set, no longer in the catalogue
  refs::AppendReport changes;  ///< of the set
};

/// Makes or updates "COLLECTION_[START_to_END_]virtual_s3.json" and "..._https.json" (and .parq).
/// Where a set is that was made so, only what the catalogue's feeds tell is scanned: granules that
/// are new or revised since then are added or put in the place of the old; when some were deleted,
/// all granules are listed, and those that are no longer there are taken out. A second run changes
/// nothing. kNotFound: no such collection, no granules.
Result<> generate(const GenerateContext& context, const GenerateOptions& options,
                  GenerateReport& report);

}  // namespace upwell::generate
