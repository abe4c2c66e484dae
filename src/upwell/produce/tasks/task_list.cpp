#include "produce/tasks/task_list.hpp"

#include <fmt/core.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <span>
#include <unordered_map>

#include "base/text.hpp"
#include "produce/config.hpp"
#include "produce/dates.hpp"
#include "produce/tasks/job_plan.hpp"
#include "produce/tasks/meta_check.hpp"

namespace upwell::produce {
namespace {

constexpr size_t kMaxListed = 20;  // things that a message names

/// As os.path.join of parts that are not absolute.
std::string join(std::string path, std::initializer_list<std::string> parts) {
  for (const std::string& part : parts) {
    if (!path.empty() && !path.ends_with('/')) path += '/';
    path += part;
  }
  return path;
}

/// Words with one blank between.
std::string collapsed(const std::string& text) {
  std::string out;
  bool blank = false;
  for (char c : text) {
    const bool space = c == ' ' || (c >= '\t' && c <= '\r');
    if (!space && blank && !out.empty()) out += ' ';
    if (!space) out += c;
    blank = space;
  }
  return out;
}

Result<std::string> read_text(io::Session& session, const std::string& place) {
  UPWELL_TRY(const SharedBytes bytes, session.read_one(io::normal_url(place)));
  return std::string(as_text(bytes.span()));
}

/// What tasks need of the configuration.
struct Settings {
  ModelClock clock;
  std::string version;
  std::map<ProductType, std::string> tails, labels;
};

Result<Settings> settings_of(const Config& config, const std::vector<Job>& jobs) {
  Settings settings;
  UPWELL_TRY(settings.clock, model_clock(config));
  UPWELL_TRY(settings.version, config.text("ecco_version"));
  if (settings.version.empty())
    return fail(config.wrong("ecco_version", "empty, but granules are named by it"));
  for (const Job& job : jobs) {
    const std::string& type = to_string(job.type);
    const KeyName tail = job.type == ProductType::k1D ? KeyName("dataset_description_tail_1D")
                         : job.type == ProductType::kLatLon
                             ? KeyName("dataset_description_tail_latlon")
                             : KeyName("dataset_description_tail_native");
    // An empty tail may be written as '' or as nothing.
    settings.tails[job.type] = "";
    if (config.find(tail) != nullptr) {
      UPWELL_TRY(settings.tails[job.type], config.text(tail));
    } else if (job.type != ProductType::k1D) {
      return fail(config.wrong(tail, "missing"));
    }
    UPWELL_TRY(const auto label, config.member("ecco_production_filestr_grid_label", type));
    // One-dimensional granules have none: ..._ECCO_V4r4_1D.nc.
    if (!label && job.type != ProductType::k1D)
      return fail(config.wrong("ecco_production_filestr_grid_label", "no '" + type + "'"));
    settings.labels[job.type] = label.value_or("");
  }
  return settings;
}

using Groupings = std::map<ProductType, std::vector<Grouping>>;

Result<> check_ids(const std::vector<Job>& jobs, const Groupings& groupings,
                   const std::string& jobfile) {
  std::string faults;
  for (const Job& job : jobs) {
    const size_t count = groupings.at(job.type).size();
    if (static_cast<uint64_t>(job.grouping) < count) continue;
    faults += fmt::format("\n  {}:{}:{}: no grouping {} of '{}', which has 0 to {}", jobfile,
                          job.line, job.id_column, job.grouping, to_string(job.type),
                          static_cast<int64_t>(count) - 1);
  }
  if (faults.empty()) return {};
  return fail(Code::kInvalidData, "unknown groupings ids" + faults);
}

SourceWants wants_of(const std::vector<Job>& jobs, const Groupings& groupings,
                     const std::string& version, const TaskListOptions& options) {
  SourceWants wants;
  if (!options.any_version) wants.version = version;
  for (const Job& job : jobs) {
    if (!job.input_netcdf.empty()) continue;
    std::set<std::string>& stems = wants.stems[source_directory(job.frequency)];
    for (const GroupingField& field :
         groupings.at(job.type)[static_cast<size_t>(job.grouping)].fields)
      for (const std::string& source : field.sources)
        for (const std::string& tag : source_tags(job.frequency, options.snap_tag))
          stems.insert(stem_of(source, tag));
  }
  return wants;
}

/// Makes the tasks of planned jobs.
class TaskMaker {
 public:
  TaskMaker(const TaskListOptions& options, const Settings& settings, const SourceIndex& index)
      : options_(options), settings_(settings), index_(index) {}

