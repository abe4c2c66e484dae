#include "produce/granules/run.hpp"

#include <fmt/chrono.h>
#include <fmt/format.h>

#include <chrono>
#include <ctime>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/machine.hpp"
#include "base/parallel.hpp"
#include "io/digest.hpp"
#include "produce/granules/content.hpp"
#include "produce/granules/memory_gate.hpp"
#include "produce/granules/output.hpp"

namespace upwell::produce {

using Json = nlohmann::ordered_json;

namespace {

using Clock = std::chrono::steady_clock;
using namespace std::chrono_literals;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string now_text() {
  const std::time_t now = std::chrono::system_clock::to_time_t(std::chrono::system_clock::now());
  return fmt::format("{:%Y-%m-%dT%H:%M:%S}", fmt::gmtime(now));
}

/// A task of the list, or why there is none.
struct Listed {
  std::optional<Task> task;
  std::string text;
  std::string name;  ///< the granule, or "task 3"
  std::optional<Error> error;
  std::set<std::string> keywords;
};

Result<std::vector<Listed>> read_list(io::Session& session, const std::string& tasklist) {
  UPWELL_TRY(SharedBytes document, session.read_one(io::normal_url(tasklist)));
  UPWELL_TRY(std::vector<std::string_view> texts, task_texts(as_text(document.span()), tasklist));
  std::vector<Listed> list;
  std::map<std::string, size_t> granules;
  for (size_t i = 0; i < texts.size(); ++i) {
    Listed listed{{}, std::string(texts[i]), fmt::format("task {}", i + 1), {}, {}};
    auto task = parse_task(texts[i]);
    if (!task) {
      listed.error = std::move(task).error().with(fmt::format("{}: task {}", tasklist, i + 1));
    } else {
      listed.name = task->granule;
      listed.task = std::move(*task);
      const auto [first, is_new] = granules.emplace(io::normal_url(listed.name), i);
      if (!is_new) {
        listed.error = Error{Code::kInvalidData,
                             fmt::format("{}: tasks {} and {} write the same granule", tasklist,
                                         first->second + 1, i + 1),
                             {},
                             {}};
      }
    }
    list.push_back(std::move(listed));
  }
  return list;
}

/// One run.
class Runner {
 public:
  Runner(io::Session& session, const RunOptions& options)
      : session_(session),
        options_(options),
        resources_(session, most_memory(options)),
        encoder_(options.compression),
        gate_(memory_budget(options)),
        most_(most_memory(options)),
        created_(!options.created.empty() ? options.created
                 : options.reproducible   ? "1970-01-01T00:00:00"
                                          : now_text()) {}

  Result<RunReport> run() {
    const Clock::time_point start = Clock::now();
    UPWELL_TRY(list_, read_list(session_, options_.tasklist));
    gather_keywords();
    UPWELL_TRY(const std::unique_ptr<ReferenceKeeper> references, keep_references());
    RunReport report;
    report.tasks.resize(list_.size());
    Progress progress("making", "granules", list_.size(), options_.progress);
    const size_t jobs = options_.jobs > 0 ? options_.jobs : core_count();
    UPWELL_CHECK(blocking_for(list_.size(), jobs, [&](size_t i) -> Result<> {
      report.tasks[i] = run_task(list_[i]);
      progress.advance();
      const Outcome outcome = report.tasks[i].outcome;
      if (references) references->ended(i, outcome == Outcome::kMade || outcome == Outcome::kKept);
      return {};
    }));
    if (references) report.references = references->finish();
    report.seconds = seconds_since(start);
    return report;
  }

 private:
  static uint64_t memory_budget(const RunOptions& options) {
    if (options.memory > 0) return options.memory;
    return std::min<uint64_t>(uint64_t{1} << 30, physical_memory() / 2);
  }

  /// Of one granule, or of the files of a grid in an archive.
  static uint64_t most_memory(const RunOptions& options) {
    return options.memory > 0 ? options.memory : physical_memory() / 2;
  }

