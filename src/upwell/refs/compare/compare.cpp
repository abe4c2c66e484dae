#include "refs/compare/compare.hpp"

#include <fmt/format.h>
#include <fnmatch.h>

#include <algorithm>
#include <map>
#include <mutex>

#include "base/parallel.hpp"
#include "refs/compare/compare_structure.hpp"
#include "refs/source_list.hpp"
#include "refs/virtualize.hpp"

namespace upwell::refs {
namespace {

/// A source: one dataset, or a tree of them.
struct Side {
  std::string name;  ///< as the user gave it
  bool tree = false;
  std::map<std::string, std::string> urls;  ///< by relative path; of one dataset by ""
};

/// What is said of a file that is there, too, changes with each of its bytes.
bool is_checksum(const std::string& path, const std::map<std::string, std::string>& all) {
  for (const std::string_view suffix : {".md5", ".sha256", ".sha512"})
    if (path.ends_with(suffix) && all.contains(path.substr(0, path.size() - suffix.size())))
      return true;
  return false;
}

Result<Side> list_side(io::Session& session, const std::string& source,
                       const std::vector<std::string>& only) {
  Side side{source, false, {}};
  std::vector<std::string> foreign;
  UPWELL_TRY(std::vector<std::string> urls, expand_sources(session, {source}, foreign));
  for (const std::string& file : foreign)  // compared byte by byte
    urls.push_back(io::normal_url(file));
  std::string prefix = io::normal_url(source);
  if (!prefix.ends_with('/')) prefix += '/';
  side.tree = std::all_of(urls.begin(), urls.end(), [&](const std::string& url) {
    return url.size() > prefix.size() && url.starts_with(prefix);
  });
  if (!side.tree) {
    if (urls.size() > 1)
      return fail(Code::kInvalidArgument,
                  fmt::format("{} names {} sources; compare takes one, or a directory", source,
                              urls.size()));
    side.urls.emplace("", urls[0]);
    return side;
  }
  std::map<std::string, std::string> all;
  for (const std::string& url : urls) {
    std::string path = url.substr(prefix.size());
    if (path.ends_with('/')) path.pop_back();
    all.emplace(std::move(path), url);
  }
  for (const auto& [path, url] : all) {
    const bool wanted =
        only.empty() || std::any_of(only.begin(), only.end(), [&](const std::string& pattern) {
          const std::string name = path.substr(path.rfind('/') + 1);  // npos + 1 is 0
          return ::fnmatch(pattern.c_str(), path.c_str(), 0) == 0 ||
                 ::fnmatch(pattern.c_str(), name.c_str(), 0) == 0;
        });
    if (wanted && !is_checksum(path, all)) side.urls.emplace(path, url);
  }
  return side;
}

/// Files that are no datasets, piece by piece.
Result<> compare_bytes(io::Session& session, uint64_t memory, PairReport& report) {
  const uint64_t piece = std::clamp<uint64_t>(memory / 4, 1 << 16, 16 << 20);
  report.as_bytes = true;
  UPWELL_TRY(const io::ObjectInfo ours, session.stat(report.first));
  UPWELL_TRY(const io::ObjectInfo theirs, session.stat(report.second));
  const uint64_t both = std::min(ours.size, theirs.size);
  for (uint64_t at = 0; at < both; at += piece) {
    const io::Range range{at, std::min(piece, both - at)};
    UPWELL_TRY(const SharedBytes a, session.read_one(report.first, range));
    UPWELL_TRY(const SharedBytes b, session.read_one(report.second, range));
    report.bytes += a.size();
    const ByteSpan x = a.span(), y = b.span();
    const auto [it, other] = std::mismatch(x.begin(), x.end(), y.begin(), y.end());
    if (it == x.end()) continue;
    report.differences.push_back(
        {"",
         "bytes",
         fmt::format("differ from byte {} on", at + static_cast<uint64_t>(it - x.begin())),
         {}});
    return {};
  }
  if (ours.size != theirs.size)
    report.differences.push_back(
        {"", "bytes", fmt::format("{} bytes, {} in the second", ours.size, theirs.size), {}});
  return {};
}

/// Whether a source that cannot be opened can be compared as what it is, an object.
bool is_object(io::Session& session, const std::string& url, const Error& error) {
  return !is_about_access(error.code) && session.stat(url).has_value();
}

/// False: it needs more than its share of the memory, and was not compared.
Result<bool> compare_pair(io::Session& session, const CompareOptions& options, bool tree,
                          size_t threads, uint64_t memory, PairReport& report) {
  auto first = open_source_with(session, report.first, options.open);
  if (!first && is_about_access(first.error().code)) return fail(std::move(first).error());
  auto second = open_source_with(session, report.second, options.open);
  if (!second && is_about_access(second.error().code)) return fail(std::move(second).error());
  if (tree && !first && !second && is_object(session, report.first, first.error()) &&
      is_object(session, report.second, second.error())) {
    UPWELL_CHECK(compare_bytes(session, memory, report));
    // They may have been meant to be datasets: what is wrong with them belongs to it.
    for (Difference& difference : report.differences)
      difference.message += "; neither is a dataset: " + first.error().to_string();
    return true;
  }
  if (!first && !tree) return fail(std::move(first).error());
  if (!second && !tree) return fail(std::move(second).error());
  const auto unreadable = [&](const char* side, const Error& error) {
    report.differences.push_back({"", "unreadable", side + error.to_string(), {}});
  };
  if (!first) unreadable("the first: ", first.error());
  if (!second) unreadable("the second: ", second.error());
  if (!first || !second) return true;
  const std::vector<ArrayPair> pairs = compare_structure(*first, *second, options, report);
  const ComparisonMemory need = memory_to_compare(pairs);
  if (need.bytes > options.memory)
    return fail(Code::kInvalidArgument,
                fmt::format("{}: a chunk is decoded as a whole, and comparing it needs {} MB, more "
                            "than the {} MB that memory was limited to",
                            need.path, (need.bytes >> 20) + 1, options.memory >> 20));
  if (need.bytes > memory) return false;
  UPWELL_CHECK(compare_arrays(session, pairs, options, threads, memory, report));
  return true;
}

/// As the error that sets the exit status.
Result<> outcome(const CompareReport& report) {
  if (report.same()) return {};
  for (const PairReport& pair : report.pairs)
    for (const Difference& difference : pair.differences)
      if (difference.kind == "unreadable")
        return fail(Code::kInvalidData,
                    fmt::format("{}{}{}: not all of it can be read", pair.name,
                                pair.name.empty() || difference.path.empty() ? "" : ": ",
                                difference.path.empty() && pair.name.empty() ? pair.first
                                                                             : difference.path));
  if (report.trees)
    return fail(Code::kDifferent,
                fmt::format("{} and {}: {} of {} files differ, {} are only in the first, {} only "
                            "in the second",
                            report.first, report.second, report.differing(), report.pairs.size(),
                            report.only_in_first.size(), report.only_in_second.size()));
  return fail(Code::kDifferent, fmt::format("{} and {}: {} differences", report.first,
                                            report.second, report.pairs[0].differences.size()));
}

}  // namespace

size_t CompareReport::differing() const {
  return static_cast<size_t>(std::count_if(pairs.begin(), pairs.end(), [](const PairReport& pair) {
    return !pair.differences.empty();
  }));
}

bool CompareReport::same() const {
  return differing() == 0 && only_in_first.empty() && only_in_second.empty();
}

Result<> compare(io::Session& session, const std::string& first, const std::string& second,
                 const CompareOptions& options, CompareReport& report) {
  report.first = first;
  report.second = second;
  UPWELL_TRY(const Side ours, list_side(session, first, options.only));
  UPWELL_TRY(const Side theirs, list_side(session, second, options.only));
  if (ours.tree != theirs.tree)
    return fail(Code::kInvalidArgument,
                fmt::format("{} is a directory of sources, {} is one source",
                            ours.tree ? first : second, ours.tree ? second : first));
  report.trees = ours.tree;
  for (const auto& [path, url] : ours.urls) {
    const auto other = theirs.urls.find(path);
    if (other == theirs.urls.end()) {
      report.only_in_first.push_back(path);
      continue;
    }
    PairReport pair;
    pair.name = path;
    pair.first = url;
    pair.second = other->second;
    report.pairs.push_back(std::move(pair));
  }
  for (const auto& [path, url] : theirs.urls)
    if (!ours.urls.contains(path)) report.only_in_second.push_back(path);
  if (report.pairs.empty() && report.only_in_first.empty() && report.only_in_second.empty())
    return fail(Code::kInvalidArgument,
                fmt::format("no file below {} or {} is to be compared{}", first, second,
                            options.only.empty() ? "" : "; see --only"));
  const size_t threads = options.threads > 0 ? options.threads : core_count();
  const size_t outer = std::clamp<size_t>(report.pairs.size(), 1, threads);
  const size_t inner = std::max<size_t>(threads / outer, 1);
  Progress progress("comparing", "files", report.pairs.size(),
                    report.trees ? options.progress : Progress::Style::kQuiet);
  std::mutex mutex;
  std::vector<size_t> large;
  const auto compare_one = [&](size_t i, size_t at_once) -> Result<> {
    PairReport& pair = report.pairs[i];
    auto compared =
        compare_pair(session, options, report.trees, inner, options.memory / at_once, pair);
    if (!compared && report.trees) return fail(std::move(compared).error().with(pair.name));
    UPWELL_CHECK(compared);
    if (*compared) {
      progress.advance();
      return {};
    }
    PairReport anew;
    anew.name = pair.name;
    anew.first = pair.first;
    anew.second = pair.second;
    pair = std::move(anew);
    const std::lock_guard lock(mutex);
    large.push_back(i);
    return {};
  };
  UPWELL_CHECK(
      blocking_for(report.pairs.size(), outer, [&](size_t i) { return compare_one(i, outer); }));
  for (const size_t i : large) UPWELL_CHECK(compare_one(i, 1));  // one at a time
  return outcome(report);
}

}  // namespace upwell::refs