  std::string granule(const PlannedJob& plan, const PlannedStep& step) const {
    const Job& job = *plan.job;
    const std::string& type = to_string(job.type);
    std::string name = plan.grouping->filename;
    const std::string tag = granule_tag(plan);
    if (!tag.empty()) name += "_" + tag;
    if (!tag.empty() && job.type != ProductType::k1D) name += "_" + date(plan, step);
    name += "_ECCO_" + settings_.version + "_" + type;
    const std::string& label = settings_.labels.at(job.type);
    if (!label.empty()) name += "_" + label;
    name += ".nc";
    if (tag.empty())
      return join(options_.destination_root, {settings_.version, lower_case(type), name});
    return join(options_.destination_root,
                {settings_.version, lower_case(type), tag, plan.grouping->filename, name});
  }

  /// Of one step of the plan; of a series, of all of them.
  Result<Task> task(const PlannedJob& plan, std::span<const PlannedStep> steps) const {
    Task task;
    task.granule = granule(plan, steps.front());
    if (!plan.job->input_netcdf.empty()) {
      task.input_netcdf = plan.job->input_netcdf;
      task.strip_attributes = true;
    } else {
      add_variables(plan, steps, task);
    }
    task.cfg_loc = options_.cfg_loc;
    task.grid_loc = options_.grid_loc;
    task.mapping_factors_loc = options_.mapping_factors_loc;
    task.metadata_loc = options_.metadata_loc;
    UPWELL_TRY(task.metadata, metadata(plan, steps));
    return task;
  }

 private:
  /// In names and directories of granules: the files' tag, but snapshots of 2026, and series of
  /// snapshots as PO.DAAC has them, are "snap".
  std::string granule_tag(const PlannedJob& plan) const {
    const bool snapshot = plan.job->frequency == Frequency::kSnapshot;
    const bool series = plan.job->type == ProductType::k1D;
    return snapshot && (series || options_.dialect == Dialect::k2026) ? "snap" : plan.tag;
  }

  std::string date(const PlannedJob& plan, const PlannedStep& step) const {
    const Coverage& coverage = step.coverage;
    switch (plan.job->frequency) {
      case Frequency::kMonthly:
        return month_name(month_of(coverage.center));
      case Frequency::kDaily:
        return day_name(day_of(options_.daily_date == DailyDate::kEnd     ? coverage.end
                               : options_.daily_date == DailyDate::kStart ? coverage.start
                                                                          : coverage.center));
      case Frequency::kSnapshot:
        if (options_.dialect == Dialect::k2026) {
          std::string time = format_time(coverage.center).value_or("");
          std::erase(time, ':');
          return time;
        }
        return plan.tag == "mon_snap" ? month_name(month_of(coverage.center))
                                      : day_name(day_of(coverage.center));
      case Frequency::kTimeInvariant:
        break;
    }
    return "";
  }

  void add_variables(const PlannedJob& plan, std::span<const PlannedStep> steps, Task& task) const {
    for (const GroupingField& field : plan.grouping->fields) {
      TaskVariable variable{field.name, {}};
      for (const PlannedStep& step : steps) {
        std::vector<MdsPair> pairs;
        for (const std::string& source : field.sources) {
          const std::string stem = stem_of(source, plan.tag);
          const SourceFiles* files = files_of(index_.files(stem), step.step);
          if (files == nullptr || !files->data || !files->meta) break;
          pairs.push_back({index_.path(stem, *files, false), index_.path(stem, *files, true)});
        }
        if (pairs.size() == field.sources.size())
          variable.components.insert(variable.components.end(), pairs.begin(), pairs.end());
      }
      if (!variable.components.empty()) task.variables.push_back(std::move(variable));
    }
  }

  Result<DynamicMetadata> metadata(const PlannedJob& plan,
                                   std::span<const PlannedStep> steps) const {
    const Grouping& grouping = *plan.grouping;
    DynamicMetadata metadata;
    metadata.name = grouping.name;
    metadata.dimension = grouping.dimension;
    metadata.comment = grouping.comment;
    metadata.field_components = grouping.field_components;
    metadata.field_orientations = grouping.field_orientations;
    const Frequency frequency = plan.job->frequency;
    const bool in_file = !plan.job->input_netcdf.empty();
    if (frequency != Frequency::kTimeInvariant && !in_file) {
      UPWELL_TRY(metadata.start, format_time(steps.front().coverage.start));
      UPWELL_TRY(metadata.end, format_time(steps.back().coverage.end));
      if (plan.job->type != ProductType::k1D) {
        UPWELL_TRY(metadata.center, format_time(steps.front().coverage.center));
      }
    }
    if (frequency != Frequency::kTimeInvariant) {
      metadata.time_long_name =
          frequency == Frequency::kSnapshot ? "snapshot time" : "center time of averaging period";
    }
    const char* kind = "monthly-averaged";
    metadata.duration = "P1M";
    if (frequency == Frequency::kDaily) {
      kind = "daily-averaged";
      metadata.duration = "P1D";
    } else if (frequency == Frequency::kSnapshot) {
      kind = "instantaneous";
      metadata.duration = "PT0S";
    } else if (frequency == Frequency::kTimeInvariant) {
      kind = "time-invariant";
      metadata.duration = "TIME-INVARIANT";
    }
    metadata.resolution = metadata.duration;
    metadata.summary = collapsed(fmt::format("This dataset contains {} {} {}", kind, grouping.name,
                                             settings_.tails.at(plan.job->type)));
    return metadata;
  }

