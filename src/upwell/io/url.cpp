#include "io/url.hpp"

#include <algorithm>
#include <cctype>
#include <filesystem>

#include "base/text.hpp"
#include "base/url_secrets.hpp"
#include "io/session.hpp"

namespace upwell::io {
namespace {

bool is_alpha(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Length of "https" in "https://x"; 0 for a plain path. "file:/x" is a URL too.
size_t scheme_length(std::string_view url) {
  size_t n = 0;
  while (n < url.size() && (is_alpha(url[n]) || (n > 0 && (is_digit(url[n]) || url[n] == '+' ||
                                                           url[n] == '-' || url[n] == '.')))) {
    ++n;
  }
  if (n == 0 || url.substr(n, 1) != ":") return 0;
  if (url.substr(n, 3) == "://") return n;
  return url.substr(0, n + 2) == "file:/" ? n : 0;
}

/// RFC 3986 section 5.2.4. `path` is "" or begins with '/'.
std::string remove_dot_segments(std::string_view path) {
  std::vector<std::string_view> kept;
  bool directory = false;
  size_t at = 0;
  while (at < path.size()) {
    size_t next = std::min(path.find('/', at + 1), path.size());
    std::string_view segment = path.substr(at + 1, next - at - 1);
    directory = segment == "." || segment == "..";
    if (segment == "..") {
      if (!kept.empty()) kept.pop_back();
    } else if (segment != ".") {
      kept.push_back(segment);
    }
    at = next;
  }
  std::string out;
  for (std::string_view segment : kept) out.append("/").append(segment);
  if (directory) out += '/';
  return out;
}

}  // namespace

std::string scheme_of(const std::string& url) {
  size_t n = scheme_length(url);
  if (n == 0) return "file";
  return lower_case(url.substr(0, n));
}

std::string resolve_url(const std::string& base, const std::string& relative) {
  if (scheme_length(relative) > 0) return relative;
  size_t scheme = scheme_length(base);
  if (scheme == 0) {
    std::filesystem::path joined = std::filesystem::path(base).parent_path() / relative;
    return joined.lexically_normal().string();
  }
  if (relative.empty()) return base;
  bool has_authority = base.compare(scheme, 3, "://") == 0;
  size_t authority_end = scheme + 1;
  if (has_authority) {
    authority_end = std::min(base.find_first_of("/?#", scheme + 3), base.size());
  }
  if (has_authority && relative.starts_with("//")) return base.substr(0, scheme + 1) + relative;

  // An absolute path stays on the host of its base: a remote reference set names no local files.
  size_t query = std::min(relative.find_first_of("?#"), relative.size());
  std::string path = relative.substr(0, query);
  if (!path.starts_with('/')) {
    size_t base_end = std::min(base.find_first_of("?#", authority_end), base.size());
    std::string base_path = base.substr(authority_end, base_end - authority_end);
    size_t slash = base_path.rfind('/');
    path = (slash == std::string::npos ? "/" : base_path.substr(0, slash + 1)) + path;
  }
  return base.substr(0, authority_end) + remove_dot_segments(path) + relative.substr(query);
}

std::string normal_url(const std::string& source) {
  if (scheme_length(source) > 0) return source;
  std::error_code error;
  std::filesystem::path absolute = std::filesystem::absolute(source, error);
  return error ? source : absolute.lexically_normal().string();
}

bool has_user(const std::string& url) {
  const size_t scheme = scheme_length(url);
  return scheme > 0 && url.compare(scheme, 3, "://") == 0 && user_length(url, scheme + 3) > 0;
}

std::string shown_url(const std::string& url) {
  const size_t scheme = scheme_length(url);
  if (scheme == 0 || url.compare(scheme, 3, "://") != 0) return url;
  const size_t host = scheme + 3 + user_length(url, scheme + 3);
  const size_t query = std::min(url.find('?', host), url.size());
  return without_url_secrets(url.substr(0, scheme + 3) + url.substr(host, query - host)) +
         (query < url.size() ? "?..." : "");
}

std::string origin_of(const std::string& url) {
  const size_t scheme = scheme_length(url), start = scheme + 3;
  std::string origin = url.substr(0, url.find_first_of("/?#", start));
  const size_t user = origin.rfind('@');
  if (scheme > 0 && user != std::string::npos && user >= start)
    origin.erase(start, user + 1 - start);
  origin = lower_case(origin);
  if (origin.starts_with("https://") && origin.ends_with(":443")) origin.resize(origin.size() - 4);
  if (origin.starts_with("http://") && origin.ends_with(":80")) origin.resize(origin.size() - 3);
  return origin;
}

std::string host_of(const std::string& url) {
  const size_t start = url.find("://");
  if (start == std::string::npos) return {};
  std::string host = url.substr(start + 3, url.find_first_of("/?#\\", start + 3) - start - 3);
  host = host.substr(host.rfind('@') + 1);
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

std::string encoded_url(const std::string& url) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : url) {
    auto byte = static_cast<unsigned char>(c);
    bool forbidden = byte <= 0x20 || byte >= 0x7f ||
                     std::string_view("\"<>\\^`{|}").find(c) != std::string_view::npos;
    if (!forbidden) {
      out += c;
      continue;
    }
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string file_path_of(const std::string& url) {
  size_t scheme = scheme_length(url);
  if (scheme == 0) return url;
  size_t at = scheme + 1;
  if (url.compare(scheme, 3, "://") == 0) {
    at = scheme + 3;
    if (url.compare(at, 10, "localhost/") == 0) at += 9;
  }
  auto hex = [](char c) {
    if (is_digit(c)) return c - '0';
    int lower = std::tolower(static_cast<unsigned char>(c));
    return lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
  };
  std::string path;
  for (; at < url.size(); ++at) {
    if (url[at] == '%' && at + 2 < url.size() && hex(url[at + 1]) >= 0 && hex(url[at + 2]) >= 0) {
      path += static_cast<char>(hex(url[at + 1]) * 16 + hex(url[at + 2]));
      at += 2;
    } else {
      path += url[at];
    }
  }
  return path;
}

}  // namespace upwell::io
