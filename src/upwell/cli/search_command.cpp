#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "access/cmr_search.hpp"
#include "access/stac_search.hpp"
#include "cli/bounding_box.hpp"
#include "cli/cmr_options.hpp"
#include "cli/search_output.hpp"

namespace upwell::cli {
namespace {

struct FormName {
  std::string_view name;
  SearchForm form;
};
constexpr std::array kForms{
    FormName{"table", SearchForm::kTable}, FormName{"json", SearchForm::kJson},
    FormName{"umm", SearchForm::kUmm},     FormName{"stac", SearchForm::kStac},
    FormName{"urls", SearchForm::kUrls},   FormName{"s3-urls", SearchForm::kS3Urls}};

struct SearchArguments {
  bool collections = false, published = false, count = false, allow_partial = false;
  std::string form = "table", output, stac;
  std::vector<std::string> stac_collections, stac_ids;
  CmrArguments cmr;
  access::SearchOptions options;
};

constexpr const char* kSearchFooter =
    "Examples:\n"
    "  upwell search --short-name MUR-JPL-L4-GLOB-v4.1 --temporal 2013-12-24,2013-12-25\n"
    "  upwell search --collections --keyword 'sea surface height ecco'      find a collection\n"
    "  upwell search --short-name 'ECCO_L4_SSH*' --collections --format json\n"
    "  upwell search --concept-id C1996881146-POCLOUD --temporal 2020-01 --format urls |\n"
    "      upwell virtualize @- -o january.json\n"
    "  upwell search --short-name ATL03 --collection-version 006 --polygon "
    "-51,68,-48,68,-48,70,-51,70,-51,68 --count\n"
    "  upwell search --short-name MUR-JPL-L4-GLOB-v4.1 --published          stores that are there "
    "already\n"
    "  upwell search --stac https://earth-search.aws.element84.com/v1 --stac-collection "
    "sentinel-2-l2a --bbox 11,46,12,47 --temporal 2024-06 --limit 10\n"
    "\n"
    "Granules of one collection, from NASA's Common Metadata Repository; every parameter is "
    "checked\n"
    "before anything is sent. Lines come as pages arrive; memory stays the same however many "
    "there\n"
    "are. When fewer come than the catalogue counts, that is said and the exit status is 75.\n"
    "Searching needs no login; with one (upwell login) what only you may see is found as well.";

/// What both catalogues need.
struct SearchRun {
  const SearchArguments& args;
  Context& context;
  SearchForm form;
  SearchOutput output;

