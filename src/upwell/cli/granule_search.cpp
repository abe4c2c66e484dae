#include "cli/granule_search.hpp"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <tuple>

#include "access/cmr_search.hpp"
#include "access/s3_keys.hpp"
#include "cli/bounding_box.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::cli {
namespace {

/// From here on it is worth a word that each of them is opened.
constexpr size_t kManyGranules = 3000;

/// What is shown of --help; the others are those of `upwell search`, which has room for them.
constexpr std::string_view kShown[] = {
    "short_name", "version",    "provider",       "concept_id",
    "doi",        "temporal[]", "bounding_box[]", "readable_granule_name[]"};

constexpr const char* kGroup =
    "A search in place of SOURCE (these and the other options of `upwell search`)";

/// A granule's files, and what they are ordered by.
struct FoundFile {
  std::string begin, granule;
  access::GranuleFile file;
};

std::string total_text(uint64_t bytes) {
  constexpr const char* kUnits[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  while (value >= 999.5 && unit + 1 < std::size(kUnits)) {
    value /= 1000;
    ++unit;
  }
  return fmt::format("{:.3g} {}", value, kUnits[unit]);
}

/// CMR's longitudes are between -180 and 180.
std::string box_of_catalogue(const BoundingBox& box) {
  const auto turned = [](double longitude) {
    return longitude > 180 ? longitude - 360 : longitude < -180 ? longitude + 360 : longitude;
  };
  const bool around = box.east - box.west >= 360;
  return fmt::format("{},{},{},{}", around ? -180 : turned(box.west), box.south,
                     around ? 180 : turned(box.east), box.north);
}

/// With the command's box, where the search has none of its own.
Result<CmrArguments> with_box(CmrArguments args, const std::string& bbox) {
  const auto parameters = access::cmr_parameters();
  for (size_t i = 0; i < parameters.size() && !bbox.empty(); ++i) {
    if (std::string_view(parameters[i].name) != "bounding_box[]" || !args.values[i].empty())
      continue;
    UPWELL_TRY(const BoundingBox box, parse_bounding_box(bbox));
    args.values[i].push_back(box_of_catalogue(box));
  }
  return args;
}

void say_what_was_found(const Context& context, const std::vector<FoundFile>& found) {
  uint64_t bytes = 0;
  bool sized = true;
  for (const FoundFile& f : found) {
    sized = sized && f.file.size.has_value();
    bytes += f.file.size.value_or(0);
  }
  const std::string size = sized && bytes > 0 ? ", " + total_text(bytes) + " in all" : "";
  if (found.size() > kManyGranules) {
    fmt::print(stderr,
               "warning: {} files are found{}, and each is opened; fewer by --temporal or "
               "--bounding-box, or make a cube once with `upwell virtualize`\n",
               found.size(), size);
  } else if (!context.options().quiet) {
    fmt::print(stderr, "found {} file{}, {} to {}{}\n", found.size(), found.size() == 1 ? "" : "s",
               found.front().begin, found.back().begin, size);
  }
}

/// Bad news that --allow-partial makes a warning.
Result<> unless_allowed(const GranuleSearch& search, Code code, const std::string& what) {
  if (!search.allow_partial) return fail(code, what + " (--allow-partial goes on without)");
  fmt::print(stderr, "warning: {}\n", what);
  return {};
}

/// Leaves out what the archive does not have: asks for the state of each.
Result<> drop_missing(Context& context, std::vector<std::string>& urls) {
  const auto states = context.session().stat_many(urls);
  std::vector<std::string> there;
  for (size_t i = 0; i < urls.size(); ++i) {
    if (!states[i] && states[i].error().code == Code::kNotFound) {
      fmt::print(stderr, "warning: left out, the catalogue has it and the archive does not: {}\n",
                 io::shown_url(urls[i]));
    } else {
      there.push_back(urls[i]);
    }
  }
  if (there.empty())
    return fail(Code::kNotFound, "the archive has none of the granules that the catalogue lists");
  urls = std::move(there);
  return {};
}

/// Buckets of which the files have links of both kinds: "https://host/bucket/", "s3://bucket/".
io::DirectPlaces places_of(const std::vector<access::GranuleFile>& files) {
  io::DirectPlaces places;
  for (const access::GranuleFile& file : files) {
    constexpr size_t kScheme = std::string_view("s3://").size();
    if (file.https.empty() || file.s3.size() <= kScheme) continue;
    const size_t key = file.s3.find('/', kScheme);
    if (key == std::string::npos || !file.https.ends_with(file.s3.substr(key))) continue;
    const size_t kept = file.https.size() - (file.s3.size() - key) + 1;
    const std::pair<std::string, std::string> place{file.https.substr(0, kept),
                                                    file.s3.substr(0, key + 1)};
    if (std::find(places.begin(), places.end(), place) == places.end()) places.push_back(place);
  }
  return places;
}

/// With --prefer s3: from the buckets, with the keys that the archive gives for them.
Result<> read_from_buckets(Context& context, const FoundGranules& found) {
  if (context.options().prefer != "s3") return {};
  io::DirectPlaces places = places_of(found.files);
  if (places.empty()) return {};
  io::S3CredentialsProvider keys;
  if (context.options().s3_credentials.empty() && !found.s3_credentials.empty())
    keys = access::earthdata_s3_keys(context.shared_login(), found.s3_credentials);
  return context.session().read_directly(std::move(places), keys, [](const std::string& text) {
    fmt::print(stderr, "note: {}\n", text);
  });
}

}  // namespace

bool GranuleSearch::given() const {
  const access::FileChoice& choice = cmr.choice;
  return limit > 0 || allow_partial || stac.given() || !cmr.raw.empty() ||
         !choice.pattern.empty() || !choice.preference.empty() ||
         std::any_of(cmr.values.begin(), cmr.values.end(),
                     [](const auto& v) { return !v.empty(); });
}

void add_granule_search(CLI::App* app, GranuleSearch& search) {
  add_cmr_parameters(app, search.cmr, [](const access::CmrParameter& p) {
    const bool shown = std::find(std::begin(kShown), std::end(kShown), std::string_view(p.name)) !=
                       std::end(kShown);
    return std::string(shown ? kGroup : "");
  });
  app->add_option("--limit", search.limit, "Not more than so many, the first")
      ->check(CLI::Validator(check_positive, ""))
      ->type_name("N")
      ->group(kGroup);
  app->add_flag("--allow-partial", search.allow_partial,
                "Go on, with a warning, without granules that the archive does not have though the "
                "catalogue lists them, or that have no link")
      ->group(kGroup);
  add_file_choice(app, search.cmr, "");
  add_cmr_host(app, search.cmr, "");
  add_stac_options(app, search.stac, kGroup);
}

namespace {

/// What a search gathers, page by page.
struct Gathered {
  const access::FileChoice& choice;
  std::vector<FoundFile> files = {};
  std::string collection = {}, s3_credentials = {};
  uint64_t without_link = 0;
  std::string first_without = {};

