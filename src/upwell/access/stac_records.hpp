#pragma once
// STAC items (https://github.com/radiantearth/stac-spec, 1.0 and 1.1) in and out.

#include <string>
#include <string_view>

#include "access/umm.hpp"
#include "access/umm_page.hpp"

namespace upwell::access {

/// An item as a Granule: assets with the role "data", or with none, are its data. Its footprint is
/// its bbox. simdjson's padding must be readable behind `item`.
Result<Granule> parse_stac_item(std::string_view item);
/// "links" of a page: where the next one is.
Result<> read_stac_links(std::string_view links, StacPage& page);
/// "numberMatched", or "context" with "matched".
void read_stac_matched(std::string_view value, PageSummary& summary);

/// A granule as a STAC 1.1 item in one line, without its end. `catalogue`: "https://host/search" to
/// link to. kInvalidData when the granule has no time, which an item must have.
Result<std::string> stac_item(const Granule& granule, const std::string& catalogue);

/// Footprint as a GeoJSON geometry: "null" where nothing is known.
std::string geojson_geometry(const Footprint& footprint);

}  // namespace upwell::access
