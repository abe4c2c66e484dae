#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "cli/combine_options.hpp"
#include "cli/granule_search.hpp"
#include "io/url.hpp"
#include "refs/append.hpp"

namespace upwell::cli {
namespace {

struct AppendArguments {
  std::string output;
  std::vector<std::string> sources;
  CombineArguments combine;
  refs::AppendOptions options;
  GranuleSearch search;
};

constexpr const char* kAppendFooter =
    "Examples:\n"
    "  upwell append cube.json new.nc                         at the end, or in between\n"
    "  upwell append cube.json data/                          what is not in it yet\n"
    "  upwell append cube.json v2/*.nc --on-overlap replace   reprocessed granules\n"
    "  upwell append cube.json --remove '*20200103*'          granules that are gone\n"
    "  upwell append v1.parq late.nc -o v2.parq               in between, as a new set of Parquet\n"
    "  upwell append s3://bucket/cube.upwell s3://bucket/2021/   in a bucket, under its readers\n"
    "\n"
    "The new granules are compared with the store as virtualize compares granules with the first.\n"
    "The store is replaced in one step, or not at all; a second run changes nothing. A "
    "granule\n"
    "that is in it and has not changed since (size, ETag, time of change) is not even opened.\n"
    "To --remove what is not in it is an error (66), also in a second run.";

void print_append(const refs::AppendReport& report) {
  const refs::CombineReport& combine = report.virtualize.combine;
  for (const std::string& warning : combine.warnings) fmt::print(stderr, "warning: {}\n", warning);
  if (const std::string notes = refs::notes_line(combine); !notes.empty())
    fmt::print(stderr, "{}\n", notes);
  if (!report.virtualize.error.empty()) return;
  for (const refs::SourceReport& source : combine.sources) {
    if (!source.reasons.empty())
      fmt::print(stderr, "skipped {}: {}\n", io::shown_url(source.url), source.reasons[0].message);
    else if (source.left_out())
      fmt::print(stderr, "{} {}\n", source.fate, io::shown_url(source.url));
  }
  if (!report.written) {
    const size_t there = report.unchanged.size();
    fmt::print(stderr, "{}: nothing {}{}\n", report.virtualize.output,
               report.skipped > 0 ? "was changed" : "to do",
               there == 0   ? ""
               : there == 1 ? ", 1 granule is in it already"
                            : fmt::format(", {} granules are in it already", there));
    return;
  }
  fmt::print(stderr, "{}: {} added, {} replaced, {} removed, {} skipped; {} granules now\n",
             report.virtualize.output, report.added, report.replaced, report.removed,
             report.skipped, combine.order.size());
}

Result<> run_append(AppendArguments& args, Context& context) {
  refs::AppendOptions& options = args.options;
  UPWELL_CHECK(apply_combine_options(args.combine, context, options.virtualize));
  std::vector<std::string> sources;
  if (!args.sources.empty() || args.search.given()) {
    UPWELL_TRY(sources, find_sources(context, args.search, args.sources));
  } else if (options.remove.empty()) {
    return fail(Code::kInvalidArgument,
                "name granules to add, search for them (--short-name NAME), or --remove some");
  }
  refs::AppendReport report;
  auto result = refs::append(context.session(), args.output, sources, options, report);
  result = with_report(args.combine, [&] { return report.to_json(); }, std::move(result));
  if (!context.options().quiet || !result) print_append(report);
  return result;
}

}  // namespace

void add_append_command(Program& program) {
  auto args = std::make_shared<AppendArguments>();
  CLI::App* app = program.add("append", "Add, replace or remove granules of a reference set",
                              kAppendFooter, [args](Context& context) {
                                return with_search_advice(args->search, run_append(*args, context));
                              });
  app->add_option(
         "OUT", args->output,
         "Reference set that upwell virtualize wrote, a path, or an s3:// URL of NAME.json "
         "or NAME.upwell; in Parquet it takes granules at its end only, other changes with "
         "-o")
      ->required();
  app->add_option("GRANULE", args->sources,
                  "Granules: paths, URLs, patterns, directories, prefixes, @list.txt, @- for a "
                  "list on standard input. Or search for them, see below");
  app->add_option("-o,--output", args->options.output,
                  "Write the result as a set of its own and leave OUT as it is: NAME.json, or "
                  "NAME.parq for Parquet; may be an s3:// URL")
      ->type_name("NEW");
  const std::map<std::string, refs::Overlap> overlaps{{"error", refs::Overlap::kError},
                                                      {"skip", refs::Overlap::kSkip},
                                                      {"replace", refs::Overlap::kReplace}};
  app->add_option("--on-overlap", args->options.virtualize.combine.on_overlap,
                  "When the store has values at a granule's place already: refuse, leave that "
                  "granule out, or put it in the place of those that it covers")
      ->transform(CLI::CheckedTransformer(overlaps).description("{error,skip,replace}"))
      ->default_str("error");
  app->add_option("--remove", args->options.remove,
                  "Take out granules of this URL, file name, or pattern of either")
      ->type_name("URL|PATTERN")
      ->allow_extra_args(false);
  app->add_option("--concat", args->options.virtualize.combine.concat,
                  "Dimension along which granules follow each other, where the store is of one. "
                  "Default: the unlimited one of the new granules, or CF time")
      ->type_name("DIM");
  app->add_option("--drop", args->options.virtualize.combine.drop,
                  "Variables that the store was made without")
      ->delimiter(',')
      ->type_name("NAME,...");
  add_combine_options(app, args->combine, args->options.virtualize);
  add_granule_search(app, args->search);
}

}  // namespace upwell::cli
