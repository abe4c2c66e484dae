#include "cli/combine_options.hpp"

#include <fmt/core.h>

#include <CLI/CLI.hpp>
#include <filesystem>

#include "base/files.hpp"
#include "io/url.hpp"

namespace upwell::cli {

void add_combine_options(CLI::App* app, CombineArguments& args, refs::VirtualizeOptions& options) {
  app->add_option("--on-drift", args.on_drift,
                  "When a granule does not fit: refuse all, skip that granule, or keep the "
                  "difference (NAME.upwell only)")
      ->check(CLI::IsMember({"refuse", "skip", "keep"}))
      ->capture_default_str();
  app->add_option("--check", args.check,
                  "How variables without the concat dimension are compared: by their values, or by "
                  "their metadata only")
      ->check(CLI::IsMember({"values", "metadata"}))
      ->capture_default_str();
  app->add_option("--url-prefix", args.url_prefix,
                  "Write NEW for granules whose URL begins with OLD")
      ->type_name("OLD=NEW");
  app->add_option("--report", args.report, "Write what was found as JSON")->type_name("R.json");
  app->add_option("--jobs", options.threads, "Granules scanned at once")
      ->check(CLI::Range(size_t{1}, size_t{1024}))
      ->type_name("N");
}

namespace {

/// Before hours of work: whether the report can be written at their end.
Result<> check_report(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error))
    return fail(Code::kCannotWrite, "--report " + path + ": is a directory");
  auto file = AtomicFile::create(path);  // leaves nothing
  if (!file) return fail(std::move(file).error().with("--report"));
  return {};
}

}  // namespace

Result<> apply_combine_options(const CombineArguments& args, const Context& context,
                               refs::VirtualizeOptions& options) {
  for (const std::string& pair : args.url_prefix) {
    const size_t equal = pair.find('=');
    if (equal == std::string::npos || equal == 0)
      return fail(Code::kInvalidArgument, "--url-prefix wants OLD=NEW, not '" + pair + "'");
    options.output.url_prefix.emplace_back(pair.substr(0, equal), pair.substr(equal + 1));
  }
  if (!args.report.empty()) UPWELL_CHECK(check_report(args.report));
  options.combine.skip_offenders = args.on_drift == "skip";
  options.combine.keep_drift = args.on_drift == "keep";
  options.combine.check_values = args.check == "values";
  options.progress = context.progress_style();
  options.sidecar = context.open_options().sidecar;
  options.mds = context.options().mds;
  return {};
}

void print_kept(const refs::CombineReport& report) {
  for (const refs::DriftReport& kept : report.kept)
    fmt::print(stderr, "kept: {}: {} differs in {} granule{}: {} has {}\n", kept.path, kept.kind,
               kept.granules, kept.granules == 1 ? "" : "s", io::shown_url(kept.granule),
               kept.message);
}

Result<> with_report(const CombineArguments& args, const std::function<std::string()>& json,
                     Result<> outcome) {
  if (args.report.empty()) return outcome;
  const std::string text = json();
  auto written = write_file_atomically(args.report, as_bytes(text));
  if (!written && outcome) return written;
  if (!written) fmt::print(stderr, "warning: {}\n", written.error().to_string());
  return outcome;
}

}  // namespace upwell::cli
