#include "cli/stac_options.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "cli/bounding_box.hpp"
#include "io/url.hpp"

namespace upwell::cli {

void add_stac_options(CLI::App* app, StacArguments& args, const std::string& group) {
  app->add_option("--stac", args.url, "Search this STAC API instead of NASA's catalogue")
      ->type_name("URL")
      ->group(group);
  app->add_option("--stac-collection", args.collections,
                  "Collection of the STAC API. May be repeated")
      ->type_name("ID")
      ->allow_extra_args(false)
      ->group(group);
  app->add_option("--stac-id", args.ids, "Item of the STAC API. May be repeated")
      ->type_name("ID")
      ->allow_extra_args(false)
      ->group(group);
}

Result<access::StacQuery> stac_query(const StacArguments& args, const CmrArguments& cmr) {
  const std::string scheme = io::scheme_of(args.url);
  if (scheme != "https" && scheme != "http")
    return fail(Code::kInvalidArgument,
                args.url.empty() ? "--stac-collection and --stac-id want --stac URL"
                                 : "--stac wants the URL of a STAC API, not " + args.url);
  UPWELL_TRY(const access::CmrQuery checked, cmr_query(cmr, false));
  access::StacQuery query{.url = args.url, .collections = args.collections, .ids = args.ids};
  const auto unknown = [](const std::string& what) {
    return fail(Code::kInvalidArgument,
                what +
                    " is not of STAC APIs; there are --stac-collection, --stac-id, one "
                    "--temporal FROM,TO and one --bounding-box");
  };
  if (!checked.select.empty()) return unknown(checked.select[0].first);
  if (!checked.collection_ids.empty() || !checked.granule_ids.empty())
    return unknown("--concept-id");
  for (const auto& [name, value] : checked.pairs) {
    if (name == "temporal[]" && query.datetime.empty() && value.find('/') == std::string::npos &&
        std::count(value.begin(), value.end(), ',') == 1) {
      query.datetime = access::stac_datetime(value);
    } else if (name == "bounding_box[]" && !query.box) {
      UPWELL_TRY(const BoundingBox box, parse_bounding_box(value));
      query.box = {box.west, box.south, box.east, box.north};
    } else {
      return unknown(name);
    }
  }
  return query;
}

}  // namespace upwell::cli