  /// EDP keeps the keywords of all granules before: its list of them is a default argument.
  void gather_keywords() {
    std::set<std::string> before;
    for (Listed& listed : list_) {
      if (!listed.task) continue;
      auto own = keywords_of(*listed.task, resources_);
      if (!own) continue;  // what is wrong comes up when the granule is made
      listed.keywords = *own;
      if (options_.fix_keywords) continue;
      before.insert(own->begin(), own->end());
      listed.keywords = before;
    }
  }

  /// Null where none are asked for. That they make no sense is known before hours of work.
  Result<std::unique_ptr<ReferenceKeeper>> keep_references() const {
    if (options_.references.output.empty()) return std::unique_ptr<ReferenceKeeper>();
    std::vector<std::string> granules;
    for (const Listed& listed : list_)
      granules.push_back(listed.task && !listed.error ? listed.task->granule : "");
    UPWELL_TRY(std::unique_ptr<ReferenceKeeper> keeper,
               ReferenceKeeper::make(session_, options_.references, granules));
    if (options_.dry_run) keeper.reset();
    return keeper;
  }

  TaskResult run_task(const Listed& listed) {
    TaskResult result;
    result.granule = listed.name;
    const Clock::time_point start = Clock::now();
    if (listed.error) {
      result.error = listed.error;
    } else {
      attempt(listed, result);
    }
    if (result.error) result.outcome = Outcome::kFailed;
    result.seconds = seconds_since(start);
    return result;
  }

  void attempt(const Listed& listed, TaskResult& result) {
    for (result.attempts = 1;; ++result.attempts) {
      auto done = make(listed, result);
      result.error.reset();
      if (done) return;
      result.error = std::move(done).error();
      if (!may_pass(result.error->code) || result.attempts >= options_.attempts) return;
      std::this_thread::sleep_for(std::min(0.25s * (1 << std::min(result.attempts, 6)), 10.0s));
    }
  }

  Result<> make(const Listed& listed, TaskResult& result) {
    const Task& task = *listed.task;
    UPWELL_TRY(std::string cfg, config_location(task));
    UPWELL_TRY(std::shared_ptr<const Config> config, resources_.config(cfg));
    const GranuleOptions options = granule_options(task);
    UPWELL_TRY(std::string identity, identity_of(listed, *config, options));
    const std::string target = io::normal_url(task.granule);
    if (options_.resume && keep(target, identity, result)) return {};
    if (options_.dry_run) return plan(listed, *config, options, result);
    UPWELL_TRY(const uint64_t memory, memory_of(task));
    const auto hold = gate_.take(memory);
    GranuleOptions full = options;
    if (options_.reproducible) full.identity = identity;
    UPWELL_TRY(MadeGranule made,
               make_granule(task, *config, listed.keywords, resources_, encoder_, full));
    result.notes = made.notes;
    for (const FileRecord& input : made.inputs) result.input_bytes += input.size;
    UPWELL_TRY(FileRecord output, write_granule(session_, target, made.file, options_.checksums));
    result.output_bytes = output.size;
    result.sha256 = output.sha256;
    result.outcome = Outcome::kMade;
    return write_receipt(session_, {identity, std::move(output), std::move(made.inputs)});
  }

  Result<std::string> config_location(const Task& task) const {
    if (!options_.cfgfile.empty()) return options_.cfgfile;
    if (task.cfg_loc) return *task.cfg_loc;
    const std::string usual = "./product_generation_config.yaml";
    if (session_.stat(io::normal_url(usual))) return usual;
    return fail(Code::kInvalidArgument, "the task names no configuration (ecco_cfg_loc), and " +
                                            usual + " is not there; give one with --cfgfile");
  }

  GranuleOptions granule_options(const Task& task) const {
    GranuleOptions options;
    options.profile = options_.profile.value_or(task.cfg_loc ? Profile::k2026 : Profile::kV4r4);
    options.not_finite = options_.not_finite;
    options.fix_snapshots = options_.fix_snapshots;
    options.created = created_;
    return options;
  }

