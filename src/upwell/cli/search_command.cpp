#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <memory>
#include <string_view>

#include "access/cmr_search.hpp"
#include "cli/cmr_options.hpp"
#include "cli/search_output.hpp"
#include "cli/stac_options.hpp"

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
  std::string form = "table", output;
  StacArguments stac;
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
    wrong = fmt::format("{} of {} granules cannot be written in the form '{}', the first is {}",
                        writer->lacking(), outcome.visited, args.form, writer->first_lacking());
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

/// One open instead of many, where an archive has joined the granules already.
void offer_published(const SearchRun& run, const std::vector<access::PublishedStore>& stores) {
  for (const access::PublishedStore& store : stores)
    if (!store.url.ends_with(".zip"))  // of many files, which are not read from there
      run.say(
          fmt::format("note: a store of the collection is published, to name as SOURCE: {} ({})",
                      store.url, store.description));
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
  if (outcome.visited > 0 && run.form == SearchForm::kTable) offer_published(run, cmr.published());
  if (outcome.visited == 0 && outcome.difference.empty()) {
    if (auto why = cmr.why_none(pairs)) run.say(*why);
  }
  return run.finish(outcome, &writer, "granules");
}

Result<> search_stac_api(SearchRun& run) {
  const SearchArguments& args = run.args;
  UPWELL_TRY(const access::StacQuery query, stac_query(args.stac, args.cmr));
  if (args.collections || args.published || args.count || run.form == SearchForm::kUmm)
    return fail(Code::kInvalidArgument,
                "--stac finds items: without --collections, --published, --count, --format umm");
  const auto client = catalogue_client(run.context, {}, run.context.shared_login());
  access::SearchOptions options = args.options;
  if (options.page_size > kStacPage) options.page_size = kStacPage;
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
  return args.stac.given() ? search_stac_api(run) : search_cmr(run);
}

void add_where_options(CLI::App* app, SearchArguments& args) {
  const char* where = "Which catalogue";
  add_cmr_host(app, args.cmr, where);
  add_stac_options(app, args.stac, where);
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
