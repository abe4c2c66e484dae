#include "access/stac_search.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "access/search_seen.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::access {
namespace {

using StacJson = nlohmann::ordered_json;

StacJson body_of(const StacQuery& query, uint64_t limit) {
  StacJson body = StacJson::object();
  if (!query.collections.empty()) body["collections"] = query.collections;
  if (!query.ids.empty()) body["ids"] = query.ids;
  if (query.box)
    body["bbox"] = {query.box->west, query.box->south, query.box->east, query.box->north};
  if (!query.datetime.empty()) body["datetime"] = query.datetime;
  body["limit"] = limit;
  return body;
}

std::string comma_list(const std::vector<std::string>& words) {
  return fmt::format("{}", fmt::join(words, ","));
}

/// The same search as parameters of a URL.
std::string query_of(const StacQuery& query, uint64_t limit) {
  Pairs pairs;
  if (!query.collections.empty()) pairs.emplace_back("collections", comma_list(query.collections));
  if (!query.ids.empty()) pairs.emplace_back("ids", comma_list(query.ids));
  if (query.box)
    pairs.emplace_back("bbox", fmt::format("{},{},{},{}", query.box->west, query.box->south,
                                           query.box->east, query.box->north));
  if (!query.datetime.empty()) pairs.emplace_back("datetime", query.datetime);
  pairs.emplace_back("limit", std::to_string(limit));
  return encode_query(pairs);
}

SearchRequest post(const std::string& url, const StacJson& body) {
  return {.url = url,
          .headers = {{"accept", "application/geo+json"}},
          .content_type = "application/json",
          .body = body.dump(-1, ' ', false, StacJson::error_handler_t::replace)};
}

SearchRequest get(const std::string& url) {
  return {
      .url = url, .headers = {{"accept", "application/geo+json"}}, .content_type = {}, .body = {}};
}

/// Where the next page is. APIs behind proxies often write http for https.
Result<SearchRequest> next_of(const StacPage& page, const SearchRequest& last) {
  std::string url = io::resolve_url(last.url, page.next_url);
  if (io::host_of(url) != io::host_of(last.url))
    return fail(Code::kPermissionDenied, "the next page lies on another host, " +
                                             io::shown_url(url) + ", which is not followed");
  if (last.url.starts_with("https://") && url.starts_with("http://"))
    url = "https://" + url.substr(std::string_view("http://").size());
  if (page.next_method != "POST") return get(url);
  StacJson body = StacJson::object();
  if (page.merge && !last.body.empty()) body = StacJson::parse(last.body, nullptr, false);
  if (!page.next_body.empty()) {
    const StacJson laid = StacJson::parse(page.next_body, nullptr, false);
    if (!laid.is_object()) return fail(Code::kInvalidData, "the next page's body is no object");
    body.update(laid);
  }
  return post(url, body);
}

bool refuses_post(const Error& error) {
  return error.code == Code::kUnsupported || error.code == Code::kNotFound;
}

}  // namespace

std::string stac_datetime(const std::string& cmr_interval) {
  const size_t comma = cmr_interval.find(',');
  if (comma == std::string::npos) return cmr_interval;
  const auto side = [](const std::string& text) { return text.empty() ? ".." : text; };
  return side(cmr_interval.substr(0, comma)) + "/" + side(cmr_interval.substr(comma + 1));
}

Result<SearchOutcome> search_stac(SearchClient& client, const StacQuery& query,
                                  const SearchOptions& options, const GranuleVisitor& visit) {
  std::string root = query.url;
  while (root.ends_with('/')) root.pop_back();
  if (!root.ends_with("/search")) root += "/search";
  uint64_t limit = options.page_size;
  if (options.limit > 0) limit = std::min(limit, options.limit);
  SearchOutcome outcome;
  SeenIds seen;
  PageProgress progress;
  std::optional<uint64_t> hits;
  const auto full = [&] { return options.limit > 0 && outcome.visited >= options.limit; };
  SearchRequest request = post(root, body_of(query, limit));
  bool first = true;
  while (true) {
    auto answer = client.send(request);
    if (!answer && first && refuses_post(answer.error())) {
      request = get(root + "?" + query_of(query, limit));
      answer = client.send(request);
    }
    if (!answer) return fail(std::move(answer).error());
    first = false;
    auto page = read_stac_page(std::move(answer->body),
                               [&](Granule granule, std::string_view text) -> Result<> {
                                 if (full()) return {};
                                 if (!seen.insert(granule.concept_id)) {
                                   ++outcome.repeated;
                                   return {};
                                 }
                                 ++outcome.visited;
                                 return visit(std::move(granule), text);
                               });
    if (!page) return fail(std::move(page).error().with(io::shown_url(request.url)));
    if (page->summary.hits) hits = page->summary.hits;
    if (full() || page->next_url.empty() || page->summary.items == 0) break;
    UPWELL_CHECK(progress.check(seen.size()));
    UPWELL_TRY(SearchRequest next, next_of(*page, request));
    if (next.url == request.url && next.body == request.body)
      return fail(Code::kInvalidData, "the pages of the search do not move on");
    request = std::move(next);
  }
  outcome.hits = hits.value_or(outcome.visited);
  if (!full() && outcome.hits != outcome.visited)
    outcome.difference =
        fmt::format("the API counts {} items, {} came", outcome.hits, outcome.visited);
  return outcome;
}

}  // namespace upwell::access
