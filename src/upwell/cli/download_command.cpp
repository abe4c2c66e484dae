#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <nlohmann/json.hpp>
#include <set>

#include "access/search_download.hpp"
#include "base/progress.hpp"
#include "base/text.hpp"
#include "base/url_secrets.hpp"
#include "cli/granule_search.hpp"

namespace upwell::cli {
namespace {

using How = access::DownloadResult::How;

constexpr const char* kDownloadFooter =
    "Examples:\n"
    "  upwell download --short-name MUR-JPL-L4-GLOB-v4.1 --temporal 2013-12 -d december/\n"
    "  upwell search --short-name MUR-JPL-L4-GLOB-v4.1 --temporal 2013-12 --format json |\n"
    "      upwell download @- -d december/                  the same, looked at in between\n"
    "  upwell download https://host/a.nc https://host/b.nc\n"
    "  upwell download https://host/a.nc -o mine.nc     one file, under this name\n"
    "  upwell download @urls.txt -d data/ --files-at-once 8\n"
    "\n"
    "Lists have a URL in a line, or a granule as `upwell search --format json` writes it: then "
    "sizes and\n"
    "checksums are compared. What is there and right is left alone; what broke off is gone on "
    "with. A file\n"
    "has its name when all of it is there. Files that fail are listed at the end, and the others "
    "come all\n"
    "the same; the exit status is 75 when running it again may help.";

struct DownloadArguments {
  std::vector<std::string> sources;
  access::DownloadOptions options;
  bool as_json = false;
  GranuleSearch search;
};

Result<std::string> list_text(io::Session& session, const std::string& name) {
  if (name != "-") {
    UPWELL_TRY(const SharedBytes bytes, session.read_one(io::normal_url(name)));
    return std::string(as_text(bytes.span()));
  }
  std::string text;
  std::array<char, 1 << 16> piece{};
  while (const size_t n = std::fread(piece.data(), 1, piece.size(), stdin))
    text.append(piece.data(), n);
  return text;
}

std::string text_member(const nlohmann::json& object, const char* key) {
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

/// The data files of a line of `search --format json`.
Result<> add_granule(const std::string& line, bool prefer_s3,
                     std::vector<access::DownloadItem>& out) {
  const auto json = nlohmann::json::parse(line, nullptr, false);
  const auto data = json.is_object() ? json.find("data") : json.end();
  if (!json.is_object() || data == json.end() || !data->is_array())
    return fail(Code::kInvalidData,
                "not a granule of `upwell search --format json`: " + line.substr(0, 80));
  for (const auto& entry : *data) {
    if (!entry.is_object()) continue;
    access::GranuleFile file;
    file.https = text_member(entry, "https");
    file.s3 = text_member(entry, "s3");
    if (const auto size = entry.find("size"); size != entry.end() && size->is_number_unsigned()) {
      file.size = size->get<uint64_t>();
      file.size_is_exact = true;
    }
    if (const auto sum = entry.find("checksum"); sum != entry.end() && sum->is_object()) {
      file.checksum_algorithm = text_member(*sum, "algorithm");
      file.checksum = text_member(*sum, "value");
    }
    UPWELL_TRY(access::DownloadItem item, access::download_item(file, prefer_s3));
    out.push_back(std::move(item));
  }
  return {};
}

Result<std::vector<access::DownloadItem>> items_of(const DownloadArguments& args,
                                                   Context& context) {
  const bool prefer_s3 = context.options().prefer == "s3";
  std::vector<access::DownloadItem> items;
  if (args.search.given()) {
    if (!args.sources.empty())
      return fail(Code::kInvalidArgument, "name a SOURCE or search for granules, not both");
    UPWELL_TRY(const FoundGranules found, find_granules(context, args.search));
    for (const access::GranuleFile& file : found.files) {
      UPWELL_TRY(access::DownloadItem item, access::download_item(file, /*prefer_s3=*/false));
      items.push_back(std::move(item));
    }
    return items;
  }
  for (const std::string& source : args.sources) {
    if (!source.starts_with('@')) {
      UPWELL_TRY(access::DownloadItem item, access::download_item(source));
      items.push_back(std::move(item));
      continue;
    }
    UPWELL_TRY(const std::string text, list_text(context.session(), source.substr(1)));
    for (size_t at = 0; at < text.size();) {
      const size_t end = std::min(text.find('\n', at), text.size());
      std::string line = text.substr(at, end - at);
      at = end + 1;
      line.erase(0, line.find_first_not_of(" \t"));
      line.erase(line.find_last_not_of(" \t\r") + 1);
      if (line.empty() || line[0] == '#') continue;
      if (line[0] == '{') {
        UPWELL_CHECK(add_granule(line, prefer_s3, items));
      } else {
        UPWELL_TRY(access::DownloadItem item, access::download_item(line));
        items.push_back(std::move(item));
      }
    }
  }
  if (items.empty())
    return fail(Code::kInvalidArgument,
                "nothing to download: name URLs or lists, or search for "
                "granules (--short-name NAME --temporal FROM,TO)");
  return items;
}

const char* word_of(How how) {
  switch (how) {
    case How::kFetched:
      return "fetched";
    case How::kResumed:
      return "resumed";
    case How::kPresent:
      return "present";
    default:
      return "failed";
  }
}

void print_results(const std::vector<access::DownloadItem>& items,
                   const std::vector<access::DownloadResult>& results) {
  for (size_t i = 0; i < items.size(); ++i) {
    const access::DownloadResult& r = results[i];
    nlohmann::ordered_json line{{"url", without_url_secrets(items[i].url)},
                                {"path", r.path.string()},
                                {"status", word_of(r.how)},
                                {"bytes", r.bytes},
                                {"verified", r.verified}};
    if (r.error) line["error"] = r.error->to_string();
    fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
}

/// The failures in a list, and one status for all. `partial`: what is not there is only told of,
/// where the rest is.
Result<> verdict_on(const std::vector<access::DownloadResult>& results, bool partial) {
  std::string list;
  Code code = Code::kUnavailable;
  size_t failed = 0, gone = 0;
  for (const access::DownloadResult& r : results) {
    if (!r.error) continue;
    ++failed;
    list += "\n  " + r.error->to_string();
    if (r.error->code == Code::kNotFound) ++gone;
    constexpr int kTryAgain = 75;
    if (exit_status(r.error->code) != kTryAgain && exit_status(code) == kTryAgain)
      code = r.error->code;
  }
  if (failed == 0) return {};
  if (partial && failed == gone && gone < results.size()) {
    fmt::print(stderr, "warning: {} of {} files are not there:{}\n", gone, results.size(), list);
    return {};
  }
  if (gone > 0)
    list += fmt::format(
        "\n{} not there: the archive may have withdrawn or replaced {} since; search again",
        gone == 1 ? "One is" : fmt::format("{} are", gone), gone == 1 ? "it" : "them");
  return fail(code, fmt::format("{} of {} files failed:{}", failed, results.size(), list));
}

/// -o x.nc names the file, where it is one.
Result<> name_the_file(DownloadArguments& args, std::vector<access::DownloadItem>& items) {
  constexpr std::string_view kSuffixes[] = {
      ".nc",    ".nc4", ".cdf",  ".h5",  ".hdf5", ".he5", ".hdf", ".grib", ".grb", ".grb2",
      ".grib2", ".tif", ".tiff", ".jp2", ".json", ".csv", ".txt", ".zip",  ".gz",  ".tar"};
  std::filesystem::path& place = args.options.directory;
  const std::string suffix = lower_case(place.extension().string());
  std::error_code ignored;
  if (std::find(std::begin(kSuffixes), std::end(kSuffixes), suffix) == std::end(kSuffixes) ||
      std::filesystem::is_directory(place, ignored))
    return {};
  if (items.size() != 1)
    return fail(Code::kInvalidArgument,
                fmt::format("{0} is the name of a file, and {1} files come: name a directory, or "
                            "make it first if it shall have that name (mkdir {0})",
                            place.string(), items.size()));
  items[0].name = place.filename().string();
  place = place.has_parent_path() ? place.parent_path() : ".";
  return {};
}

/// By the sizes that are recorded, of files that are not there in any state.
Result<> check_budget(const DownloadArguments& args, Context& context,
                      const std::vector<access::DownloadItem>& items) {
  const io::EgressBudget* budget = context.session().budget();
  if (budget == nullptr) return {};
  uint64_t bytes = 0;
  for (const access::DownloadItem& item : items) {
    std::error_code ignored;
    if (args.options.again || !std::filesystem::exists(args.options.directory / item.name, ignored))
      bytes += item.size.value_or(0);
  }
  return budget->check(bytes, fmt::format("downloading {} files", items.size()));
}

/// Bytes that are taken for right though the archive knows better.
void warn_of_unknown_checksums(const std::vector<access::DownloadItem>& items) {
  std::set<std::string> kinds;
  size_t files = 0;
  for (const access::DownloadItem& item : items) {
    const std::string kind = access::unknown_checksum(item);
    if (kind.empty()) continue;
    kinds.insert(kind);
    ++files;
  }
  if (files == 0) return;
  fmt::print(stderr,
             "warning: checksums of {} of {} files are of a kind that cannot be compared here "
             "({}); these files are not verified\n",
             files, items.size(), fmt::join(kinds, ", "));
}

Result<> run_download(DownloadArguments& args, Context& context) {
  UPWELL_TRY(std::vector<access::DownloadItem> listed, items_of(args, context));
  UPWELL_TRY(std::vector<access::DownloadItem> items, access::each_once(std::move(listed)));
  UPWELL_CHECK(name_the_file(args, items));
  UPWELL_CHECK(check_budget(args, context, items));
  warn_of_unknown_checksums(items);
  std::vector<access::DownloadResult> results;
  {
    Progress progress("downloading", "files", items.size(), context.progress_style());
    UPWELL_TRY(results, access::download(context.session(), items, args.options,
                                         [&](size_t) { progress.advance(); }));
  }
  if (args.as_json) print_results(items, results);
  const auto count = [&](How how) {
    return std::count_if(results.begin(), results.end(),
                         [how](const access::DownloadResult& r) { return r.how == how; });
  };
  const auto verified = std::count_if(results.begin(), results.end(),
                                      [](const access::DownloadResult& r) { return r.verified; });
  if (!context.options().quiet)
    fmt::print(stderr, "{} fetched, {} resumed, {} there already; {} verified by checksum\n",
               count(How::kFetched), count(How::kResumed), count(How::kPresent), verified);
  return verdict_on(results, args.search.allow_partial);
}

}  // namespace

void add_download_command(Program& program) {
  auto args = std::make_shared<DownloadArguments>();
  CLI::App* app = program.add(
      "download", "Copy granules: resumed, compared with their checksums, whole or not there",
      kDownloadFooter, [args](Context& context) { return run_download(*args, context); });
  app->add_option("SOURCE", args->sources,
                  "URLs, @list.txt, @- for a list on standard input; lines of `upwell search "
                  "--format json` bring sizes and checksums. Or search for them, see below");
  app->add_option("-d,-o,--directory", args->options.directory,
                  "Where they go; of a single one, NAME.nc and the like name the file itself")
      ->capture_default_str()
      ->type_name("DIR");
  app->add_option("--files-at-once", args->options.files_at_once, "Files that are fetched together")
      ->check(CLI::Range(1, 64))
      ->capture_default_str();
  app->add_flag("--again", args->options.again, "Fetch what is there already, too");
  app->add_flag("--json", args->as_json, "A line of JSON for each file");
  add_granule_search(app, args->search);
}

}  // namespace upwell::cli
