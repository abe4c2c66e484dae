#pragma once
// Granules that a command finds for itself: a search of NASA's catalogue, or of a STAC API, in
// place of SOURCE.

#include <string>
#include <vector>

#include "access/umm.hpp"
#include "cli/cmr_options.hpp"
#include "cli/stac_options.hpp"

namespace upwell::cli {

/// The options of `upwell search` that choose granules, of a command that goes on with these.
struct GranuleSearch {
  CmrArguments cmr;
  StacArguments stac;
  uint64_t limit = 0;
  bool allow_partial = false;

  /// Whether the user searches.
  bool given() const;
};

/// Adds them; call it after the options of the command's own, whose names are kept. --bbox is then
/// the command's, which hands it to find_sources.
void add_granule_search(CLI::App* app, GranuleSearch& search);

struct FoundGranules {
  std::vector<access::GranuleFile> files;
  std::string s3_credentials;  ///< URL that gives keys for their buckets; empty: not known
};

/// What the catalogue lists, ordered by time. `bbox`: "W,S,E,N" of the command's own, which chooses
/// granules too, where the search has no box of its own; empty: none. kNotFound, with what to
/// relax, when nothing is found; kUnavailable when results are missing, kNotFound when they have no
/// link to data, unless search.allow_partial. How many there are is said on stderr. With --prefer
/// s3 the session then reads their https URLs from S3 for as long as that answers.
Result<FoundGranules> find_granules(Context& context, const GranuleSearch& search,
                                    const std::string& bbox = {});

/// The SOURCEs that the user named, or the URLs of what the search finds. Those are of https where
/// they have one. kInvalidArgument when there is neither, or both.
Result<std::vector<std::string>> find_sources(Context& context, const GranuleSearch& search,
                                              const std::vector<std::string>& named,
                                              const std::string& bbox = {});
/// The same for a command that opens one source: kInvalidArgument when more are found.
Result<std::string> find_one_source(Context& context, const GranuleSearch& search,
                                    const std::string& named, const std::string& bbox = {});

/// `outcome` of what was done with sources that a search found: a granule that is not there (404)
/// was withdrawn since the catalogue last heard of it, which has its own advice.
Result<> with_search_advice(const GranuleSearch& search, Result<> outcome);
/// The same of whatever a catalogue listed; `option` goes on without such granules.
Result<> with_withdrawal_advice(Result<> outcome, const std::string& option);

}  // namespace upwell::cli
