#pragma once
// The granules of a collection as a search gives them, and where each of them lies.

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "access/cmr_search.hpp"
#include "access/umm_files.hpp"
#include "generate/collection_form.hpp"

namespace upwell::generate {

/// One granule: the one file that holds its data.
struct ListedGranule {
  access::Granule record;  ///< without files, footprint and what else takes room
  std::string s3, https;   ///< either may be empty

  /// By which it is known in sets, however it is read.
  const std::string& name() const { return s3.empty() ? https : s3; }
};

struct Listing {
  std::vector<ListedGranule> granules;
  std::map<std::string, std::string> s3_credentials;  ///< bucket ▸ endpoint that gives its keys
  std::vector<std::string> without_data;              ///< names of those whose record leads to none
};

struct Question {
  std::string collection_id;
  std::string temporal;  ///< as of temporal_of
  std::vector<CollectionForm::Search> searches;
  std::string s3_credentials;  ///< of the collection's record, for granules that do not say
  access::FileChoice files;
  bool skip_missing = false;  ///< granules whose record leads to no data are no error
};

/// All granules, each once, or those of which the catalogue's records changed since an instant.
/// kUnavailable when not all came; kInvalidData names granules without one data file.
Result<Listing> list_granules(access::CmrSearch& cmr, const Question& question,
                              const std::string& updated_since);

/// How many granules of the collection have changed since, whatever the question is restricted to,
/// beside those of `listing`: some may have been an answer to it before.
Result<size_t> count_others(access::CmrSearch& cmr, const Question& question,
                            const Listing& listing, const std::string& updated_since);

/// Granules whose S3 URL begins with the first lie where it begins with the second; the first pair
/// that fits counts, and the most special ones come first.
using Places = std::vector<std::pair<std::string, std::string>>;

/// Where the places put this S3 URL; empty: nowhere.
std::string elsewhere(const Places& places, const std::string& s3);

/// Adds as few and short pairs as tell the https link of each granule that has both exactly: of
/// s3://bucket/a/f.nc and https://host/x/bucket/a/f.nc those up to the bucket's name. Where two
/// hosts serve one bucket, its directories or its objects get pairs of their own.
void add_places(Places& places, const std::vector<ListedGranule>& granules);

}  // namespace upwell::generate
