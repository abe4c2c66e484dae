#pragma once
// Searches of STAC APIs (https://github.com/radiantearth/stac-api-spec, item search 1.0).

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "access/cmr_search.hpp"
#include "access/search_client.hpp"
#include "access/umm_page.hpp"

namespace upwell::access {

struct StacQuery {
  std::string url;  ///< of the API's root
  std::vector<std::string> collections = {}, ids = {};
  std::optional<Rectangle> box = {};
  std::string datetime = {};  ///< RFC 3339 interval, "a/b", either side ".."
};

/// "a/b" of CMR's "FROM,TO", with ".." for an open side.
std::string stac_datetime(const std::string& cmr_interval);

/// Items as granules, `visit` with their text as it came. By POST /search, by GET where the API
/// refuses POST; then from page to page by the links that it gives, which must lead to the same
/// host. An item that comes again (same collection and id) counts once.
Result<SearchOutcome> search_stac(SearchClient& client, const StacQuery& query,
                                  const SearchOptions& options, const GranuleVisitor& visit);

}  // namespace upwell::access
