#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <map>
#include <memory>

#include "base/files.hpp"
#include "cli/command.hpp"
#include "produce/granules/run.hpp"

namespace upwell::cli {
namespace {

using produce::Outcome;

struct GranulesArguments {
  produce::RunOptions options;
  std::string profile = "auto", compression = "small", not_finite = "fail";
  std::vector<std::string> fixes;
  std::string report, keygen, log_level = "WARNING";
};

constexpr const char* kGranulesFooter =
    "Examples:\n"
    "  upwell produce granules --tasklist tasks.json --cfgfile product_generation_config.yaml\n"
    "  upwell produce granules --tasklist tasks.json --cfgfile config.yaml --report report.json "
    "\\\n"
    "    --checksum sha256 --fix all\n"
    "  upwell produce granules --tasklist tasks.json --references cubes/      each dataset a cube\n"
    "  edp_generate_dataproducts ...the options of that program...\n"
    "\n"
    "The granules are theirs: dimensions, order, attributes, chunks, names and values. What has "
    "been made\n"
    "already, of inputs that have not changed, is kept (see --no-resume). A task that fails does "
    "not stop\n"
    "the others; the status is then that of the first failure.";

void apply(GranulesArguments& args) {
  produce::RunOptions& options = args.options;
  if (args.profile == "v4r4") options.profile = produce::Profile::kV4r4;
  if (args.profile == "2026") options.profile = produce::Profile::k2026;
  if (args.compression == "fast") options.compression = produce::Compression::kFast;
  if (args.not_finite == "keep") options.not_finite = produce::NotFinite::kKeep;
  for (const std::string& fix : args.fixes) {
    options.fix_keywords = options.fix_keywords || fix == "keywords" || fix == "all";
    options.fix_snapshots = options.fix_snapshots || fix == "snapshots" || fix == "all";
  }
  if (!args.keygen.empty())
    fmt::print(
        stderr,
        "warning: --keygen {}: not run; no program is called. Log in before, or give a profile\n",
        args.keygen);
}

/// What is said of granules, each text once, in the order in which it came up: what tasks share
/// goes wrong for all of them.
class Remarks {
 public:
  void add(const std::string& granule, const std::string& text) {
    const auto [known, is_new] = places_.emplace(text, remarks_.size());
    if (is_new) remarks_.push_back({text, granule, 0});
    ++remarks_[known->second].granules;
  }

  void print(const char* before) const {
    for (const Remark& remark : remarks_) {
      if (remark.granules == 1) {
        fmt::print(stderr, "{}{}: {}\n", before, remark.first, remark.text);
      } else {
        fmt::print(stderr, "{}{} granules, the first {}: {}\n", before, remark.granules,
                   remark.first, remark.text);
      }
    }
  }

