#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <memory>

#include "base/files.hpp"
#include "cli/command.hpp"
#include "produce/tasks/task_list.hpp"

namespace upwell::cli {

// In produce_config_command.cpp, produce_factors_command.cpp, and so on.
void add_produce_config_command(Program& program, CLI::App* group);
void add_produce_factors_command(Program& program, CLI::App* group);
void add_produce_granules_command(Program& program, CLI::App* group);
void add_produce_split_command(Program& program, CLI::App* group);
void add_produce_subset_command(Program& program, CLI::App* group);

namespace {

constexpr size_t kMaxWarnings = 20;  // of what a job misses

struct TasksArguments {
  produce::TaskListOptions options;
  std::string cfgfile = "./product_generation_config.yaml", ecco_cfg_loc;
  std::string dialect, daily_date = "end";
  std::string outfile, report, keygen, profile, log_level = "WARNING";
};

constexpr const char* kProduceFooter =
    "ECCO dataset production: raw MITgcm output becomes granules.\n"
    "  upwell produce tasks    from jobs and metadata, which granule is made of which files\n"
    "  upwell produce granules make the granules of a task list\n"
    "  upwell produce split    cut a task list into parts, for several machines\n"
    "  upwell produce subset   a few tasks of a list, for trials\n"
    "  upwell produce factors  how the native grid is mapped to latitude and longitude\n"
    "  upwell produce config   which keys of a configuration are read\n"
    "See docs/guide/ecco.md.";

constexpr const char* kTasksFooter =
    "Examples:\n"
    "  upwell produce tasks --jobfile jobs.txt --ecco_source_root results/V4r4 \\\n"
    "    --ecco_destination_root out --ecco_grid_loc grid --ecco_mapping_factors_loc factors \\\n"
    "    --ecco_metadata_loc metadata --cfgfile product_generation_config.yaml -o tasks.json\n"
    "  edp_create_job_task_list ...the same options...\n"
    "\n"
    "A job file has one job a line, in Python's syntax, and comments:\n"
    "  [groupings id, product type, frequency, time steps]\n"
    "  [0, 'native', 'AVG_MON', 'all']              # 1D, latlon, native; SNAP, AVG_DAY, AVG_MON, "
    "TI\n"
    "  [0, 'latlon', 'AVG_MON', [732, 1428]]        time steps as in the files' names\n"
    "  [0, 'latlon', 'AVG_MON', '732..2172']        from step to step; '732..' to the last\n"
    "  [9, 'latlon', 'AVG_MON', '1992-01/1992-12']  months, days or years; '1992-06/..' to the "
    "last\n"
    "  [9, 'latlon', 'AVG_DAY', ['1992-03', 12]]    a month of days, and a step\n"
    "  [20, 'native', 'TI', 'all']                  time-invariant: NAME.data; or 'FILE.nc'\n"
    "Every line that is no job is named with its column, and nothing is written (status 65). When "
    "a variable\n"
    "is missing at a step nothing is written either (status 66), unless --allow-missing leaves it "
    "out.\n"
    "The source is listed once. The list is the same, byte for byte, that edp_create_job_task_list "
    "writes.";

void print_outcome(const TasksArguments& args, const produce::TaskListReport& report) {
  const bool debug = args.log_level == "DEBUG" || args.log_level == "INFO";
  if (args.log_level == "ERROR" || args.log_level == "CRITICAL" || !report.error.empty()) return;
  for (const produce::JobReport& job : report.jobs) {
    const std::string where = fmt::format("{}:{}: {}", report.jobfile, job.job.line, job.filename);
    if (debug) fmt::print(stderr, "{}: {} tasks\n", where, job.tasks);
    for (const std::string& note : job.notes) fmt::print(stderr, "warning: {}: {}\n", where, note);
    for (const std::string& gap : job.gaps)
      fmt::print(stderr, "warning: {}: no step in {}\n", where, gap);
    for (size_t k = 0; k < std::min(job.missing.size(), kMaxWarnings); ++k) {
      const produce::MissingInput& missing = job.missing[k];
      fmt::print(stderr, "warning: {}: {} {}{}left out: {}\n", where, missing.time,
                 missing.variable, missing.variable.empty() ? "" : " ", missing.reason);
    }
    if (job.missing.size() > kMaxWarnings)
      fmt::print(stderr, "warning: {}: {} more left out; --report names all\n", where,
                 job.missing.size() - kMaxWarnings);
  }
}

Result<> apply(TasksArguments& args, bool cfg_loc_given) {
  produce::TaskListOptions& options = args.options;
  options.cfg_loc = cfg_loc_given ? args.ecco_cfg_loc : args.cfgfile;
  if (args.dialect.empty()) args.dialect = cfg_loc_given ? "2026" : "2024";
  options.dialect = args.dialect == "2026" ? produce::Dialect::k2026 : produce::Dialect::k2024;
  options.daily_date = args.daily_date == "start"    ? produce::DailyDate::kStart
                       : args.daily_date == "center" ? produce::DailyDate::kCenter
                                                     : produce::DailyDate::kEnd;
  if (!args.keygen.empty())
    fmt::print(
        stderr,
        "warning: --keygen {}: not run; no program is called. Log in before, or give a profile\n",
        args.keygen);
  return {};
}

Result<> run_tasks(TasksArguments& args, Context& context) {
  UPWELL_CHECK(apply(args, !args.ecco_cfg_loc.empty()));
  const std::string target = args.outfile.empty() ? "" : io::normal_url(args.outfile);
  std::unique_ptr<io::ObjectWriter> output;
  produce::TaskListWriter list([&](std::string_view text) -> Result<> {
    if (target.empty()) {
      if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size())
        return fail(Code::kCannotWrite, "standard output");
      return {};
    }
    if (!output) {
      UPWELL_TRY(output, context.session().create(target));
    }
    return output->write(as_bytes(text));
  });
  produce::TaskListReport report;
  auto result = produce::make_task_list(
      context.session(), args.options,
      [&](const produce::Task& task) {
        return list.add(produce::task_text(task, args.options.dialect));
      },
      report);
  if (result) result = list.finish();
  if (result && output) result = output->commit().transform([](const io::ObjectInfo&) {});
  if (!result) report.error = result.error().to_string();
  if (!args.report.empty()) {
    const std::string text = report.to_json();
    auto written = write_file_atomically(args.report, as_bytes(text));
    if (!written && result) result = std::move(written);
  }
  if (!context.options().quiet) {
    print_outcome(args, report);
    if (result && !args.outfile.empty())
      fmt::print(stderr, "{}: {} tasks of {} jobs\n", args.outfile, report.tasks,
                 report.jobs.size());
  }
  return result;
}

/// The options of edp_create_job_task_list, by its names.
void add_edp_options(CLI::App* app, const std::shared_ptr<TasksArguments>& args) {
  produce::TaskListOptions& options = args->options;
  app->add_option("--jobfile", options.jobfile, "Jobs, one a line (see below)")
      ->required()
      ->type_name("FILE");
  app->add_option("--ecco_source_root", options.source_root,
                  "Where the model's output is: a directory, or s3://BUCKET/PREFIX")
      ->required()
      ->type_name("DIR");
  app->add_option("--ecco_destination_root", options.destination_root,
                  "Where granules are to be written: a directory, or s3://BUCKET/PREFIX")
      ->required()
      ->type_name("DIR");
  app->add_option("--ecco_grid_loc", options.grid_loc, "Grid files; goes into the tasks as it is")
      ->type_name("DIR");
  app->add_option("--ecco_mapping_factors_loc", options.mapping_factors_loc,
                  "Mapping factors; goes into the tasks as it is")
      ->type_name("DIR");
  app->add_option(
         "--ecco_metadata_loc", options.metadata_loc,
         "Metadata, of which *groupings_for_{1D,latlon,native}_datasets.json are read here")
      ->required()
      ->type_name("DIR");
  CLI::Option* cfgfile =
      app->add_option("--cfgfile", args->cfgfile, "Configuration (YAML); tasks in the form of 2024")
          ->capture_default_str()
          ->type_name("FILE");
  app->add_option("--ecco_cfg_loc", args->ecco_cfg_loc,
                  "Configuration; tasks in the form of 2026, which name it")
      ->excludes(cfgfile)
      ->type_name("FILE");
  app->add_option("-o,--outfile", args->outfile, "Task list to write. Default: standard output")
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
                  "INFO: say what each job gives; ERROR: keep warnings back")
      ->check(CLI::IsMember({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}))
      ->capture_default_str();
}

