#include "io/kept_redirects.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <ctime>
#include <iterator>

#include "io/http_job.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

/// About 1.5 kB each, for a signed URL.
constexpr size_t kMaxKept = 16 << 10;
/// A request takes a while to get there, and clocks differ a little.
constexpr double kSignatureMargin = 30;
constexpr double kLongest = 7 * 86400;

std::optional<int64_t> number_at(std::string_view text) {
  int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || value < 0) return {};
  return value;
}

/// The value of a parameter of the query, as it is written there.
std::optional<std::string_view> query_value(std::string_view url, std::string_view name) {
  size_t at = url.find('?');
  while (at < url.size()) {
    const std::string_view rest = url.substr(at + 1);
    const std::string_view pair = rest.substr(0, rest.find_first_of("&#"));
    if (pair.starts_with(name) && pair.substr(name.size(), 1) == "=")
      return pair.substr(name.size() + 1);
    at += 1 + pair.size();
    if (at < url.size() && url[at] == '#') break;
  }
  return {};
}

/// Seconds of max-age; 0 where the answer must not be kept.
std::optional<double> cache_control_life(std::string_view text) {
  std::optional<double> life;
  while (!text.empty()) {
    const size_t end = std::min(text.find(','), text.size());
    std::string_view word = text.substr(0, end);
    text.remove_prefix(std::min(end + 1, text.size()));
    word.remove_prefix(std::min(word.find_first_not_of(' '), word.size()));
    if (word.starts_with("no-store") || word.starts_with("no-cache")) return 0;
    if (!word.starts_with("max-age=")) continue;
    if (const auto seconds = number_at(word.substr(8))) life = static_cast<double>(*seconds);
  }
  return life;
}

std::optional<int64_t> amazon_date(std::string_view text) {
  std::tm t{};
  if (std::sscanf(std::string(text).c_str(), "%4d%2d%2dT%2d%2d%2dZ", &t.tm_year, &t.tm_mon,
                  &t.tm_mday, &t.tm_hour, &t.tm_min, &t.tm_sec) != 6)
    return {};
  t.tm_year -= 1900;
  t.tm_mon -= 1;
  return int64_t{::timegm(&t)};
}

std::optional<double> signature_life(const std::string& target, int64_t now_s) {
  std::optional<int64_t> end;
  if (const auto expires = query_value(target, "X-Amz-Expires")) {
    const auto start = amazon_date(query_value(target, "X-Amz-Date").value_or(""));
    const auto seconds = number_at(*expires);
    if (start && seconds) end = *start + *seconds;
  } else if (const auto epoch = query_value(target, "Expires")) {
    end = number_at(*epoch);
  }
  if (!end) return {};
  const auto left = static_cast<double>(*end - now_s);
  return std::max(0.0, left - std::min(kSignatureMargin, left / 10));
}

}  // namespace

std::optional<double> redirect_life(const ResponseHead& head, const std::string& target,
                                    int64_t now_s) {
  const int64_t now = head.date_unix_s.value_or(now_s);
  std::optional<double> life = cache_control_life(head.cache_control);
  if (!life && !head.expires.empty()) {
    const time_t end = curl_getdate(head.expires.c_str(), nullptr);
    life = end < 0 ? 0 : std::max(0.0, static_cast<double>(int64_t{end} - now));
  }
  if (const auto signature = signature_life(target, now))
    life = std::min(life.value_or(*signature), *signature);
  if (!life || *life <= 0) return {};
  return std::min(*life, kLongest);
}

bool is_signed_url(const std::string& url) {
  return query_value(url, "X-Amz-Signature") || query_value(url, "Signature") ||
         query_value(url, "X-Goog-Signature") ||
         (query_value(url, "sig") && query_value(url, "sv"));  // Azure's
}

KeptRedirects::Turn KeptRedirects::turn(HttpJob& job, bool redirects, std::string& target) {
  std::lock_guard lock(mutex_);
  if (auto it = kept_.find(job.url); it != kept_.end()) {
    if (it->second.until > Clock::now()) {
      target = it->second.target;
      return Turn::kFollow;
    }
    drop(it);
  }
  if (!redirects) return Turn::kGo;
  const auto [it, first] = waiting_.try_emplace(job.url);
  if (first || job.leads) return Turn::kLead;
  it->second.push_back(&job);
  return Turn::kWait;
}

std::vector<HttpJob*> KeptRedirects::release(const std::string& url) {
  std::lock_guard lock(mutex_);
  const auto node = waiting_.extract(url);
  return node.empty() ? std::vector<HttpJob*>() : node.mapped();
}

void KeptRedirects::keep(const std::string& url, const std::string& target, double seconds) {
  const auto life =
      std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
  std::lock_guard lock(mutex_);
  redirecting_.insert(origin_of(url));
  direct_.erase(origin_of(url));
  if (const auto it = kept_.find(url); it != kept_.end()) drop(it);
  order_.push_back(url);
  kept_.emplace(url, Kept{target, Clock::now() + life, std::prev(order_.end())});
  if (order_.size() > kMaxKept) drop(kept_.find(order_.front()));
}

void KeptRedirects::drop(KeptMap::iterator it) {
  order_.erase(it->second.place);
  kept_.erase(it);
}

void KeptRedirects::forget(const std::string& url, const std::string& target) {
  std::lock_guard lock(mutex_);
  const auto it = kept_.find(url);
  if (it != kept_.end() && it->second.target == target) drop(it);
}

void KeptRedirects::note_direct(const std::string& origin) {
  std::lock_guard lock(mutex_);
  direct_.insert(origin);
}

bool KeptRedirects::expects_redirect(const std::string& origin, bool covered) const {
  std::lock_guard lock(mutex_);
  return redirecting_.contains(origin) || (covered && !direct_.contains(origin));
}

}  // namespace upwell::io