  void say(const std::string& text) const {
    if (!context.options().quiet) fmt::print(stderr, "{}\n", text);
  }
  Result<> finish(const access::SearchOutcome& outcome, const GranuleWriter* writer,
                  const char* unit);
};

/// The last words: what was found, and what was not.
Result<> SearchRun::finish(const access::SearchOutcome& outcome, const GranuleWriter* writer,
                           const char* unit) {
  std::string wrong;
  Code code = Code::kUnavailable;
  if (!outcome.difference.empty()) wrong = outcome.difference + "; search again";
  if (writer && writer->lacking() > 0 && wrong.empty()) {
    code = Code::kNotFound;
    wrong = fmt::format("{} of {} granules cannot be written so, the first is {}",
                        writer->lacking(), outcome.visited, writer->first_lacking());
  }
  if (!wrong.empty() && !args.allow_partial) {
    // What went to standard output is there; a file stays as it was.
    if (args.output.empty()) UPWELL_CHECK(output.finish());
    return fail(code, wrong + " (--allow-partial takes what there is)");
  }
  UPWELL_CHECK(output.finish());
  if (!wrong.empty()) fmt::print(stderr, "warning: {}\n", wrong);
  if (outcome.repeated > 0)
    say(fmt::format("{} came twice and were written once", outcome.repeated));
  if (outcome.visited < outcome.hits && outcome.difference.empty()) {
    say(fmt::format("{} of {} {} (--limit)", outcome.visited, outcome.hits, unit));
  } else if (outcome.visited == 0 || !args.output.empty()) {
    say(fmt::format("{} {}", outcome.visited, unit));
  }
  return {};
}

Result<> search_collections(SearchRun& run, access::CmrSearch& cmr, const access::Pairs& pairs) {
  size_t stores = 0;
  UPWELL_TRY(const access::SearchOutcome outcome,
             cmr.collections(pairs, run.args.options,
                             [&](const access::Collection& c, std::string_view text) -> Result<> {
                               stores += c.published.size();
                               return run.args.published
                                          ? write_published(run.output, run.form, c)
                                          : write_collection(run.output, run.form, c, text);
                             }));
  UPWELL_CHECK(run.finish(outcome, nullptr, "collections"));
  if (run.args.published && stores == 0 && outcome.visited > 0)
    run.say(fmt::format("{} collections, none with a published store", outcome.visited));
  return {};
}

Result<> search_cmr(SearchRun& run) {
  const SearchArguments& args = run.args;
  UPWELL_TRY(const std::string origin, catalogue_origin(args.cmr));
  UPWELL_TRY(const access::CmrQuery query, cmr_query(args.cmr, args.collections || args.published));
  const auto client = catalogue_client(run.context, origin, run.context.shared_login());
  access::CmrSearch cmr(*client, origin);
  const bool links = run.form == SearchForm::kUrls || run.form == SearchForm::kS3Urls;
  if (query.collections) {
    if (run.form == SearchForm::kStac || run.form == SearchForm::kS3Urls ||
        (links && !args.published))
      return fail(Code::kInvalidArgument,
                  "collections have no form '" + args.form + "'; there are table, json and umm");
    if (!args.count) return search_collections(run, cmr, query.pairs);
    UPWELL_TRY(const uint64_t hits, cmr.count("collections", query.pairs));
    UPWELL_CHECK(run.output.line(std::to_string(hits)));
    return run.output.finish();
  }
  UPWELL_TRY(const access::Pairs pairs, cmr.granule_pairs(query));
  if (args.count) {
    UPWELL_TRY(const uint64_t hits, cmr.count("granules", pairs));
    UPWELL_CHECK(run.output.line(std::to_string(hits)));
    return run.output.finish();
  }
  GranuleWriter writer(run.output, run.form, args.cmr.choice, origin + "/search");
  UPWELL_TRY(
      const access::SearchOutcome outcome,
      cmr.granules(pairs, args.options, [&](const access::Granule& granule, std::string_view text) {
        return writer.write(granule, text, false);
      }));
  if (outcome.visited == 0 && outcome.difference.empty()) {
    if (auto why = cmr.why_none(pairs)) run.say(*why);
  }
  return run.finish(outcome, &writer, "granules");
}

/// The parameters that a STAC API knows too.
Result<access::StacQuery> stac_query_of(const SearchArguments& args) {
  UPWELL_TRY(const access::CmrQuery checked, cmr_query(args.cmr, false));
  access::StacQuery query;
  query.url = args.stac;
  query.collections = args.stac_collections;
  query.ids = args.stac_ids;
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

Result<> search_stac_api(SearchRun& run) {
  const SearchArguments& args = run.args;
  UPWELL_TRY(const access::StacQuery query, stac_query_of(args));
  if (args.collections || args.published || args.count || run.form == SearchForm::kUmm)
    return fail(Code::kInvalidArgument,
                "--stac finds items: without --collections, --published, --count, --format umm");
  const std::string scheme = io::scheme_of(query.url);
  if (scheme != "https" && scheme != "http")
    return fail(Code::kInvalidArgument, "--stac wants the URL of a STAC API, not " + query.url);
  const auto client = catalogue_client(run.context, {}, run.context.shared_login());
  access::SearchOptions options = args.options;
  constexpr size_t kUsualPage = 250;  // many APIs refuse more
  if (options.page_size > kUsualPage) options.page_size = kUsualPage;
  GranuleWriter writer(run.output, run.form, args.cmr.choice, {});
  UPWELL_TRY(const access::SearchOutcome outcome,
             access::search_stac(*client, query, options,
                                 [&](const access::Granule& granule, std::string_view text) {
                                   return writer.write(granule, text, true);
                                 }));
  return run.finish(outcome, &writer, "items");
}

Result<> run_search(const SearchArguments& args, Context& context) {
  UPWELL_TRY(SearchOutput output, SearchOutput::open(args.output));
  const auto form = std::find_if(kForms.begin(), kForms.end(),
                                 [&](const FormName& f) { return f.name == args.form; });
  SearchRun run{args, context, form->form, std::move(output)};
  return args.stac.empty() ? search_cmr(run) : search_stac_api(run);
}

void add_where_options(CLI::App* app, SearchArguments& args) {
  const char* where = "Which catalogue";
  add_cmr_host(app, args.cmr, where);
  app->add_option("--stac", args.stac, "Search this STAC API instead")
      ->type_name("URL")
      ->group(where);
  app->add_option("--stac-collection", args.stac_collections,
                  "Collection of the STAC API. May be repeated")
      ->type_name("ID")
      ->allow_extra_args(false)
      ->group(where);
  app->add_option("--stac-id", args.stac_ids, "Item of the STAC API. May be repeated")
      ->type_name("ID")
      ->allow_extra_args(false)
      ->group(where);
}

}  // namespace

void add_search_command(Program& program) {
  auto args = std::make_shared<SearchArguments>();
  CLI::App* app =
      program.add("search", "Find granules in NASA's catalogue or in a STAC API", kSearchFooter,
                  [args](Context& context) { return run_search(*args, context); });
  app->add_flag("--collections", args->collections, "Search collections instead of granules");
  app->add_flag("--published", args->published,
                "Only the reference sets and stores that archives have published for the "
                "collections; `upwell info URL` opens them");
  app->add_flag("--count", args->count, "Only say how many there are");
  std::vector<std::string> forms;
  for (const FormName& form : kForms) forms.emplace_back(form.name);
  app->add_option("--format", args->form,
                  "table: name, time, size, link; json: a line each; umm: a line each, as CMR has "
                  "it; stac: a STAC item a line; urls: https links to the data; s3-urls")
      ->check(CLI::IsMember(forms))
      ->capture_default_str();
  app->add_option("-o,--output", args->output,
                  "Write to this file, which is there when all have come, or not at all")
      ->type_name("FILE");
  app->add_option("--limit", args->options.limit, "Not more than so many")
      ->check(CLI::Validator(check_positive, ""))
      ->type_name("N");
  app->add_option("--page-size", args->options.page_size, "Results of one request")
      ->check(CLI::Range(1, 2000))
      ->capture_default_str();
  app->add_flag("--allow-partial", args->allow_partial,
                "Take what there is when results are missing or have no link, with a warning");
  add_file_choice(app, args->cmr, "Options");
  constexpr const char* kGroups[] = {"Which collection", "Which granules or collections",
                                     "Which collections", "Which granules"};
  add_cmr_parameters(app, args->cmr, [&](const access::CmrParameter& p) {
    return std::string(kGroups[static_cast<size_t>(p.scope)]);
  });
  add_where_options(app, *args);
}

}  // namespace upwell::cli