  Result<> add(const access::Granule& granule) {
    const auto data = access::data_files(granule, choice);
    for (const access::GranuleFile* file : data)
      files.push_back({granule.begin, granule.name, *file});
    if (s3_credentials.empty()) s3_credentials = granule.s3_credentials;
    collection = granule.collection_id;
    if (data.empty() && without_link++ == 0) first_without = granule.name;
    return {};
  }
};

/// kNotFound, with what to relax, when nothing is found.
Result<access::SearchOutcome> gather_from_cmr(Context& context, const GranuleSearch& search,
                                              const CmrArguments& asked, Gathered& found) {
  UPWELL_TRY(const std::string origin, catalogue_origin(asked));
  UPWELL_TRY(const access::CmrQuery query, cmr_query(asked, false));
  const auto client = catalogue_client(context, origin, context.shared_login());
  access::CmrSearch cmr(*client, origin);
  UPWELL_TRY(const access::Pairs pairs, cmr.granule_pairs(query));
  access::SearchOptions options;
  options.limit = search.limit;
  UPWELL_TRY(access::SearchOutcome outcome,
             cmr.granules(pairs, options, [&](const access::Granule& granule, std::string_view) {
               return found.add(granule);
             }));
  if (outcome.visited == 0) {
    UPWELL_TRY(const std::string why, cmr.why_none(pairs));
    return fail(Code::kNotFound, why);
  }
  const bool wants_keys = found.s3_credentials.empty() && context.options().prefer == "s3";
  if (wants_keys && !found.collection.empty())
    UPWELL_CHECK(cmr.collections({{"concept_id[]", found.collection}}, {},
                                 [&](const access::Collection& c, std::string_view) -> Result<> {
                                   found.s3_credentials = c.s3_credentials;
                                   return {};
                                 }));
  return outcome;
}

Result<access::SearchOutcome> gather_from_stac(Context& context, const GranuleSearch& search,
                                               const CmrArguments& asked, Gathered& found) {
  UPWELL_TRY(const access::StacQuery query, stac_query(search.stac, asked));
  const auto client = catalogue_client(context, {}, context.shared_login());
  access::SearchOptions options;
  options.limit = search.limit;
  options.page_size = kStacPage;
  UPWELL_TRY(access::SearchOutcome outcome,
             access::search_stac(*client, query, options,
                                 [&](const access::Granule& granule, std::string_view) {
                                   return found.add(granule);
                                 }));
  if (outcome.visited == 0)
    return fail(Code::kNotFound, io::shown_url(query.url) +
                                     ": no item is found; ask for more by --temporal, "
                                     "--bounding-box and --stac-collection");
  return outcome;
}

}  // namespace

Result<FoundGranules> find_granules(Context& context, const GranuleSearch& search,
                                    const std::string& bbox) {
  UPWELL_TRY(const CmrArguments asked, with_box(search.cmr, bbox));
  Gathered found{.choice = search.cmr.choice};
  UPWELL_TRY(const access::SearchOutcome outcome,
             search.stac.given() ? gather_from_stac(context, search, asked, found)
                                 : gather_from_cmr(context, search, asked, found));
  if (!outcome.difference.empty())
    UPWELL_CHECK(unless_allowed(search, Code::kUnavailable, outcome.difference + "; search again"));
  if (found.without_link > 0)
    UPWELL_CHECK(
        unless_allowed(search, Code::kNotFound,
                       fmt::format("{} of {} granules have no link to data, the first is "
                                   "{}",
                                   found.without_link, outcome.visited, found.first_without)));
  if (found.files.empty()) return fail(Code::kNotFound, "no granule has a link to data");
  std::sort(found.files.begin(), found.files.end(), [](const FoundFile& a, const FoundFile& b) {
    return std::tie(a.begin, a.granule, a.file.name) < std::tie(b.begin, b.granule, b.file.name);
  });
  say_what_was_found(context, found.files);
  FoundGranules out{.files = {}, .s3_credentials = found.s3_credentials};
  for (FoundFile& f : found.files) out.files.push_back(std::move(f.file));
  UPWELL_CHECK(read_from_buckets(context, out));
  return out;
}

Result<std::vector<std::string>> find_sources(Context& context, const GranuleSearch& search,
                                              const std::vector<std::string>& named,
                                              const std::string& bbox) {
  if (!search.given()) {
    if (!named.empty()) return named;
    return fail(Code::kInvalidArgument,
                "name a SOURCE, or search for granules (--short-name NAME --temporal FROM,TO)");
  }
  if (!named.empty())
    return fail(Code::kInvalidArgument,
                "'" + named[0] +
                    "' and a search: name a SOURCE or search for granules, not both; of a SOURCE "
                    "--sel and --bbox take a part");
  UPWELL_TRY(const FoundGranules found, find_granules(context, search, bbox));
  std::vector<std::string> urls;
  for (const access::GranuleFile& file : found.files)
    urls.push_back(file.https.empty() ? file.s3 : file.https);
  if (search.allow_partial) UPWELL_CHECK(drop_missing(context, urls));
  return urls;
}

Result<std::string> find_one_source(Context& context, const GranuleSearch& search,
                                    const std::string& named, const std::string& bbox) {
  std::vector<std::string> names;
  if (!named.empty()) names.push_back(named);
  UPWELL_TRY(const auto urls, find_sources(context, search, names, bbox));
  if (urls.size() == 1) return urls[0];
  return fail(Code::kInvalidArgument,
              fmt::format("the search finds {} files, and this command opens one: narrow it, take "
                          "the first by --limit 1, or join them with `upwell virtualize` first",
                          urls.size()));
}

Result<> with_search_advice(const GranuleSearch& search, Result<> outcome) {
  if (!search.given()) return outcome;
  return with_withdrawal_advice(std::move(outcome), "--allow-partial");
}

Result<> with_withdrawal_advice(Result<> outcome, const std::string& option) {
  if (outcome || outcome.error().code != Code::kNotFound) return outcome;
  Error error = std::move(outcome).error();
  if (error.message.find("404") != std::string::npos)
    error.message +=
        "; the catalogue lists this granule, but the archive does not have it: it may have been "
        "withdrawn or replaced since (" +
        option + " goes on without such granules)";
  return fail(std::move(error));
}

}  // namespace upwell::cli
