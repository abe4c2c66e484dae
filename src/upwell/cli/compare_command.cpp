#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <utility>

#include "cli/command.hpp"
#include "cli/print_some.hpp"
#include "io/url.hpp"
#include "refs/compare/compare.hpp"

namespace upwell::cli {
namespace {

struct CompareArguments {
  std::string first, second;
  bool as_json = false, all_attributes = false;
  std::vector<std::string> drop;
  refs::CompareOptions options;
};

constexpr const char* kCompareFooter =
    "Examples:\n"
    "  upwell compare old.nc new.nc                        two granules\n"
    "  upwell compare theirs/ ours/                        all files, by their relative paths\n"
    "  upwell compare theirs/ ours/ --only '*.nc' --ignore history --ignore 'SSH:comment'\n"
    "  upwell compare a.nc b.nc --rtol 1e-6                rounding does not count\n"
    "  upwell compare granule.nc cube.json --ignore-encoding\n"
    "\n"
    "Compared are groups, dimensions, variables, attributes, how values are stored, and the "
    "values.\n"
    "date_created, date_modified, date_metadata_modified, date_issued and uuid may differ, unless\n"
    "--all-attributes. NaN equals NaN, and the fill value of one that of the other, unless "
    "--bitwise.\n"
    "Exit status: 0 the same, 1 different, 65 a part cannot be read, 66 one is not there.";

constexpr size_t kMostShown = 20;

std::string place_text(const refs::ValueDifference::Place& place) {
  const std::string where =
      place.index.empty() ? "the scalar" : fmt::format("[{}]", fmt::join(place.index, ", "));
  return fmt::format("{}{}: {}, {}", where,
                     place.coordinates.empty() ? "" : " (" + place.coordinates + ")", place.first,
                     place.second);
}

void print_difference(const refs::Difference& difference, const char* indent) {
  const std::string path = difference.path.empty() ? "" : difference.path + " ";
  fmt::print("{}{}{}: {}\n", indent, path, difference.kind, difference.message);
  if (!difference.values) return;
  const refs::ValueDifference& values = *difference.values;
  for (const auto& place : values.places) fmt::print("{}    {}\n", indent, place_text(place));
  if (values.places.size() < values.differing) fmt::print("{}    ...\n", indent);
  const auto largest = [&](const char* what,
                           const std::optional<refs::ValueDifference::Place>& place) {
    if (!place) return;
    fmt::print("{}    largest {} difference {:.6g}{}\n", indent, what, place->difference,
               values.differing == 1 ? "" : " at " + place_text(*place));
  };
  largest("absolute", values.largest_absolute);
  largest("relative", values.largest_relative);
}

std::string compared_text(const refs::CompareReport& report) {
  uint64_t variables = 0, bytes = 0, files = 0;
  for (const refs::PairReport& pair : report.pairs) {
    variables += pair.variables;
    bytes += pair.bytes;
    files += pair.as_bytes ? 1 : 0;
  }
  std::string text =
      fmt::format("{} variables of {:.1f} MB", variables, static_cast<double>(bytes) / 1e6);
  if (report.trees) text = fmt::format("{} files, {}", report.pairs.size(), text);
  if (files > 0) text += fmt::format("; {} are no datasets and were compared byte by byte", files);
  return text;
}

/// What differs in many files, once.
void print_counts(const refs::CompareReport& report) {
  std::map<std::string, size_t> files;
  for (const refs::PairReport& pair : report.pairs) {
    std::map<std::string, bool> met;
    for (const refs::Difference& d : pair.differences)
      if (!std::exchange(met[d.path + (d.path.empty() ? "" : " ") + d.kind], true))
        ++files[d.path + (d.path.empty() ? "" : " ") + d.kind];
  }
  std::vector<std::pair<std::string, size_t>> counts(files.begin(), files.end());
  std::stable_sort(counts.begin(), counts.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  fmt::print("in how many files:\n");
  print_some(counts, kMostShown,
             [](const auto& count) { fmt::print("  {:>7} {}\n", count.second, count.first); });
}

void print_trees(const refs::CompareReport& report) {
  const auto print_only = [](const char* which, const std::vector<std::string>& names) {
    if (names.empty()) return;
    fmt::print("only in the {}:\n", which);
    print_some(names, kMostShown, [](const std::string& name) { fmt::print("  {}\n", name); });
  };
  print_only("first", report.only_in_first);
  print_only("second", report.only_in_second);
  std::vector<const refs::PairReport*> different;
  for (const refs::PairReport& pair : report.pairs)
    if (!pair.differences.empty()) different.push_back(&pair);
  if (different.empty()) return;
  fmt::print("different:\n");
  print_some(different, kMostShown, [](const refs::PairReport* pair) {
    fmt::print("  {}\n", pair->name);
    for (size_t i = 0; i < std::min<size_t>(pair->differences.size(), kMostShown); ++i)
      print_difference(pair->differences[i], "    ");
    if (pair->differences.size() > kMostShown)
      fmt::print("    ... ({} in all)\n", pair->differences.size());
  });
  if (different.size() > 1) print_counts(report);
}

void print_compared(const refs::CompareReport& report) {
  fmt::print("{} and {} {}\n", io::shown_url(report.first), io::shown_url(report.second),
             report.same() ? "are the same" : "differ");
  if (report.trees) {
    print_trees(report);
  } else {
    for (const refs::PairReport& pair : report.pairs)
      for (const refs::Difference& difference : pair.differences)
        print_difference(difference, "  ");
  }
  fmt::print("compared: {}\n", compared_text(report));
}

Result<> run_compare(CompareArguments& args, Context& context) {
  refs::CompareOptions& options = args.options;
  if (!args.all_attributes)
    options.ignore.insert(options.ignore.end(), std::begin(refs::kVolatileAttributes),
                          std::end(refs::kVolatileAttributes));
  options.open = context.open_options(args.drop);
  options.open.scan.subchunk_bytes = 0;  // contiguous values are one piece
  options.progress = context.progress_style();
  refs::CompareReport report;
  auto result = refs::compare(context.session(), args.first, args.second, options, report);
  const bool finished = result || result.error().code == Code::kDifferent ||
                        result.error().code == Code::kInvalidData;
  if (!finished || (!result && report.same())) return result;
  if (args.as_json) {
    fmt::print("{}", report.to_json());
  } else if (!context.options().quiet) {
    print_compared(report);
  }
  return result;
}

void add_tolerances(CLI::App* app, refs::CompareOptions& options) {
  const char* group = "Values";
  app->add_option("--tolerance,--atol", options.tolerance,
                  "Numbers are equal whose difference is not larger; also in valid_min, valid_max, "
                  "valid_range and actual_range, which follow from the values")
      ->check(CLI::NonNegativeNumber)
      ->type_name("X")
      ->group(group);
  app->add_option("--rtol", options.relative,
                  "Numbers are equal whose difference, divided by the larger of the two, is not "
                  "larger. With --tolerance: one of both is enough")
      ->check(CLI::NonNegativeNumber)
      ->type_name("R")
      ->group(group);
  app->add_flag("--bitwise", options.bitwise,
                "Every bit counts: NaNs with their payload, -0 is not 0, fill values are values")
      ->group(group);
  app->add_option("--places", options.places, "Elements named of each variable that differs")
      ->check(CLI::Range(size_t{0}, size_t{1000000}))
      ->capture_default_str()
      ->type_name("N")
      ->group(group);
}

}  // namespace

void add_compare_command(Program& program) {
  auto args = std::make_shared<CompareArguments>();
  refs::CompareOptions& options = args->options;
  CLI::App* app =
      program.add("compare", "Say whether two granules, or two trees of them, are the same",
                  kCompareFooter, [args](Context& context) { return run_compare(*args, context); });
  app->add_option("A", args->first,
                  "A granule, a Zarr store, a reference set, raw MITgcm output, or a directory of "
                  "such; a path or a URL")
      ->required();
  app->add_option("B", args->second, "What it is compared with")->required();
  app->add_option("--ignore", options.ignore,
                  "Attributes that may differ: NAME, VARIABLE:NAME, :NAME for global ones; "
                  "patterns. May be repeated")
      ->allow_extra_args(false)
      ->type_name("NAME");
  app->add_flag("--all-attributes", args->all_attributes, "Dates of making and uuid count, too");
  app->add_flag("--ignore-encoding", options.ignore_encoding,
                "How values are stored may differ: chunks, codecs, byte order, fill");
  app->add_flag("--ignore-order", options.ignore_order,
                "Variables, dimensions and attributes may come in another order");
  app->add_option("--drop", args->drop, "Leave these variables out")
      ->delimiter(',')
      ->type_name("NAME,...");
  app->add_option("--only", options.only,
                  "Of directories: files whose relative path or name matches. May be repeated")
      ->allow_extra_args(false)
      ->type_name("PATTERN");
  app->add_flag("--json", args->as_json, "Everything that was found, as JSON");
  add_tolerances(app, options);
  const char* group = "Running";
  app->add_option("-j,--jobs", options.threads, "Threads. Default: one a core")
      ->check(CLI::Range(size_t{1}, size_t{1024}))
      ->type_name("N")
      ->group(group);
  app->add_option("--memory", options.memory, "For values that are compared. Default: 1GB")
      ->transform(binary_size, "")
      ->check(CLI::Validator(check_positive, ""))
      ->type_name("SIZE")
      ->group(group);
}

}  // namespace upwell::cli