  /// What tells granules of other versions apart: to be counted up when values or headers change.
  static constexpr int kProduction = 2;

  /// All that a granule is made of, but for its raw inputs and the time.
  Result<std::string> identity_of(const Listed& listed, const Config& config,
                                  const GranuleOptions& options) {
    const Task& task = *listed.task;
    UPWELL_TRY(std::shared_ptr<const Metadata> metadata,
               resources_.metadata(task.metadata_loc.value_or("")));
    UPWELL_TRY(const std::string grid, grid_digest(task));
    UPWELL_TRY(SharedBytes text, session_.read_one(io::normal_url(config.name())));
    UPWELL_TRY(const std::string dataset, dataset_rows(task, config));
    const std::string all = fmt::format(
        "production {}\n{}\n{}\n{}\n{}\n{}\nprofile {} not finite {} snapshots {} compression "
        "{}\n{}\n{}",
        kProduction, listed.text, metadata->digest(), dataset, grid,
        io::hex_digest(io::DigestKind::kSha256, text.span()), static_cast<int>(options.profile),
        static_cast<int>(options.not_finite), options.fix_snapshots,
        static_cast<int>(options_.compression), fmt::join(listed.keywords, ","), options_.created);
    return io::hex_digest(io::DigestKind::kSha256, as_bytes(all));
  }

  /// Rows of the PO.DAAC table that may be the granule's.
  Result<std::string> dataset_rows(const Task& task, const Config& config) {
    if (config.find("podaac_metadata_filename") == nullptr) return std::string();
    UPWELL_TRY(GranuleName name, parse_granule_name(task.granule));
    UPWELL_TRY(const std::string file, config.text("podaac_metadata_filename"));
    UPWELL_TRY(const std::shared_ptr<const std::vector<PodaacRow>> rows,
               resources_.podaac(task.metadata_loc.value_or(""), file));
    std::string text;
    const auto add = [&] {
      for (const PodaacRow* row : matching_rows(*rows, name))
        text += fmt::format("{}\t{}\t{}\t{}\n", row->file_name, row->long_name, row->short_name,
                            row->persistent_id);
    };
    add();
    if (!name.is_snapshot()) return text;
    name.tag = "snap";  // see --fix snapshots
    add();
    return text;
  }

  /// Which variables lie where, and latitudes, longitudes and depths of lat-lon granules.
  Result<std::string> axes_digest(const Task& task, const GranuleName& name) {
    const std::string grid = task.grid_loc.value_or("");
    std::string text;
    const auto diagnostics = resources_.diagnostics(grid);
    if (!diagnostics && diagnostics.error().code != Code::kNotFound)
      return fail(diagnostics.error());
    if (diagnostics) {
      for (const auto& [variable, where] : **diagnostics)
        text += fmt::format("{} {} {}\n", variable, static_cast<int>(where.point),
                            static_cast<int>(where.vertical));
    }
    if (name.grid == GridType::kLatLon) {
      UPWELL_TRY(const std::shared_ptr<const Frame> frame,
                 resources_.latlon_frame(grid, task.mapping_factors_loc.value_or(""),
                                         task.metadata_loc.value_or(""),
                                         task.metadata.dimension == "3D", TimeAxis::kOne));
      for (const format::netcdf4::Variable& variable : frame->before)
        text += io::hex_digest(io::DigestKind::kSha256, variable.data().data);
    }
    return text;
  }

  /// Of the grid, and of the factors of lat-lon granules. Series may do without.
  Result<std::string> grid_digest(const Task& task) {
    UPWELL_TRY(const GranuleName name, parse_granule_name(task.granule));
    std::string factors;
    if (name.grid == GridType::kLatLon) {
      UPWELL_TRY(const std::shared_ptr<const std::string> digest,
                 resources_.factors_digest(task.mapping_factors_loc.value_or("")));
      factors = "\n" + *digest;
    }
    if (task.metadata.dimension == "1D" && !task.grid_loc) return std::string();
    auto grid = resources_.native_grid(task.grid_loc.value_or(""));
    if (grid && task.metadata.dimension == "1D") return (*grid)->digest;
    if (grid) {
      UPWELL_TRY(const std::string axes, axes_digest(task, name));
      return (*grid)->digest + factors + axes;
    }
    if (task.metadata.dimension == "1D" && grid.error().code == Code::kNotFound)
      return std::string();
    return fail(std::move(grid).error());
  }