void add_tasks_command(Program& program, CLI::App* group) {
  auto args = std::make_shared<TasksArguments>();
  CLI::App* app = program.add(
      "tasks", "From job files and metadata, the list of granules to make", kTasksFooter,
      [args](Context& context) { return run_tasks(*args, context); }, group);
  add_edp_options(app, args);
  produce::TaskListOptions& options = args->options;
  app->add_flag("--allow-missing", options.allow_missing,
                "Make tasks without the variables and steps that are not there");
  app->add_flag("--check-meta", options.check_meta,
                "Read every .meta and ask for the size of every .data: step, size, end of the "
                "averaging interval must be what the name says");
  app->add_option("--report", args->report,
                  "Write a report (JSON): tasks of each job, what is missing, gaps")
      ->type_name("FILE");
  app->add_option("--dialect", args->dialect,
                  "Form of the tasks. Default: 2024 with --cfgfile, 2026 with --ecco_cfg_loc")
      ->check(CLI::IsMember({"2024", "2026"}));
  app->add_option("--daily-date", args->daily_date,
                  "Which date names a daily granule: the end of its day, as EDP, or the day itself")
      ->check(CLI::IsMember({"end", "start", "center"}))
      ->capture_default_str();
  app->add_option("--snap-tag", options.snap_tag,
                  "Snapshots are named so: day_snap, mon_snap, snap. Default: what is there")
      ->type_name("TAG");
  app->add_flag("--any-version", options.any_version,
                "Take also directories without the configuration's ecco_version in their path");
}

}  // namespace

void add_produce_commands(Program& program) {
  CLI::App* group = program.add_group(
      "produce", "ECCO dataset production: task lists, granules, mapping factors", kProduceFooter);
  add_tasks_command(program, group);
  add_produce_granules_command(program, group);
  add_produce_split_command(program, group);
  add_produce_subset_command(program, group);
  add_produce_factors_command(program, group);
  add_produce_config_command(program, group);
}

}  // namespace upwell::cli
