#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.hpp"
#include "cli/print_some.hpp"
#include "cli/read_output.hpp"
#include "io/url.hpp"
#include "refs/verify.hpp"

namespace upwell::cli {
namespace {

struct VerifyArguments {
  std::string source;
  bool as_json = false;
  refs::VerifyOptions options;
};

constexpr const char* kVerifyFooter =
    "Examples:\n"
    "  upwell verify cube.json                  one chunk of each variable of each granule\n"
    "  upwell verify cube.json --sample 50      a look at 50 chunks of everywhere\n"
    "  upwell verify cube.parq --all --json     every chunk\n"
    "  upwell verify cube.json --seed $RANDOM   other chunks than last time\n"
    "\n"
    "What the references say is compared, bit for bit, with what the granules say, which are\n"
    "scanned anew. Granules whose size, ETag or time of change is not that of the day on which\n"
    "they were indexed are named, whether or not their values differ. Exit status: 0 all is well,\n"
    "65 something differs or changed, 66 granules vanished and nothing else is wrong.";

constexpr size_t kShownLines = 20;

void print_granules(const refs::VerifyReport& report) {
  using State = refs::GranuleVerdict::State;
  const std::pair<State, const char*> names[] = {{State::kUnchanged, "unchanged"},
                                                 {State::kUnrecorded, "state not recorded"},
                                                 {State::kChanged, "changed"},
                                                 {State::kVanished, "vanished"},
                                                 {State::kUnreachable, "cannot be read"}};
  for (const auto& [state, name] : names) {
    const size_t n = report.count(state);
    if (n == 0) continue;
    fmt::print("  {:>7} {}\n", n, name);
    if (state == State::kUnchanged || state == State::kUnrecorded) continue;
    size_t shown = 0;
    for (const refs::GranuleVerdict& granule : report.granules) {
      if (granule.state != state) continue;
      if (shown++ == kShownLines) {
        fmt::print("          ... (--json names them all)\n");
        break;
      }
      fmt::print("          {}{}{}\n", io::shown_url(granule.url),
                 granule.detail.empty() ? "" : ": ", granule.detail);
    }
  }
}

void print_verified(const refs::VerifyReport& report, bool all) {
  uint64_t compared = 0, bytes = 0;
  for (const auto& v : report.variables) {
    compared += v.compared;
    bytes += v.bytes;
  }
  fmt::print("{}: {}, {} granules{}{}\n", io::shown_url(report.source), report.format,
             report.granules.size(), report.concat.empty() ? "" : " along ", report.concat);
  print_granules(report);
  fmt::print("compared: {}, {} {} of {:.1f} MB\n", all ? "everything" : "a sample", compared,
             all ? "runs of chunks" : "chunks", static_cast<double>(bytes) / 1e6);
  for (const auto& v : report.variables)
    fmt::print("  {:>7} of {}{}\n", v.compared, v.path.substr(1),
               v.differing > 0 ? fmt::format(", {} DIFFER", v.differing) : "");
  if (report.findings.empty()) return;
  fmt::print("differences:\n");
  print_some(report.findings, kShownLines, [](const refs::Finding& f) {
    fmt::print("  {}{}{} ({})\n      {}{}\n", f.path.empty() ? "" : f.path.substr(1),
               f.path.empty() || f.granule.empty() ? "" : " of ", io::shown_url(f.granule), f.kind,
               f.message, f.places > 1 ? fmt::format("; and at {} more places", f.places - 1) : "");
  });
}

Result<> run_verify(VerifyArguments& args, Context& context) {
  args.options.progress = context.progress_style();
  args.options.mds = context.options().mds;
  refs::VerifyReport report;
  context.session().read_without_index();  // what was read another day proves nothing
  auto result = refs::verify(context.session(), args.source, args.options, report);
  if (report.granules.empty()) return result;
  if (args.as_json) {
    fmt::print("{}", report.to_json());
  } else {
    print_verified(report, args.options.all);
  }
  return result;
}

}  // namespace

void add_verify_command(Program& program) {
  auto args = std::make_shared<VerifyArguments>();
  CLI::App* app =
      program.add("verify", "Compare a reference set with its granules, scanned anew",
                  kVerifyFooter, [args](Context& context) { return run_verify(*args, context); });
  app->add_option("OUT", args->source, "A reference set, or a URL of one")->required();
  CLI::Option* sample =
      app->add_option("--sample", args->options.sample,
                      "Compare so many chunks, spread over granules and variables. Default: one of "
                      "each variable of each granule, at most 1000")
          ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 40))
          ->type_name("N");
  app->add_flag("--all", args->options.all, "Compare every chunk")->excludes(sample);
  app->add_option("--seed", args->options.seed, "Another seed takes other chunks")
      ->capture_default_str()
      ->type_name("S");
  app->add_option("--drop", args->options.drop, "Leave these variables out")
      ->delimiter(',')
      ->type_name("NAME,...");
  app->add_flag("--json", args->as_json, "Everything that was found, as JSON");
  app->add_option("--jobs", args->options.threads, "Granules read at once")
      ->check(CLI::Range(size_t{1}, size_t{1024}))
      ->type_name("N");
}

}  // namespace upwell::cli