  bool keep(const std::string& target, const std::string& identity, TaskResult& result) {
    const std::optional<Receipt> receipt = find_receipt(session_, target);
    if (!receipt || receipt->made_from != identity || !still_holds(session_, *receipt))
      return false;
    if (!keep_checksums(session_, receipt->output, options_.checksums)) return false;
    result.outcome = Outcome::kKept;
    result.output_bytes = receipt->output.size;
    result.sha256 = receipt->output.sha256;
    return true;
  }

  /// About what making the granule takes at most. kResourceExhausted: more than it may.
  Result<uint64_t> memory_of(const Task& task) {
    constexpr uint64_t kEncoded = sizeof(double);  // of a value
    UPWELL_TRY(const uint64_t memory,
               task.metadata.dimension == "1D" ? memory_of_series(task, resources_)
               : task.input_netcdf ? memory_of_netcdf(*task.input_netcdf, session_, kEncoded)
                                   : memory_of_fields(task));
    if (memory <= most_) return memory;
    const auto megabytes = [](uint64_t bytes) { return (bytes + (1 << 20) - 1) >> 20; };
    return fail(Code::kResourceExhausted,
                fmt::format("{}the granule needs about {} MB of memory, and {} {} MB",
                            task.input_netcdf ? *task.input_netcdf + ": " : "", megabytes(memory),
                            options_.memory > 0 ? "--memory is" : "half of this machine's is",
                            most_ >> 20));
  }

  /// A raw field and its tiles (of a vector, two and what becomes of them), the values of one
  /// variable, and what is encoded of all.
  Result<uint64_t> memory_of_fields(const Task& task) {
    UPWELL_TRY(std::shared_ptr<const ModelGrid> grid,
               resources_.native_grid(task.grid_loc.value_or("")));
    const uint64_t levels = task.metadata.dimension == "3D" ? grid->levels : 1;
    uint64_t cells = level_values(grid->n);
    UPWELL_TRY(GranuleName name, parse_granule_name(task.granule));
    if (name.grid == GridType::kLatLon) {
      UPWELL_TRY(std::shared_ptr<const Mapper> mapper,
                 resources_.mapper(task.mapping_factors_loc.value_or("")));
      cells = mapper->factors().cells();
    }
    const uint64_t field = levels * level_values(grid->n) * sizeof(float);
    const uint64_t values = levels * cells * sizeof(float);
    const bool vector = std::any_of(task.variables.begin(), task.variables.end(),
                                    [](const TaskVariable& v) { return v.components.size() > 1; });
    return (vector ? 6 : 2) * field + values + task.variables.size() * values * 6 / 10;
  }

  /// How large granules of one kind are, and how long one takes.
  struct Sample {
    uint64_t bytes = 0;
    double seconds = 0;
  };

