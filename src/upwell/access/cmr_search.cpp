#include "access/cmr_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <future>
#include <optional>

#include "access/search_seen.hpp"
#include "cube/cf.hpp"
#include "io/session.hpp"

namespace upwell::access {
namespace {

/// Beyond this many bytes a query is sent as a form: servers on the way cut URLs.
constexpr size_t kLongQuery = 6000;
/// Pinned, as CMR's documentation advises: what a record looks like does not change by itself.
constexpr const char* kGranuleForm = ".umm_json_v1_6_6";
constexpr const char* kCollectionForm = ".umm_json_v1_18_4";
constexpr int kMaxSplits = 12;  ///< how often one search is halved
constexpr int64_t kLeastSplitMs = 3'600'000;

std::string cmr_header(const SearchAnswer& answer, std::string_view name) {
  for (const auto& [key, value] : answer.head.cmr)
    if (key == name) return value;
  return {};
}

std::optional<uint64_t> hits_of(const SearchAnswer& answer) {
  const std::string text = cmr_header(answer, "cmr-hits");
  if (text.empty() || text.find_first_not_of("0123456789") != std::string::npos) return {};
  return std::strtoull(text.c_str(), nullptr, 10);
}

// --- Times, in milliseconds since 1970 -------------------------------------------------------

std::optional<int64_t> ms_of(const std::string& text) {
  const auto span = cf::parse_time_span(text, cf::Calendar::kProlepticGregorian);
  if (!span) return {};
  const cf::DateTime& t = span->first;
  if (t.year < 1900 || t.year > 2200) return {};
  const std::chrono::year_month_day date{std::chrono::year(static_cast<int>(t.year)),
                                         std::chrono::month(static_cast<unsigned>(t.month)),
                                         std::chrono::day(static_cast<unsigned>(t.day))};
  const int64_t days = std::chrono::sys_days(date).time_since_epoch().count();
  return (((days * 24 + t.hour) * 60 + t.minute) * 60 + t.second) * 1000 + t.nanosecond / 1'000'000;
}

std::string text_of_ms(int64_t ms) {
  const std::chrono::sys_time<std::chrono::milliseconds> time{std::chrono::milliseconds(ms)};
  const auto days = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date(days);
  const std::chrono::hh_mm_ss clock(time - days);
  return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{:03}Z", static_cast<int>(date.year()),
                     static_cast<unsigned>(date.month()), static_cast<unsigned>(date.day()),
                     clock.hours().count(), clock.minutes().count(), clock.seconds().count(),
                     clock.subseconds().count());
}

int64_t now_ms() {
  return std::chrono::duration_cast<std::chrono::milliseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

/// The one "FROM,TO" of a query; nothing when times are given in another way or several times.
std::optional<std::pair<std::string, std::string>> interval_in(const Pairs& pairs) {
  std::optional<std::pair<std::string, std::string>> found{std::pair<std::string, std::string>()};
  size_t n = 0;
  for (const auto& [name, value] : pairs) {
    if (!name.starts_with("temporal")) continue;
    const size_t comma = value.find(',');
    const bool plain =
        comma != std::string::npos && value.find(',', comma + 1) == std::string::npos;
    if (++n > 1 || !plain) return {};
    found = {value.substr(0, comma), value.substr(comma + 1)};
  }
  return found;
}

Pairs with_interval(Pairs pairs, const std::string& from, const std::string& to) {
  std::erase_if(pairs, [](const auto& pair) { return pair.first.starts_with("temporal"); });
  pairs.emplace_back("temporal[]", from + "," + to);
  return pairs;
}

std::string collection_lines(const std::vector<Collection>& collections, uint64_t hits) {
  std::string lines;
  for (const Collection& c : collections)
    lines += fmt::format("\n  {}  version {}  {}{}  {}", c.short_name, c.version, c.concept_id,
                         c.granules ? fmt::format("  {} granules", *c.granules) : "", c.title);
  if (hits > collections.size()) lines += fmt::format("\n  ... of {}", hits);
  return lines;
}

}  // namespace

Result<std::string> cmr_origin(const std::string& host) {
  std::string origin = host;
  if (origin.find("://") == std::string::npos) origin = "https://" + origin;
  while (origin.ends_with('/')) origin.pop_back();
  if (origin.ends_with("/search"))
    origin.resize(origin.size() - std::string_view("/search").size());
  const std::string scheme = io::scheme_of(origin);
  const size_t name = origin.find("://") + 3;
  if ((scheme != "https" && scheme != "http") || name >= origin.size() ||
      origin.find_first_of(" ?#@", name) != std::string::npos)
    return fail(Code::kInvalidArgument,
                "'" + host + "' is not a host of CMR; write cmr.earthdata.nasa.gov");
  return origin;
}

/// One search under way: what it shares over pages and, where it was cut, over its parts.
struct CmrSearch::Part {
  std::string concept_type;
  SearchOptions options;
  SearchOutcome outcome = {};
  /// Reads a page, calls `take(concept id)` for each result and visits it where that says so.
  std::function<Result<PageSummary>(Bytes, const std::function<bool(std::string_view)>&)> read = {};
  SeenIds seen = {};
  uint64_t differs = 0;  // results of the parts that are missing or too many

