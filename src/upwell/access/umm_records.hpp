#pragma once
// One UMM record as a Granule or a Collection.

#include <string_view>

#include "access/umm.hpp"

namespace upwell::access {

/// `item`: {"meta": ..., "umm": ...}; simdjson's padding must be readable behind it. kInvalidData
/// when it is no JSON or has no concept id. What a record leaves out stays empty.
Result<Granule> parse_umm_granule(std::string_view item);
Result<Collection> parse_umm_collection(std::string_view item);

/// "x.nc" of "https://host/a/x.nc?y"; empty where a URL ends in '/'.
std::string url_basename(std::string_view url);

}  // namespace upwell::access