  const TaskListOptions& options_;
  const Settings& settings_;
  const SourceIndex& index_;
};

/// What each task of a plan is made of: a step, or of a series all of them.
std::vector<std::span<const PlannedStep>> parts_of(const PlannedJob& plan) {
  const std::span<const PlannedStep> all(plan.steps);
  std::vector<std::span<const PlannedStep>> parts;
  const size_t each = plan.job->type == ProductType::k1D ? all.size() : 1;
  for (size_t first = 0; first < all.size(); first += each)
    parts.push_back(all.subspan(first, each));
  return parts;
}

/// Two tasks must not write one granule.
Result<> check_unique(const std::vector<PlannedJob>& plans, const TaskMaker& maker,
                      const std::string& jobfile) {
  struct Origin {
    size_t line;
    int64_t step;
  };
  std::unordered_map<std::string, Origin> seen;
  for (const PlannedJob& plan : plans) {
    for (const std::span<const PlannedStep> part : parts_of(plan)) {
      const PlannedStep& step = part.front();
      std::string granule = maker.granule(plan, step);
      auto [other, fresh] = seen.try_emplace(std::move(granule), Origin{plan.job->line, step.step});
      if (fresh) continue;
      std::string message = fmt::format(
          "{}: made twice: of step {} by {}:{} and of step {} by {}:{}", other->first,
          other->second.step, jobfile, other->second.line, step.step, jobfile, plan.job->line);
      if (plan.job->frequency == Frequency::kDaily && other->second.step != step.step)
        message += "; --daily-date start names a day by itself, not by its end";
      return fail(Code::kInvalidData, std::move(message));
    }
  }
  return {};
}

Error missing_error(const TaskListReport& report, const SourceIndex& index) {
  std::string message =
      fmt::format("{} inputs are missing; with --allow-missing tasks go without", report.missing());
  if (index.skipped_by_version > 0)
    message += fmt::format(
        " ({} of the fields' files lie in directories without ecco_version in their path, see "
        "--any-version)",
        index.skipped_by_version);
  size_t named = 0;
  for (const JobReport& job : report.jobs) {
    for (const MissingInput& missing : job.missing) {
      if (++named > kMaxListed) break;
      message += fmt::format("\n  {}:{}: {} {}{}{}: {}", report.jobfile, job.job.line, job.filename,
                             missing.time, missing.variable.empty() ? "" : " ", missing.variable,
                             missing.reason);
    }
  }
  if (report.missing() > kMaxListed)
    message += fmt::format("\n  and {} more (--report names all)", report.missing() - kMaxListed);
  return Error{Code::kNotFound, std::move(message), {}, {}};
}

Error faults_error(const TaskListReport& report) {
  std::string message =
      fmt::format("{} of the model's files are not what they should be", report.faults());
  size_t named = 0;
  for (const JobReport& job : report.jobs)
    for (const std::string& fault : job.faults)
      if (++named <= kMaxListed) message += "\n  " + fault;
  if (named > kMaxListed)
    message += fmt::format("\n  and {} more (--report names all)", named - kMaxListed);
  return Error{Code::kInvalidData, std::move(message), {}, {}};
}

/// A time-invariant job's file.
Result<> check_input(io::Session& session, const Job& job, JobReport& report) {
  if (job.input_netcdf.empty()) return {};
  auto info = session.stat(io::normal_url(job.input_netcdf));
  if (!info && info.error().code != Code::kNotFound) return fail(info.error());
  if (!info) report.missing.push_back({{}, "", "", job.input_netcdf + ": no such file"});
  return {};
}

Result<std::vector<PlannedJob>> plan_jobs(io::Session& session, const std::vector<Job>& jobs,
                                          const Groupings& groupings, const SourceIndex& index,
                                          const Settings& settings, const TaskListOptions& options,
                                          TaskListReport& report) {
  std::vector<PlannedJob> plans;
  for (const Job& job : jobs) {
    const Grouping& grouping = groupings.at(job.type)[static_cast<size_t>(job.grouping)];
    JobReport& own = report.jobs.emplace_back();
    own.job = job;
    own.filename = grouping.filename;
    auto plan = plan_job(job, grouping, index, settings.clock, options, own);
    if (!plan)
      return fail(std::move(plan).error().with(
          fmt::format("{}:{}: {}", options.jobfile, job.line, grouping.filename)));
    UPWELL_CHECK(check_input(session, job, own));
    own.tasks = parts_of(*plan).size();
    report.tasks += own.tasks;
    plans.push_back(std::move(*plan));
  }
  return plans;
}

Result<> make_list(io::Session& session, const TaskListOptions& options,
                   const std::function<Result<>(const Task&)>& write, TaskListReport& report) {
  UPWELL_TRY(const std::string job_text, read_text(session, options.jobfile));
  UPWELL_TRY(const std::vector<Job> jobs, parse_job_file(job_text, options.jobfile));
  UPWELL_TRY(const std::string cfg_text, read_text(session, options.cfg_loc));
  UPWELL_TRY(const Config config, Config::parse(cfg_text, options.cfg_loc));
  UPWELL_TRY(const Settings settings, settings_of(config, jobs));
  std::vector<ProductType> types;
  for (const Job& job : jobs) types.push_back(job.type);
  UPWELL_TRY(const Groupings groupings, read_groupings(session, options.metadata_loc, types));
  UPWELL_CHECK(check_ids(jobs, groupings, options.jobfile));
  const SourceWants wants = wants_of(jobs, groupings, settings.version, options);
  SourceIndex index;
  if (!wants.stems.empty()) {
    UPWELL_TRY(index, list_source(session, options.source_root, wants));
  }
  report.files_listed = index.listed;
  UPWELL_TRY(const std::vector<PlannedJob> plans,
             plan_jobs(session, jobs, groupings, index, settings, options, report));
  if (report.missing() > 0 && !options.allow_missing) return fail(missing_error(report, index));
  if (options.check_meta) {
    UPWELL_CHECK(check_meta(session, index, settings.clock, plans, report.jobs));
    if (report.faults() > 0) return fail(faults_error(report));
  }
  const TaskMaker maker(options, settings, index);
  UPWELL_CHECK(check_unique(plans, maker, options.jobfile));
  for (size_t k = 0; k < plans.size(); ++k) {
    const auto& steps = plans[k].steps;
    if (steps.empty()) continue;
    report.jobs[k].first = maker.granule(plans[k], steps.front());
    report.jobs[k].last = maker.granule(plans[k], steps.back());
    for (const std::span<const PlannedStep> part : parts_of(plans[k])) {
      UPWELL_TRY(const Task task, maker.task(plans[k], part));
      UPWELL_CHECK(write(task));
    }
  }
  return {};
}

nlohmann::ordered_json job_json(const JobReport& job) {
  nlohmann::ordered_json json{{"line", job.job.line},
                              {"grouping", job.job.grouping},
                              {"product_type", to_string(job.job.type)},
                              {"frequency", to_string(job.job.frequency)},
                              {"filename", job.filename},
                              {"tag", job.tag},
                              {"tasks", job.tasks}};
  if (!job.first.empty()) {
    json["first"] = job.first;
    json["last"] = job.last;
  }
  json["missing"] = nlohmann::ordered_json::array();
  for (const MissingInput& missing : job.missing) {
    nlohmann::ordered_json& entry = json["missing"].emplace_back();
    if (missing.step) entry["step"] = *missing.step;
    entry["time"] = missing.time;
    if (!missing.variable.empty()) entry["variable"] = missing.variable;
    entry["reason"] = missing.reason;
  }
  json["faults"] = job.faults;
  json["gaps"] = job.gaps;
  json["notes"] = job.notes;
  return json;
}

}  // namespace

uint64_t TaskListReport::missing() const {
  uint64_t n = 0;
  for (const JobReport& job : jobs) n += job.missing.size();
  return n;
}

uint64_t TaskListReport::faults() const {
  uint64_t n = 0;
  for (const JobReport& job : jobs) n += job.faults.size();
  return n;
}

std::string TaskListReport::to_json() const {
  nlohmann::ordered_json json{
      {"jobfile", jobfile},           {"source", source},
      {"files_listed", files_listed}, {"tasks", error.empty() ? tasks : 0},
      {"missing", missing()},         {"jobs", nlohmann::ordered_json::array()}};
  for (const JobReport& job : jobs) json["jobs"].push_back(job_json(job));
  if (!error.empty()) json["error"] = error;
  return json.dump(2, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n";
}

Result<> make_task_list(io::Session& session, const TaskListOptions& options,
                        const std::function<Result<>(const Task&)>& write, TaskListReport& report) {
  report.jobfile = options.jobfile;
  report.source = options.source_root;
  auto result = make_list(session, options, write, report);
  if (!result) report.error = result.error().to_string();
  return result;
}

}  // namespace upwell::produce