  bool full() const { return options.limit > 0 && outcome.visited >= options.limit; }
};

Result<SearchAnswer> CmrSearch::page(const std::string& concept_type, const Pairs& pairs,
                                     size_t page_size, const std::string& search_after) {
  Pairs all = pairs;
  all.emplace_back("page_size", std::to_string(page_size));
  const std::string query = encode_query(all);
  SearchRequest request;
  request.url = origin_ + "/search/" + concept_type +
                (concept_type == "granules" ? kGranuleForm : kCollectionForm);
  if (!search_after.empty()) request.headers.emplace_back("cmr-search-after", search_after);
  if (query.size() > kLongQuery) {
    request.content_type = "application/x-www-form-urlencoded";
    request.body = query;
  } else {
    request.url += "?" + query;
  }
  auto answer = client_.send(request);
  if (!answer && ran_out_of_time(answer.error()))
    answer = client_.send(request);  // the second time much of it is in CMR's caches
  if (int64_t none = 0; answer && answer->head.date_unix_s)
    first_answer_unix_s_.compare_exchange_strong(none, *answer->head.date_unix_s);
  return answer;
}

Result<> CmrSearch::run(Part& part, const Pairs& pairs) {
  SearchOutcome& outcome = part.outcome;
  SeenIds seen_here;
  PageProgress progress;
  size_t page_size = part.options.page_size;
  if (part.options.limit > 0) page_size = std::min<uint64_t>(page_size, part.options.limit);
  const auto take = [&](std::string_view id) {
    if (part.full()) return false;
    const bool new_here = seen_here.insert(id);
    if (!part.seen.insert(id)) {
      if (!new_here) ++outcome.repeated;
      return false;
    }
    ++outcome.visited;
    return true;
  };
  std::string after;
  std::optional<uint64_t> hits;
  std::future<Result<SearchAnswer>> coming;
  while (true) {
    auto answer = coming.valid() ? coming.get() : page(part.concept_type, pairs, page_size, after);
    if (!answer && answer.error().code == Code::kResourceExhausted && page_size > 1) {
      page_size /= 2;
      continue;
    }
    if (!answer) return fail(std::move(answer).error());
    const std::string next = cmr_header(*answer, "cmr-search-after");
    if (!next.empty() && next == after)
      return fail(Code::kInvalidData, "the pages of the search do not move on");
    after = next;
    if (const auto told = hits_of(*answer)) hits = told;
    const uint64_t likely = seen_here.size() + page_size;
    const bool more = !after.empty() && (!hits || likely < *hits) &&
                      (part.options.limit == 0 || outcome.visited + page_size < part.options.limit);
    if (more) {
      coming = std::async(std::launch::async, [this, &part, &pairs, page_size, after] {
        return page(part.concept_type, pairs, page_size, after);
      });
    }
    const auto summary = part.read(std::move(answer->body), take);
    if (!summary)
      return fail(Error(summary.error()).with(origin_ + "/search/" + part.concept_type));
    if (!hits) hits = summary->hits;
    const bool all = hits && seen_here.size() >= *hits;
    if (part.full() || summary->items == 0 || after.empty()) break;
    if (all && !coming.valid()) break;
    UPWELL_CHECK(progress.check(seen_here.size()));
  }
  if (coming.valid()) (void)coming.get();
  if (part.full()) {
    outcome.hits = std::max(outcome.hits, hits.value_or(0));
    return {};
  }
  const uint64_t came = seen_here.size();
  outcome.hits += hits.value_or(came);
  if (hits && *hits != came) part.differs += *hits > came ? *hits - came : came - *hits;
  return {};
}

Result<std::pair<std::string, std::string>> CmrSearch::extent_of(const Pairs& pairs) {
  Pairs ids;
  for (const auto& [name, value] : pairs)
    if (name == "collection_concept_id[]") ids.emplace_back("concept_id[]", value);
  std::pair<std::string, std::string> extent;
  if (ids.empty()) return extent;
  bool open = false;
  UPWELL_CHECK(collections(ids, {}, [&](const Collection& c, std::string_view) -> Result<> {
    if (extent.first.empty() || c.begin < extent.first) extent.first = c.begin;
    open |= c.end.empty();
    extent.second = std::max(extent.second, c.end);
    return {};
  }));
  if (open) extent.second.clear();
  return extent;
}

Result<> CmrSearch::run_in_time(Part& part, const Pairs& pairs, int depth) {
  auto done = run(part, pairs);
  if (done || !ran_out_of_time(done.error())) return done;
  const auto interval = interval_in(pairs);
  if (!interval || depth == kMaxSplits || part.concept_type != "granules")
    return fail(std::move(done).error().with(
        "the search is too much for CMR; narrow it, by --temporal or --bounding-box"));
  auto [from, to] = *interval;
  std::string begin = from, end = to;
  if (begin.empty() || end.empty()) {
    UPWELL_TRY(const auto extent, extent_of(pairs));
    if (begin.empty()) begin = extent.first;
    if (end.empty()) end = extent.second;
  }
  const auto first = ms_of(begin);
  const int64_t last = ms_of(end).value_or(now_ms());
  if (!first || last - *first < kLeastSplitMs)
    return fail(std::move(done).error().with(
        "the search is too much for CMR; narrow it, by --temporal or --bounding-box"));
  const int64_t middle = *first + (last - *first) / 2;
  client_.warn(fmt::format("CMR ran out of time; searching up to and from {} by themselves",
                           text_of_ms(middle)));
  ++part.outcome.splits;
  UPWELL_CHECK(run_in_time(part, with_interval(pairs, from, text_of_ms(middle)), depth + 1));
  if (part.full()) return {};
  return run_in_time(part, with_interval(pairs, text_of_ms(middle), to), depth + 1);
}

namespace {

/// The last words on a search.
SearchOutcome settled(SearchOutcome outcome, uint64_t differs) {
  if (outcome.splits > 0 && differs == 0) outcome.hits = outcome.visited;  // overlaps count once
  if (differs > 0)
    outcome.difference =
        fmt::format("the catalogue counts {} results, {} came; it may have changed meanwhile",
                    outcome.hits, outcome.visited);
  return outcome;
}

}  // namespace

Result<SearchOutcome> CmrSearch::granules(const Pairs& pairs, const SearchOptions& options,
                                          const GranuleVisitor& visit) {
  Part part{.concept_type = "granules", .options = options};
  part.read = [&](Bytes body, const auto& take) {
    return read_granule_page(std::move(body), [&](Granule granule, std::string_view text) {
      return take(granule.concept_id) ? visit(std::move(granule), text) : Result<>();
    });
  };
  UPWELL_CHECK(run_in_time(part, pairs, 0));
  return settled(std::move(part.outcome), part.differs);
}

Result<SearchOutcome> CmrSearch::collections(const Pairs& pairs, const SearchOptions& options,
                                             const CollectionVisitor& visit) {
  Part part{.concept_type = "collections", .options = options};
  part.read = [&](Bytes body, const auto& take) {
    return read_collection_page(std::move(body), [&](Collection collection, std::string_view text) {
      return take(collection.concept_id) ? visit(std::move(collection), text) : Result<>();
    });
  };
  Pairs all = pairs;
  all.emplace_back("include_granule_counts", "true");
  UPWELL_CHECK(run_in_time(part, all, 0));
  return settled(std::move(part.outcome), part.differs);
}

Result<uint64_t> CmrSearch::count(const std::string& concept_type, const Pairs& pairs) {
  UPWELL_TRY(SearchAnswer answer, page(concept_type, pairs, 0, {}));
  if (const auto hits = hits_of(answer)) return *hits;
  UPWELL_TRY(const PageSummary summary,
             read_granule_page(std::move(answer.body),
                               [](const Granule&, std::string_view) { return Result<>(); }));
  if (!summary.hits) return fail(Code::kInvalidData, "CMR does not say how many there are");
  return *summary.hits;
}

Result<uint64_t> CmrSearch::count_deleted(const std::string& collection_id,
                                          const std::string& since) {
  const Pairs pairs{{"parent_collection_id", collection_id}, {"revision_date", since}};
  UPWELL_TRY(
      const SearchAnswer answer,
      client_.send({.url = origin_ + "/search/deleted-granules.json?" + encode_query(pairs)}));
  if (const auto hits = hits_of(answer)) return *hits;
  return fail(Code::kInvalidData, "CMR does not say how many granules were deleted");
}

Result<Pairs> CmrSearch::granule_pairs(const CmrQuery& query) {
  Pairs pairs = query.pairs;
  for (const std::string& id : query.granule_ids) pairs.emplace_back("concept_id[]", id);
  if (query.select.empty()) {
    if (query.collection_ids.empty() && query.granule_ids.empty())
      return fail(Code::kInvalidArgument,
                  "which collection? Name it by --short-name, --concept-id, --doi or --keyword "
                  "(`upwell search --collections --keyword WORDS` finds names)");
    for (const std::string& id : query.collection_ids)
      pairs.emplace_back("collection_concept_id[]", id);
    return pairs;
  }
  Pairs select = query.select;
  for (const std::string& id : query.collection_ids) select.emplace_back("concept_id[]", id);
  constexpr uint64_t kShown = 20;
  std::vector<Collection> found;
  UPWELL_TRY(const SearchOutcome outcome,
             collections(select, {.page_size = kShown, .limit = kShown},
                         [&](Collection collection, std::string_view) -> Result<> {
                           found.push_back(std::move(collection));
                           return {};
                         }));
  if (found.empty())
    return fail(Code::kNotFound,
                "no collection is so described (" + encode_query(query.select) +
                    "); `upwell search --collections --keyword WORDS` finds names");
  if (found.size() > 1)
    return fail(Code::kInvalidArgument,
                fmt::format("{} collections are so described; choose one by --collection-version, "
                            "--provider or --concept-id:{}",
                            std::max<uint64_t>(outcome.hits, found.size()),
                            collection_lines(found, outcome.hits)));
  pairs.emplace_back("collection_concept_id[]", found[0].concept_id);
  published_ = std::move(found[0].published);
  return pairs;
}

}  // namespace upwell::access
