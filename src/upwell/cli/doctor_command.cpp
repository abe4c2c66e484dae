#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <memory>

#include "cli/command.hpp"
#include "cli/print_some.hpp"
#include "io/url.hpp"
#include "refs/doctor.hpp"

namespace upwell::cli {
namespace {

constexpr const char* kDoctorFooter =
    "Examples:\n"
    "  upwell doctor granule.nc\n"
    "  upwell doctor https://host/granule.h5\n"
    "  upwell doctor store.zarr --json | jq .advice\n"
    "\n"
    "The granule is scanned as if it were far away, by the reader that does it, and what that\n"
    "asks for is counted; reads of the largest variables are planned, not done. Times are those\n"
    "of a line of 30 ms and 50 MB/s. Without advice there is nothing worth repacking.";

constexpr size_t kTableLines = 40;

std::string size_text(uint64_t bytes) {
  if (bytes < 1000) return fmt::format("{} B", bytes);
  if (bytes < 1'000'000) return fmt::format("{:.3g} kB", static_cast<double>(bytes) / 1e3);
  if (bytes < 1'000'000'000) return fmt::format("{:.3g} MB", static_cast<double>(bytes) / 1e6);
  return fmt::format("{:.4g} GB", static_cast<double>(bytes) / 1e9);
}

std::string cost_text(const refs::LineCost& cost) {
  return fmt::format("{} requests, {}, {:.2f} s", cost.requests, size_text(cost.bytes),
                     cost.seconds);
}

void print_metadata(const refs::DoctorReport& report) {
  if (report.metadata) {
    const refs::MetadataSpread& m = *report.metadata;
    fmt::print("metadata: {} in {} runs, in {} places between byte {} and {}; {} rounds deep\n",
               size_text(m.bytes), m.extents, m.places, m.first, m.end, m.rounds);
  }
  fmt::print("opening it from afar: {}, in {} rounds that wait for each other\n",
             cost_text(report.opening), report.opening.rounds);
}

void print_variables(const refs::DoctorReport& report) {
  fmt::print("variables, the largest first:\n");
  print_some(report.variables, kTableLines, [](const refs::VariableHealth& v) {
    fmt::print("  {}  {}  {}\n", v.path.substr(1), v.type, fmt::join(v.shape, " x "));
    std::string codecs;
    for (const auto& spec : v.codecs) codecs += (codecs.empty() ? "" : " + ") + spec.id;
    const bool ratio = v.counted && v.stored_bytes > 0 && v.stored == v.chunks;
    fmt::print(
        "      {}{}{}{}\n",
        v.one_run || v.chunk_shape.empty()
            ? std::string("one run of bytes")
            : fmt::format("{}chunks of {}, {} each",
                          v.counted ? std::to_string(v.stored) + " " : "",
                          fmt::join(v.chunk_shape, " x "), size_text(v.chunk_bytes)),
        v.counted ? ", " + size_text(v.stored_bytes) + " stored" : "",
        ratio ? fmt::format(" of {} (ratio {:.2f})", size_text(v.raw_bytes),
                            static_cast<double>(v.raw_bytes) / static_cast<double>(v.stored_bytes))
              : "",
        codecs.empty() ? ", no codecs" : ", " + codecs);
    for (const refs::ReadPattern& read : v.reads)
      fmt::print("      {}: {} chunks, {}, for {} of values\n",
                 read.name == "series" ? "the series of one point"
                 : v.series_axis       ? "one step"
                                       : "all of it",
                 read.chunks, cost_text(read.cost), size_text(read.wanted));
  });
}

Result<> run_doctor(Context& context, const std::string& source, bool as_json) {
  UPWELL_TRY(const refs::DoctorReport report, refs::examine(context.session(), source));
  if (as_json) {
    fmt::print("{}", report.to_json());
  } else {
    fmt::print("{}: {}{}\n", io::shown_url(report.source), report.format,
               report.size > 0 ? ", " + size_text(report.size) : "");
    print_metadata(report);
    print_variables(report);
    for (const Problem& problem : report.problems)
      fmt::print("cannot be read: {}: {}\n", problem.path, problem.error.to_string());
    fmt::print("advice:{}\n", report.advice.empty() ? " none; nothing is worth repacking" : "");
    for (const refs::Advice& advice : report.advice)
      fmt::print("  {}{}: {}\n", advice.kind,
                 advice.path.empty() ? "" : " of " + advice.path.substr(1), advice.text);
    if (!report.command.empty()) fmt::print("  $ {}\n", report.command);
  }
  if (report.problems.empty()) return {};
  return fail(Code::kInvalidData,
              source + ": " + std::to_string(report.problems.size()) + " objects cannot be read");
}

}  // namespace

void add_doctor_command(Program& program) {
  auto source = std::make_shared<std::string>();
  auto as_json = std::make_shared<bool>(false);
  CLI::App* app = program.add(
      "doctor", "Say what the layout of a granule costs a remote reader, and what to repack",
      kDoctorFooter, [=](Context& context) { return run_doctor(context, *source, *as_json); });
  app->add_option("SOURCE", *source, "A granule, a Zarr store, or a URL of one")->required();
  app->add_flag("--json", *as_json, "Everything, as JSON");
}

}  // namespace upwell::cli
