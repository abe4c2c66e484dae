#include "access/cookies.hpp"

#include <algorithm>
#include <string_view>

#include "base/text.hpp"

namespace upwell::access {
namespace {

constexpr size_t kMaxOrigins = 256;
constexpr size_t kMaxCookies = 16;  // of one origin
constexpr size_t kMaxCookie = 4096;

std::string_view bare(std::string_view text) {
  while (text.starts_with(' ')) text.remove_prefix(1);
  while (text.ends_with(' ')) text.remove_suffix(1);
  return text;
}

/// Servers delete a cookie by one that has ended.
bool has_ended(std::string_view attributes) {
  const std::string text = lower_case(attributes);
  return text.find("max-age=0") != std::string::npos ||
         text.find("max-age=-") != std::string::npos ||
         text.find("01-jan-1970") != std::string::npos ||
         text.find("01 jan 1970") != std::string::npos;
}

}  // namespace

void CookieJar::take(const std::string& origin, const std::vector<std::string>& set_cookies) {
  for (const std::string_view cookie : set_cookies) {
    const size_t end = std::min(cookie.find(';'), cookie.size());
    const std::string_view pair = bare(cookie.substr(0, end));
    const size_t equal = pair.find('=');
    if (equal == 0 || equal == std::string_view::npos || pair.size() > kMaxCookie) continue;
    const std::string name(bare(pair.substr(0, equal)));
    if (has_ended(cookie.substr(end))) {
      const auto it = cookies_.find(origin);
      if (it != cookies_.end() && it->second.erase(name) > 0 && it->second.empty())
        cookies_.erase(it);
      continue;
    }
    if (!cookies_.contains(origin) && cookies_.size() >= kMaxOrigins) return;
    auto& own = cookies_[origin];
    if (own.size() >= kMaxCookies && !own.contains(name)) continue;
    own[name] = bare(pair.substr(equal + 1));
  }
}

void CookieJar::adopt(const std::string& origin, const CookieJar& other) {
  drop(origin);
  const auto it = other.cookies_.find(origin);
  if (it != other.cookies_.end() && cookies_.size() < kMaxOrigins) cookies_.insert(*it);
}

std::string CookieJar::header(const std::string& origin) const {
  std::string out;
  const auto it = cookies_.find(origin);
  if (it == cookies_.end()) return out;
  for (const auto& [name, value] : it->second) {
    if (!out.empty()) out += "; ";
    out.append(name).append("=").append(value);
  }
  return out;
}

}  // namespace upwell::access
