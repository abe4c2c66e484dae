#include "base/url_secrets.hpp"

#include <algorithm>
#include <charconv>

#include "base/text.hpp"

namespace upwell {
namespace {

constexpr size_t kNone = std::string_view::npos;
/// What ends a URL in the middle of a text. Not quotes, brackets and '|': passwords and queries
/// that people type have them, and rather too much is taken out than too little.
constexpr std::string_view kAround = " \t\r\n";
/// "'URL': what is wrong with it"
constexpr std::string_view kBehind = ":,;.)]}'\"<>|`\\";

/// Decodes %XX, also where the '%' is encoded itself, as in URLs that are handed on in queries.
std::string fully_decoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    out += c;
    while (out.size() >= 3 && out[out.size() - 3] == '%') {
      const char* const end = out.data() + out.size();
      unsigned char value = 0;
      const auto [stop, error] = std::from_chars(end - 2, end, value, 16);
      if (error != std::errc{} || stop != end) break;
      out.resize(out.size() - 3);
      out += static_cast<char>(value);
    }
  }
  return out;
}

/// `name` is one of a parameter. Words that ordinary queries have (pass=12, keyword=sst) are none.
bool is_secret_name(std::string_view name) {
  std::string plain = lower_case(name);
  std::erase_if(plain, [](char c) { return !((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9')); });
  for (const char* part : {"signature", "token", "password", "passwd", "passphrase", "passcode",
                           "secret", "credential", "apikey", "accesskey", "authorization"})
    if (plain.find(part) != std::string::npos) return true;
  if (plain.ends_with("key") || plain.ends_with("keyid")) return true;
  for (const char* whole : {"sig", "auth", "pwd", "jwt", "sessionid"})
    if (plain == whole) return true;
  return false;
}

/// `named` of the names of parameters in what begins with the first '?' or '#' of `url`.
template <typename Named>
bool any_parameter(std::string_view url, Named named) {
  const size_t query = url.find_first_of("?#");
  if (query == kNone) return false;
  const std::string text = fully_decoded(url.substr(query));
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of("?#&;", at), text.size());
    const std::string_view pair = std::string_view(text).substr(at, end - at);
    if (const size_t equals = pair.find('='); equals != kNone && named(pair.substr(0, equals)))
      return true;
    at = end + 1;
  }
  return false;
}

/// As `query_holds_secret`, and the code that a login host hands back, which a message must not
/// show either; in the URL of a granule a code is one of a station.
bool hides_query(std::string_view url) {
  return any_parameter(url, [](std::string_view name) {
    return lower_case(name) == "code" || is_secret_name(name);
  });
}

/// `last` is where the last '@' of `url` is: it is not looked for again at every "://".
size_t user_length(std::string_view url, size_t at, size_t last) {
  if (last == kNone || last < at) return 0;
  const size_t path = std::min(url.find_first_of("/?#", at), url.size());
  const std::string_view authority = url.substr(at, path - at);
  const size_t user = authority.rfind('@') + 1;  // 0 for none
  if (last < path) return user;
  // "me:pass/word@host" reads as the host "me" with a port, but a port is digits.
  const std::string_view host = authority.substr(user);
  const size_t port =
      host.find(':', host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0);
  const bool digits = port == kNone || host.find_first_not_of("0123456789", port + 1) == kNone;
  return digits ? user : last + 1 - at;
}

/// `word` has no space in it, but perhaps several URLs: "from=https://a,to=https://b".
void append_shown(std::string& out, std::string_view word) {
  const size_t first = word.find("://");
  if (first == kNone) {
    out += word;
    return;
  }
  const size_t start = out.size(), last = word.rfind('@');
  size_t done = 0;
  for (size_t at = first; at != kNone; at = word.find("://", done)) {
    out += word.substr(done, at + 3 - done);
    done = at + 3 + user_length(word, at + 3, last);
  }
  out += word.substr(done);
  // With the query of the first URL those of the others are looked at, too.
  const size_t query = out.find_first_of("?#", start + first + 3);
  if (query == kNone || !hides_query(std::string_view(out).substr(query))) return;
  const size_t end = std::max(query, out.find_last_not_of(kBehind)) + 1;
  out.replace(query + 1, end - query - 1, "...");
}

}  // namespace

size_t user_length(std::string_view url, size_t at) { return user_length(url, at, url.rfind('@')); }

bool query_holds_secret(std::string_view url) { return any_parameter(url, is_secret_name); }

std::string without_url_secrets(std::string text) {
  if (text.find("://") == std::string::npos) return text;
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find_first_of(kAround, at), text.size());
    append_shown(out, std::string_view(text).substr(at, end - at));
    if (end < text.size()) out += text[end];
    at = end + 1;
  }
  return out;
}

}  // namespace upwell
