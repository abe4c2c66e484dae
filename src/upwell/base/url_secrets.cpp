#include "base/url_secrets.hpp"

#include <algorithm>
#include <string_view>

#include "base/text.hpp"

namespace upwell {
namespace {

/// What ends a URL in the middle of a text.
constexpr std::string_view kAround = " \t\r\n\"'<>|`";

bool holds_secret(std::string_view query) {
  constexpr std::string_view kNames[] = {"sig=",     "signature", "token",  "key",
                                         "password", "passwd",    "secret", "credential"};
  const std::string lower = lower_case(query);
  return std::any_of(std::begin(kNames), std::end(kNames),
                     [&](std::string_view name) { return lower.find(name) != std::string::npos; });
}

}  // namespace

std::string without_url_secrets(std::string text) {
  for (size_t at = text.find("://"); at != std::string::npos; at = text.find("://", at)) {
    at += 3;
    size_t end = std::min(text.find_first_of(kAround, at), text.size());
    const size_t path = std::min(text.find_first_of("/?#", at), end);
    if (const size_t user = text.substr(at, path - at).rfind('@'); user != std::string::npos) {
      text.erase(at, user + 1);
      end -= user + 1;
    }
    const size_t query = text.find('?', at);
    if (query >= end) continue;
    // "URL: what is wrong with it"
    while (end > query + 1 && std::string_view(":,;.)]}").find(text[end - 1]) != std::string::npos)
      --end;
    if (holds_secret(std::string_view(text).substr(query, end - query)))
      text.replace(query + 1, end - query - 1, "...");
  }
  return text;
}

}  // namespace upwell
