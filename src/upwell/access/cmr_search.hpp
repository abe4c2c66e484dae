#pragma once
// Searches of NASA's Common Metadata Repository (CMR), page by page, in memory that does not grow
// with the number of results but for 24 bytes for each.
// https://cmr.earthdata.nasa.gov/search/site/docs/search/api.html

#include <atomic>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "access/cmr_parameters.hpp"
#include "access/search_client.hpp"
#include "access/umm.hpp"
#include "access/umm_page.hpp"

namespace upwell::access {

struct SearchOptions {
  size_t page_size = 2000;  ///< most of one request
  uint64_t limit = 0;       ///< most results; 0: all
};

/// How a search went.
struct SearchOutcome {
  uint64_t hits = 0;      ///< as the catalogue counts
  uint64_t visited = 0;   ///< without repetitions
  uint64_t repeated = 0;  ///< came again, and were left out
  /// What is missing or too many, in words; empty: all came.
  std::string difference;
  size_t splits = 0;  ///< in time, because the catalogue ran out of time
};

/// "https://host" of "host", "https://host/", "https://host/search". kInvalidArgument.
Result<std::string> cmr_origin(const std::string& host);

class CmrSearch {
 public:
  /// `origin`: as of cmr_origin.
  CmrSearch(SearchClient& client, std::string origin)
      : client_(client), origin_(std::move(origin)) {}

  /// The collections that a query chooses, `visit` as they come.
  Result<SearchOutcome> collections(const Pairs& pairs, const SearchOptions& options,
                                    const CollectionVisitor& visit);
  /// The granules; `pairs` must name collections or granules. Pages by CMR-Search-After; the next
  /// is asked for while one is read. A search that CMR has no time for is asked again, then cut in
  /// two in time, as often as needed.
  Result<SearchOutcome> granules(const Pairs& pairs, const SearchOptions& options,
                                 const GranuleVisitor& visit);
  /// How many there are.
  Result<uint64_t> count(const std::string& concept_type, const Pairs& pairs);

  /// How many granules of a collection were deleted since an instant of the last year, as the
  /// catalogue tells it.
  Result<uint64_t> count_deleted(const std::string& collection_id, const std::string& since);

  /// The parameters of a granule search: its collection, looked up by what chooses it, and the
  /// others. kNotFound, kInvalidArgument with a list when more than one collection is meant.
  Result<Pairs> granule_pairs(const CmrQuery& query);

  /// Stores that an archive has published of the collection that granule_pairs looked up.
  const std::vector<PublishedStore>& published() const { return published_; }

  /// When the first answer came, by the catalogue's clock; nothing: none has, or it did not tell.
  std::optional<int64_t> first_answer_unix_s() const {
    const int64_t time = first_answer_unix_s_;
    return time != 0 ? std::optional(time) : std::nullopt;
  }

  /// Of a granule search that found nothing: how many granules there are without each of its
  /// conditions, and in the whole collection, in words.
  Result<std::string> why_none(const Pairs& pairs);

 private:
  struct Part;
  Result<SearchAnswer> page(const std::string& concept_type, const Pairs& pairs, size_t page_size,
                            const std::string& search_after);
  Result<> run(Part& part, const Pairs& pairs);
  Result<> run_in_time(Part& part, const Pairs& pairs, int depth);
  Result<std::pair<std::string, std::string>> extent_of(const Pairs& pairs);

  SearchClient& client_;
  std::string origin_;
  std::vector<PublishedStore> published_;
  std::atomic<int64_t> first_answer_unix_s_{0};
};

}  // namespace upwell::access
