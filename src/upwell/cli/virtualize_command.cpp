#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/combine_options.hpp"
#include "cli/granule_search.hpp"
#include "io/url.hpp"
#include "refs/published_urls.hpp"
#include "refs/virtualize.hpp"

namespace upwell::cli {
namespace {

struct VirtualizeArguments {
  std::vector<std::string> sources;
  std::string output;
  std::vector<std::string> also_at;
  CombineArguments combine;
  bool load_given = false;
  refs::VirtualizeOptions options;
  GranuleSearch search;
};

constexpr const char* kVirtualizeFooter =
    "Examples:\n"
    "  upwell virtualize *.nc -o cube.json                      along the time that they share\n"
    "  upwell virtualize @list.txt -o cube.parq --concat time   a file names the granules\n"
    "  upwell virtualize data/ -o cube.json --on-drift skip --report report.json\n"
    "  upwell virtualize data/ -o cube.upwell --on-drift keep   packing, chunks, codecs may "
    "differ\n"
    "  upwell virtualize one.nc -o one.json --drop broken_variable\n"
    "  upwell virtualize *.nc -o cube.json --url-prefix /data/=https://example.org/data/\n"
    "  upwell virtualize 's3://bucket/2020/*.nc' -o s3://bucket/2020.json\n"
    "  upwell virtualize s3://bucket/2020/ -o c.json --also-at s3://bucket/=https://host/bucket/\n"
    "  upwell virtualize --short-name MUR-JPL-L4-GLOB-v4.1 --temporal 2013-12 -o december.json\n"
    "  upwell virtualize SSH_mon_mean/ -o ssh.json --mds-reference 1992-01-01   raw MITgcm output\n"
    "\n"
    "Nothing is copied but coordinates and what is tiny: the output says where in the granules "
    "each\n"
    "chunk lies. Every granule is compared with the first: type, byte order, codecs, chunks, "
    "fill,\n"
    "packing, units, calendar, sizes, order, duplicates. When a granule does not fit, nothing is\n"
    "written and the report names each such granule with every reason (exit status 65).\n"
    "NAME.upwell holds, with --on-drift keep, granules that differ in chunks, codecs, byte order,\n"
    "type, packing, fill or time units; upwell reads and serves them as one array of one type.";

Result<> split_locations(VirtualizeArguments& args) {
  for (const std::string& pair : args.also_at) {
    const size_t equal = pair.find('=');
    if (equal == std::string::npos)
      return fail(Code::kInvalidArgument, "--also-at wants URL=URL, not '" + pair + "'");
    for (const std::string& url : {pair.substr(0, equal), pair.substr(equal + 1)})
      UPWELL_CHECK(refs::check_published(url));
    args.options.output.locations.emplace_back(pair.substr(0, equal), pair.substr(equal + 1));
  }
  // What could not be read back is not written.
  auto read = refs::read_locations("{" + refs::locations_member(args.options.output.locations) +
                                   "\"refs\":{}}");
  if (!read) return fail(Code::kInvalidArgument, "--also-at wants two s3 or http(s) URLs");
  return {};
}

void print_outcome(const refs::VirtualizeReport& report) {
  const refs::CombineReport& combine = report.combine;
  for (const std::string& warning : combine.warnings) fmt::print(stderr, "warning: {}\n", warning);
  for (const refs::SourceReport& source : combine.sources)
    if (!source.reasons.empty() && report.error.empty())
      fmt::print(stderr, "skipped {}: {}{}{}\n", io::shown_url(source.url), source.reasons[0].path,
                 source.reasons[0].path.empty() ? "" : ": ", source.reasons[0].message);
  if (const std::string notes = refs::notes_line(combine); !notes.empty())
    fmt::print(stderr, "{}\n", notes);
  print_kept(combine);
  for (const refs::GapReport& gap : combine.gaps)
    fmt::print(stderr, "gap: {} to {} ({:.1f} steps), after {}\n", gap.from, gap.to, gap.steps,
               io::shown_url(gap.after));
  if (!report.error.empty()) return;
  const auto counted = [](uint64_t count, const char* what) {
    return fmt::format("{} {}{}", count, what, count == 1 ? "" : "s");
  };
  const double kib = static_cast<double>(report.counts.stored_bytes) / 1024;
  fmt::print(stderr, "{}: {} of {}, {} to {}, {} inline, {} never written\n", report.output,
             combine.order.size(), counted(combine.sources.size(), "granule"),
             counted(report.counts.stored, "reference"),
             kib < 100 ? fmt::format("{:.1f} KiB", kib) : fmt::format("{:.1f} MiB", kib / 1024),
             counted(report.counts.inlined, "chunk"), report.counts.missing);
}

Result<> run_virtualize(VirtualizeArguments& args, Context& context) {
  refs::VirtualizeOptions& options = args.options;
  UPWELL_CHECK(apply_combine_options(args.combine, context, options));
  UPWELL_CHECK(split_locations(args));
  options.combine.load_given = args.load_given;
  UPWELL_TRY(const auto sources, find_sources(context, args.search, args.sources));
  refs::VirtualizeReport report;
  auto result = refs::virtualize(context.session(), sources, args.output, options, report);
  result = with_report(args.combine, [&] { return report.to_json(); }, std::move(result));
  if (!context.options().quiet || !result) print_outcome(report);
  return result;
}

}  // namespace

void add_virtualize_command(Program& program) {
  auto args = std::make_shared<VirtualizeArguments>();
  CLI::App* app =
      program.add("virtualize", "Join granules to one cube of references, without copying data",
                  kVirtualizeFooter, [args](Context& context) {
                    return with_search_advice(args->search, run_virtualize(*args, context));
                  });
  app->add_option(
      "SOURCE", args->sources,
      "Granules, Zarr stores or reference sets: paths, URLs, patterns, directories, prefixes "
      "that end in '/', @list.txt, @- for a list on standard input. Or search for them, see "
      "below");
  app->add_option(
         "-o,--output", args->output,
         "Reference set to write: NAME.json, NAME.parq (a directory) for Parquet, or NAME.upwell "
         "(a directory), Upwell's own form; each may be an s3:// URL")
      ->required()
      ->type_name("OUT");
  refs::CombineOptions& combine = args->options.combine;
  app->add_option(
         "--concat", combine.concat,
         "Dimension along which granules follow each other. A scalar variable of this name "
         "becomes a new dimension. Default: the unlimited one, or CF time")
      ->type_name("DIM");
  app->add_option("--order-by", combine.order_by,
                  "Variable along that dimension that gives the order, where the dimension's own "
                  "coordinate does not")
      ->type_name("NAME");
  CLI::Option* load =
      app->add_option("--load", combine.load,
                      "Copy the values of these variables into the references, one chunk each. "
                      "Default: 1-D coordinates; always: the concat coordinate")
          ->delimiter(',')
          ->type_name("NAME,...");
  load->each([args](const std::string&) { args->load_given = true; });
  app->add_option("--drop", combine.drop, "Leave these variables out")
      ->delimiter(',')
      ->type_name("NAME,...");
  app->add_flag("--longest-uniform", args->options.longest_uniform,
                "Of a cube in Upwell's own form, only the longest run along its concat dimension "
                "that is stored in one way");
  app->add_option("--also-at", args->also_at,
                  "Granules whose URL in the output begins with the first also lie at the second: "
                  "readers of Upwell choose (--prefer), others take the first")
      ->type_name("URL=URL");
  app->add_option("--inline-threshold", combine.inline_bytes,
                  "Variables of at most so many bytes in a granule are copied too")
      ->capture_default_str()
      ->type_name("BYTES");
  app->add_option("--record-size", args->options.record_size, "Parquet: references in one file")
      ->check(CLI::Range(uint64_t{1}, uint64_t{10000000}))
      ->capture_default_str();
  app->add_flag(
      "--no-sync", [args](int64_t) { args->options.output.sync = Sync::kNo; },
      "Do not wait until the output is on the disk: some milliseconds less for each, but a power "
      "cut may leave a broken file");
  add_combine_options(app, args->combine, args->options);
  add_granule_search(app, args->search);
}

}  // namespace upwell::cli