  /// Granules with the same variables on the same grid are alike: the first is made, but not
  /// written.
  Result<> plan(const Listed& listed, const Config& config, const GranuleOptions& options,
                TaskResult& result) {
    const Task& task = *listed.task;
    UPWELL_TRY(GranuleName name, parse_granule_name(task.granule));
    std::string kind = fmt::format("{} {}", static_cast<int>(name.grid), task.metadata.dimension);
    if (task.input_netcdf) {
      kind += " " + *task.input_netcdf;
      UPWELL_TRY(io::ObjectInfo info, session_.stat(io::normal_url(*task.input_netcdf)));
      result.input_bytes += info.size;
    }
    for (const TaskVariable& variable : task.variables) {
      kind += " " + variable.name;
      for (const MdsPair& pair : variable.components) {
        for (const std::string& file : {pair.data, pair.meta}) {
          UPWELL_TRY(io::ObjectInfo info, session_.stat(io::normal_url(file)));
          result.input_bytes += info.size;
        }
      }
    }
    UPWELL_TRY(std::shared_ptr<const Sample> sample, samples_.get(kind, [&]() -> Result<Sample> {
      UPWELL_TRY(const uint64_t memory, memory_of(task));
      const auto hold = gate_.take(memory);
      const Clock::time_point start = Clock::now();
      UPWELL_TRY(MadeGranule made,
                 make_granule(task, config, listed.keywords, resources_, encoder_, options));
      return Sample{file_size(made.file), seconds_since(start)};
    }));
    result.output_bytes = sample->bytes;
    result.expected_seconds = sample->seconds;
    result.outcome = Outcome::kPlanned;
    return {};
  }

  /// About: with what attributes and the structures of HDF5 take.
  static uint64_t file_size(const format::netcdf4::File& file) {
    uint64_t bytes = 48 << 10;
    for (const format::netcdf4::Variable& variable : file.variables) {
      bytes += variable.data().data.size();
      if (!variable.encoded) continue;
      for (const SharedBytes& chunk : variable.encoded->stored) bytes += chunk.size();
    }
    return bytes;
  }

  io::Session& session_;
  const RunOptions& options_;
  Resources resources_;
  ChunkEncoder encoder_;
  MemoryGate gate_;
  uint64_t most_;  ///< that one granule may take
  std::string created_;
  std::vector<Listed> list_;
  Shared<Sample> samples_;
};

const char* text_of(Outcome outcome) {
  switch (outcome) {
    case Outcome::kMade:
      return "made";
    case Outcome::kKept:
      return "kept";
    case Outcome::kPlanned:
      return "planned";
    default:
      return "failed";
  }
}

Json error_json(const Error& error) {
  return {{"code", to_string(error.code)}, {"message", error.to_string()}};
}

}  // namespace

double RunReport::expected_seconds() const {
  double sum = 0;
  for (const TaskResult& task : tasks) sum += task.expected_seconds;
  return sum;
}

size_t RunReport::count(Outcome outcome) const {
  size_t n = 0;
  for (const TaskResult& task : tasks) n += task.outcome == outcome ? 1 : 0;
  return n;
}

std::string RunReport::to_json() const {
  Json json{{"tasks", tasks.size()},
            {"made", count(Outcome::kMade)},
            {"kept", count(Outcome::kKept)},
            {"planned", count(Outcome::kPlanned)},
            {"failed", count(Outcome::kFailed)},
            {"seconds", seconds},
            {"granules", Json::array()}};
  for (const TaskResult& task : tasks) {
    Json one{{"granule", task.granule},
             {"outcome", text_of(task.outcome)},
             {"seconds", task.seconds},
             {"input_bytes", task.input_bytes},
             {"output_bytes", task.output_bytes}};
    if (task.expected_seconds > 0) one["expected_seconds"] = task.expected_seconds;
    if (!task.sha256.empty()) one["sha256"] = task.sha256;
    if (task.attempts > 1) one["attempts"] = task.attempts;
    if (!task.notes.empty()) one["notes"] = task.notes;
    if (task.error) one["error"] = error_json(*task.error);
    json["granules"].push_back(std::move(one));
  }
  for (const ReferenceSetResult& set : references) {
    Json one{{"output", set.output},     {"granules", set.granules}, {"added", set.added},
             {"replaced", set.replaced}, {"updates", set.updates},   {"seconds", set.seconds}};
    if (!set.warnings.empty()) one["warnings"] = set.warnings;
    if (set.error) one["error"] = error_json(*set.error);
    json["references"].push_back(std::move(one));
  }
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<RunReport> run_tasks(io::Session& session, const RunOptions& options) {
  return Runner(session, options).run();
}

}  // namespace upwell::produce
