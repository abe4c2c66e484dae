#pragma once
// The options that search a STAC API in place of NASA's catalogue, and what they ask of it.

#include <string>
#include <vector>

#include "access/stac_search.hpp"
#include "cli/cmr_options.hpp"

namespace upwell::cli {

struct StacArguments {
  std::string url;  ///< of the API; empty: NASA's catalogue is searched
  std::vector<std::string> collections, ids;

  bool given() const { return !url.empty() || !collections.empty() || !ids.empty(); }
};

/// --stac, --stac-collection and --stac-id.
void add_stac_options(CLI::App* app, StacArguments& args, const std::string& group);

/// Of what was parsed. kInvalidArgument for parameters that STAC APIs do not know, a URL that is
/// none, and a collection without an API.
Result<access::StacQuery> stac_query(const StacArguments& args, const CmrArguments& cmr);

/// How many items a request asks for, at most: many APIs refuse more.
constexpr size_t kStacPage = 250;

}  // namespace upwell::cli