 private:
  struct Remark {
    std::string text, first;
    size_t granules = 0;
  };
  std::vector<Remark> remarks_;
  std::map<std::string, size_t> places_;
};

void print_granules(const GranulesArguments& args, const produce::RunReport& report) {
  Remarks errors, notes;
  for (const produce::TaskResult& task : report.tasks) {
    if (task.error)
      errors.add(task.granule,
                 fmt::format("{}: {}", to_string(task.error->code), task.error->to_string()));
    for (const std::string& note : task.notes) notes.add(task.granule, note);
  }
  if (args.log_level != "ERROR" && args.log_level != "CRITICAL") notes.print("warning: ");
  errors.print("");
}

void print_outcome(const GranulesArguments& args, const produce::RunReport& report) {
  const bool verbose = args.log_level == "DEBUG" || args.log_level == "INFO";
  for (const produce::ReferenceSetResult& set : report.references) {
    if (set.error)
      fmt::print(stderr, "{}: {}\n", to_string(set.error->code), set.error->to_string());
  }
  print_granules(args, report);
  uint64_t in = 0, out = 0;
  for (const produce::TaskResult& task : report.tasks) {
    in += task.input_bytes;
    out += task.output_bytes;
  }
  const double in_mb = 1e-6 * static_cast<double>(in), out_mb = 1e-6 * static_cast<double>(out);
  if (args.options.dry_run) {
    fmt::print(
        stderr,
        "{} to make, {} are there, {} cannot be made; {:.1f} MB to read, about {:.1f} MB and "
        "{:.0f} s\n",
        report.count(Outcome::kPlanned), report.count(Outcome::kKept),
        report.count(Outcome::kFailed), in_mb, out_mb, report.expected_seconds());
    return;
  }
  fmt::print(stderr,
             "{} made, {} kept, {} failed; {:.1f} MB read, {:.1f} MB in granules, {:.2f} s\n",
             report.count(Outcome::kMade), report.count(Outcome::kKept),
             report.count(Outcome::kFailed), in_mb, out_mb, report.seconds);
  for (const produce::ReferenceSetResult& set : report.references) {
    if (verbose) {
      for (const std::string& warning : set.warnings)
        fmt::print(stderr, "{}: {}\n", set.output, warning);
    }
    if (!set.error)
      fmt::print(stderr, "{}: {} added, {} replaced; {} granules now\n", set.output, set.added,
                 set.replaced, set.granules);
  }
}

/// The first thing that went wrong: of the tasks, else of the reference sets.
Result<> outcome_of(const produce::RunReport& report) {
  for (const produce::TaskResult& task : report.tasks) {
    if (!task.error) continue;
    return fail(task.error->code,
                fmt::format("{} of {} tasks failed, the first: {}", report.count(Outcome::kFailed),
                            report.tasks.size(), task.error->to_string()));
  }
  for (const produce::ReferenceSetResult& set : report.references)
    if (set.error)
      return fail(set.error->code,
                  "all granules are there, but not their references: " + set.error->to_string());
  return {};
}

Result<> run(GranulesArguments& args, Context& context) {
  apply(args);
  args.options.progress = context.progress_style();
  UPWELL_TRY(produce::RunReport report, produce::run_tasks(context.session(), args.options));
  if (!args.report.empty()) {
    const std::string text = report.to_json();
    UPWELL_CHECK(write_file_atomically(args.report, as_bytes(text)));
  }
  if (!context.options().quiet) print_outcome(args, report);
  return outcome_of(report);
}

/// The options of edp_generate_dataproducts and edp_generate_datasets, by their names.
void add_edp_options(CLI::App* app, const std::shared_ptr<GranulesArguments>& args) {
  app->add_option("--tasklist", args->options.tasklist, "Tasks (JSON): a file, or s3://...")
      ->required()
      ->type_name("FILE");
  app->add_option("--cfgfile", args->options.cfgfile,
                  "Configuration (YAML). Default: the one that each task names")
      ->type_name("FILE");
  app->add_option("--keygen", args->keygen, "Taken, and not run: no program is called")
      ->type_name("PROGRAM");
  app->add_option_function<std::string>(
         "--profile",
         [app](const std::string& name) {
           CLI::Option* profile = app->get_option("--s3-profile");
           profile->clear();
           profile->add_result(name);
           profile->run_callback();
         },
         "Profile for s3://, as --s3-profile")
      ->type_name("NAME");
  app->add_option("-l,--log", args->log_level,
                  "ERROR: keep warnings back; INFO: also those of reference sets")
      ->check(CLI::IsMember({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}))
      ->capture_default_str();
}

void add_reference_options(CLI::App* app, produce::ReferenceOptions& options) {
  const char* group = "References";
  app->add_option("--references", options.output,
                  "Keep a reference set of each dataset up to date with its granules, as upwell "
                  "virtualize and append write them: a directory, for DATASET.json in it; or "
                  "NAME.json, NAME.parq, NAME.upwell with {dataset}, {name}, {frequency}, "
                  "{version}, {type}, {grid}. JSON may be an s3:// URL")
      ->type_name("OUT")
      ->group(group);
  app->add_option("--references-every", options.seconds,
                  "At least so many seconds from one update of a set to the next, while granules "
                  "are made; all sets are complete at the end")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->type_name("SECONDS")
      ->group(group);
}

void add_running_options(CLI::App* app, produce::RunOptions& options) {
  const char* group = "Running";
  app->add_option("-j,--jobs", options.jobs, "Granules made at once. Default: one a core")
      ->check(CLI::Range(1, 1024))
      ->group(group);
  app->add_option(
         "--memory", options.memory,
         "For all granules that are under way (500MB, 4GB); one that alone needs more "
         "fails, and says how much. Default: 1GB, which one that needs more, up to half of "
         "the machine's, passes alone")
      ->transform(binary_size, "")
      ->check(CLI::Validator(check_positive, ""))
      ->type_name("SIZE")
      ->group(group);
  app->add_option("--attempts", options.attempts,
                  "How often a task is tried whose failure may pass")
      ->check(CLI::Range(1, 100))
      ->capture_default_str()
      ->group(group);
  app->add_flag("--resume,!--no-resume", options.resume,
                "Keep granules that are there and whose inputs have not changed. On unless "
                "--no-resume")
      ->group(group);
  app->add_flag("--dry-run", options.dry_run, "Write nothing; say what would be read")
      ->group(group);
}

}  // namespace

void add_produce_granules_command(Program& program, CLI::App* group) {
  auto args = std::make_shared<GranulesArguments>();
  CLI::App* app = program.add(
      "granules", "From a task list, the granules", kGranulesFooter,
      [args](Context& context) { return run(*args, context); }, group);
  add_edp_options(app, args);
  app->add_option("--form", args->profile,
                  "Whose granules: of ECCO-Dataset-Production as of 2024 (v4r4), or as of 2026. "
                  "auto: 2026 for tasks that name their configuration")
      ->check(CLI::IsMember({"auto", "v4r4", "2026"}))
      ->capture_default_str();
  app->add_option("--fix", args->fixes,
                  "What EDP gets wrong, and is kept unless named here: keywords (those of granules "
                  "before in the list), snapshots (TBD for times and title), or all")
      ->check(CLI::IsMember({"keywords", "snapshots", "all"}))
      ->allow_extra_args(false);
  app->add_option("--compression", args->compression,
                  "small: files not larger than EDP's; fast: a few percent larger, faster")
      ->check(CLI::IsMember({"small", "fast"}))
      ->capture_default_str();
  app->add_option(
         "--not-finite", args->not_finite,
         "NaN or infinity at a point of water: fail, or keep it, as EDP (NaN becomes fill)")
      ->check(CLI::IsMember({"fail", "keep"}))
      ->capture_default_str();
  app->add_option("--checksum", args->options.checksums,
                  "Write NAME.sha256 or NAME.md5 beside each")
      ->check(CLI::IsMember({"sha256", "md5"}))
      ->allow_extra_args(false);
  app->add_flag("--reproducible", args->options.reproducible,
                "The same bytes at every run: fixed dates, and UUIDs that follow from the inputs");
  app->add_option(
         "--created", args->options.created,
         "date_created and the like. Default: now; with --reproducible 1970-01-01T00:00:00")
      ->type_name("DATE");
  app->add_option("--report", args->report, "Write what became of each task (JSON)")
      ->type_name("FILE");
  add_reference_options(app, args->options.references);
  add_running_options(app, args->options);
}

}  // namespace upwell::cli
