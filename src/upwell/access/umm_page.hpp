#pragma once
// Answers of the Common Metadata Repository in UMM-JSON, and of STAC APIs: read item by item.
// https://cmr.earthdata.nasa.gov/search/site/docs/search/api.html#umm-json

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "access/umm.hpp"
#include "base/bytes.hpp"

namespace upwell::access {

/// `text`: the item as it came, one JSON object, perhaps over many lines.
using GranuleVisitor = std::function<Result<>(Granule granule, std::string_view text)>;
using CollectionVisitor = std::function<Result<>(Collection collection, std::string_view text)>;

/// Takes a page of granules.umm_json apart. Memory beyond the page is that of one item.
/// kInvalidData, with what is wrong where, when it is no such page; what `visit` fails with.
Result<PageSummary> read_granule_page(Bytes page, const GranuleVisitor& visit);
/// The same of collections.umm_json.
Result<PageSummary> read_collection_page(Bytes page, const CollectionVisitor& visit);

/// A page of a STAC API (FeatureCollection) and where the next one is.
struct StacPage {
  PageSummary summary;
  std::string next_url;     ///< empty: this is the last page
  std::string next_method;  ///< "GET" or "POST"
  std::string next_body;    ///< JSON, of POST
  bool merge = false;       ///< the body is to be laid over that of this page's request
};
Result<StacPage> read_stac_page(Bytes page, const GranuleVisitor& visit);

/// JSON without line ends and spaces between its tokens.
Result<std::string> one_line(std::string_view json);

/// What an error answer says: {"errors": [...]}, <errors><error>...</error></errors>, a STAC API's
/// {"description": ...}; else nothing. `secrets`: what it must not repeat (secrets.hpp).
std::string error_text(std::string_view body, const std::vector<std::string>& secrets = {});

}  // namespace upwell::access
