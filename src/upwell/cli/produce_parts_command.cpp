// upwell produce split, upwell produce subset.

#include <fmt/core.h>
#include <fnmatch.h>

#include <CLI/CLI.hpp>
#include <charconv>
#include <filesystem>
#include <memory>
#include <random>
#include <set>

#include "cli/command.hpp"
#include "produce/tasks/split.hpp"
#include "produce/tasks/task.hpp"

namespace upwell::cli {
namespace {

struct SplitArguments {
  std::string input, parts, base;
  bool by_bytes = false;
};

struct SubsetArguments {
  std::string input, output_dir, pattern = "*.json", indices, log_level = "INFO";
  produce::SubsetOptions options;
};

constexpr const char* kSplitFooter =
    "Examples:\n"
    "  upwell produce split tasks.json 4 part             part_001.json to part_004.json, equally "
    "many tasks\n"
    "  upwell produce split tasks.json 4 part --by-bytes  equally many bytes of input\n"
    "  upwell produce split tasks.json month part         part_1992-01.json, part_1992-02.json, "
    "...\n"
    "\n"
    "Tasks keep their order and their text. A number of parts is cut as EDP's split_task_json cuts "
    "it: parts\n"
    "of ceil(tasks / parts), so that the last may have fewer tasks, or none ('[]').";

constexpr const char* kSubsetFooter =
    "Examples:\n"
    "  upwell produce subset tasks.json --output_dir trial --mode first-middle-last\n"
    "  upwell produce subset lists/ --output_dir trial --mode random -n 5 --seed 42\n"
    "\n"
    "The options of edp_subset_tasklists, also under that name. random chooses what Python's "
    "random chooses\n"
    "with the same seed. An index that no task has is an error.";

struct LoadedList {
  SharedBytes bytes;
  std::vector<std::string_view> texts;  ///< views into bytes
};

Result<LoadedList> load_list(io::Session& session, const std::string& place) {
  LoadedList list;
  UPWELL_TRY(list.bytes, session.read_one(io::normal_url(place)));
  UPWELL_TRY(list.texts, produce::task_texts(as_text(list.bytes.span()), place));
  return list;
}

Result<> write_part(io::Session& session, const std::string& place,
                    const std::vector<std::string_view>& texts, const std::vector<size_t>& tasks) {
  UPWELL_TRY(std::unique_ptr<io::ObjectWriter> output, session.create(io::normal_url(place)));
  produce::TaskListWriter list(
      [&](std::string_view text) { return output->write(as_bytes(text)); });
  for (size_t task : tasks) UPWELL_CHECK(list.add(texts[task]));
  UPWELL_CHECK(list.finish());
  return output->commit().transform([](const io::ObjectInfo&) {});
}

Result<> make_directories(const std::string& place) {
  if (place.empty() || io::scheme_of(place) != "file") return {};
  std::error_code error;
  std::filesystem::create_directories(place, error);
  if (error) return fail(Code::kCannotWrite, place + ": " + error.message());
  return {};
}

Result<produce::Task> task_of(const LoadedList& list, size_t k, const std::string& place) {
  auto task = produce::parse_task(list.texts[k]);
  if (!task) return fail(std::move(task).error().with(fmt::format("{}: task {}", place, k)));
  return task;
}

/// Bytes of each task's .data files; a file is asked about once.
Result<std::vector<uint64_t>> bytes_of(io::Session& session, const LoadedList& list,
                                       const std::string& place) {
  constexpr size_t kBatch = 1000;  // tasks
  std::vector<uint64_t> bytes;
  for (size_t begin = 0; begin < list.texts.size(); begin += kBatch) {
    std::vector<std::string> urls;
    std::vector<size_t> owner;
    const size_t end = std::min(begin + kBatch, list.texts.size());
    for (size_t k = begin; k < end; ++k) {
      UPWELL_TRY(const produce::Task task, task_of(list, k, place));
      std::set<std::string> files;
      for (const produce::TaskVariable& variable : task.variables)
        for (const produce::MdsPair& pair : variable.components) files.insert(pair.data);
      if (task.input_netcdf) files.insert(*task.input_netcdf);
      for (const std::string& file : files) {
        urls.push_back(io::normal_url(file));
        owner.push_back(k);
      }
    }
    bytes.resize(end);
    const auto infos = session.stat_many(urls);
    for (size_t i = 0; i < infos.size(); ++i) {
      if (!infos[i]) return fail(infos[i].error());
      bytes[owner[i]] += infos[i]->size;
    }
  }
  return bytes;
}

Result<std::vector<std::string>> times_of(const LoadedList& list, const std::string& place) {
  std::vector<std::string> times;
  for (size_t k = 0; k < list.texts.size(); ++k) {
    UPWELL_TRY(const produce::Task task, task_of(list, k, place));
    times.push_back(task.metadata.center.value_or(""));
  }
  return times;
}

Result<std::vector<produce::TaskPart>> parts_of(const SplitArguments& args, io::Session& session,
                                                const LoadedList& list) {
  const size_t characters = args.parts == "year"    ? 4
                            : args.parts == "month" ? 7
                            : args.parts == "day"   ? 10
                                                    : 0;
  if (characters > 0) {
    if (args.by_bytes) return fail(Code::kInvalidArgument, "--by-bytes wants a number of parts");
    UPWELL_TRY(const std::vector<std::string> times, times_of(list, args.input));
    return produce::split_by_time(times, characters);
  }
  size_t count = 0;
  const char* end = args.parts.data() + args.parts.size();
  if (auto [stop, error] = std::from_chars(args.parts.data(), end, count);
      error != std::errc() || stop != end || count == 0)
    return fail(Code::kInvalidArgument,
                "PARTS is a number from 1, or year, month or day, not '" + args.parts + "'");
  if (!args.by_bytes) return produce::split_by_count(list.texts.size(), count);
  UPWELL_TRY(const std::vector<uint64_t> bytes, bytes_of(session, list, args.input));
  return produce::split_by_weight(bytes, count);
}

Result<> run_split(const SplitArguments& args, Context& context) {
  io::Session& session = context.session();
  UPWELL_TRY(const LoadedList list, load_list(session, args.input));
  UPWELL_TRY(const std::vector<produce::TaskPart> parts, parts_of(args, session, list));
  if (const size_t slash = args.base.rfind('/'); slash != std::string::npos)
    UPWELL_CHECK(make_directories(args.base.substr(0, slash)));
  for (const produce::TaskPart& part : parts) {
    const std::string place = args.base + "_" + part.name + ".json";
    UPWELL_CHECK(write_part(session, place, list.texts, part.tasks));
    if (!context.options().quiet) fmt::print(stderr, "{}: {} tasks\n", place, part.tasks.size());
  }
  return {};
}

/// The lists that INPUT means, by name, and the directory before it.
Result<std::vector<std::string>> inputs_of(const SubsetArguments& args, io::Session& session) {
  std::error_code ignored;
  if (!args.input.ends_with('/') && !std::filesystem::is_directory(args.input, ignored))
    return std::vector<std::string>{args.input};
  const std::string directory = args.input + (args.input.ends_with('/') ? "" : "/");
  UPWELL_TRY(const std::vector<std::string> names,
             session.list_directory(io::normal_url(directory)));
  std::vector<std::string> inputs;
  for (const std::string& name : names)
    if (::fnmatch(args.pattern.c_str(), name.c_str(), FNM_PERIOD) == 0 && !name.ends_with('/'))
      inputs.push_back(directory + name);
  if (inputs.empty())
    return fail(Code::kNotFound, directory + ": no file named as " + args.pattern);
  return inputs;
}

Result<> read_indices(SubsetArguments& args) {
  std::string_view rest = args.indices;
  if (args.options.mode == "indices" && rest.empty())
    return fail(Code::kInvalidArgument, "--mode indices wants --indices 0,5,10");
  while (!rest.empty()) {
    const size_t comma = rest.find(',');
    std::string_view part = rest.substr(0, comma);
    while (part.starts_with(' ')) part.remove_prefix(1);
    while (part.ends_with(' ')) part.remove_suffix(1);
    size_t index = 0;
    auto [stop, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    if (error != std::errc() || stop != part.data() + part.size())
      return fail(Code::kInvalidArgument, "--indices: '" + std::string(part) + "' is no index");
    args.options.indices.push_back(index);
    if (comma == std::string_view::npos) break;
    rest.remove_prefix(comma + 1);
  }
  return {};
}

Result<> run_subset(SubsetArguments& args, Context& context) {
  io::Session& session = context.session();
  UPWELL_CHECK(read_indices(args));
  UPWELL_TRY(const std::vector<std::string> inputs, inputs_of(args, session));
  const bool quiet = context.options().quiet || args.log_level == "WARNING" ||
                     args.log_level == "ERROR" || args.log_level == "CRITICAL";
  if (args.options.mode == "random" && !args.options.seed) {
    args.options.seed = static_cast<int64_t>(std::random_device()());
    if (!quiet) fmt::print(stderr, "seed: {}\n", *args.options.seed);
  }
  UPWELL_CHECK(make_directories(args.output_dir));
  for (const std::string& input : inputs) {
    UPWELL_TRY(const LoadedList list, load_list(session, input));
    auto chosen = produce::choose_subset(list.texts.size(), args.options);
    if (!chosen) return fail(std::move(chosen).error().with(input));
    const std::string place = args.output_dir + (args.output_dir.ends_with('/') ? "" : "/") +
                              input.substr(input.rfind('/') + 1);
    if (io::normal_url(place) == io::normal_url(input))
      return fail(Code::kAlreadyExists, place + ": would replace the list that is read");
    UPWELL_CHECK(write_part(session, place, list.texts, *chosen));
    if (!quiet)
      fmt::print(stderr, "{}: {} of {} tasks\n", place, chosen->size(), list.texts.size());
  }
  return {};
}

}  // namespace

void add_produce_split_command(Program& program, CLI::App* group) {
  auto args = std::make_shared<SplitArguments>();
  CLI::App* app = program.add(
      "split", "Cut a task list into parts", kSplitFooter,
      [args](Context& context) { return run_split(*args, context); }, group);
  app->add_option("INPUT", args->input, "Task list: a path or URL")->required();
  app->add_option("PARTS", args->parts, "How many parts; or year, month or day: a part for each")
      ->required();
  app->add_option("BASE", args->base, "Parts are BASE_001.json, ...; or BASE_1992-01.json")
      ->required();
  app->add_flag("--by-bytes", args->by_bytes,
                "Parts of about the same size of input files, each asked for its size");
}

void add_produce_subset_command(Program& program, CLI::App* group) {
  auto args = std::make_shared<SubsetArguments>();
  CLI::App* app = program.add(
      "subset", "Choose some tasks of a list", kSubsetFooter,
      [args](Context& context) { return run_subset(*args, context); }, group);
  produce::SubsetOptions& options = args->options;
  app->add_option("INPUT", args->input, "Task list, or a directory of them")->required();
  app->add_option("--output_dir", args->output_dir, "Where lists of the same names are written")
      ->required()
      ->type_name("DIR");
  app->add_option("--mode", options.mode, "Which tasks")
      ->required()
      ->check(CLI::IsMember({"first", "last", "first-middle-last", "random", "every-nth", "spread",
                             "bookends", "indices", "percentage", "alternating"}));
  app->add_option("-n,--count", options.count,
                  "How many: of first, last, random, spread, and at each end of bookends")
      ->capture_default_str();
  app->add_option("--step", options.step, "Of every-nth")->capture_default_str();
  app->add_option("--indices", args->indices, "Of indices: 0,5,10")->type_name("LIST");
  app->add_option("--percent", options.percent, "Of percentage: that share from the beginning")
      ->check(CLI::Range(0.0, 100.0));
  app->add_option("--pattern", args->pattern, "Which files of a directory")->capture_default_str();
  app->add_option("--seed", options.seed, "Of random. Default: another each time, and printed");
  app->add_option("-l,--log", args->log_level, "WARNING: say nothing of what was written")
      ->check(CLI::IsMember({"DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"}))
      ->capture_default_str();
}

}  // namespace upwell::cli
