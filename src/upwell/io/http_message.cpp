#include "io/http_message.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <ctime>

#include "base/text.hpp"

namespace upwell::io {
namespace {

std::string_view trimmed(std::string_view text) {
  auto space = [](char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

/// A whole non-negative number, nothing else.
std::optional<uint64_t> parse_count(std::string_view text) {
  uint64_t value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || text.empty() || end != text.data() + text.size()) return {};
  return value;
}

}  // namespace

void ResponseHead::take_line(std::string_view line) {
  if (line.starts_with("HTTP/")) {
    *this = ResponseHead{};
    size_t space = line.find(' ');
    if (space == std::string_view::npos) return;
    status = static_cast<int>(parse_count(line.substr(space + 1, 3)).value_or(0));
    return;
  }
  size_t colon = line.find(':');
  if (colon == std::string_view::npos) return;
  std::string name = lower_case(trimmed(line.substr(0, colon)));
  std::string_view value = trimmed(line.substr(colon + 1));
  if (name == "content-length") content_length = parse_count(value);
  if (name == "content-range") content_range = value;
  if (name == "content-type") content_type = lower_case(value);
  if (name == "content-encoding") content_encoding = lower_case(value);
  if (name == "etag") etag = value;
  if (name == "last-modified") last_modified = value;
  if (name == "retry-after") retry_after = value;
  if (name == "x-amz-bucket-region") bucket_region = value;
  if (name.starts_with("cmr-")) cmr.emplace_back(name, value);
  if (name == "cache-control")
    cache_control += (cache_control.empty() ? "" : ",") + lower_case(value);
  if (name == "expires") expires = value;
  if (name == "set-cookie") cookies.emplace_back(value);
  if (name == "date") {
    time_t date = curl_getdate(std::string(value).c_str(), nullptr);
    if (date >= 0) date_unix_s = int64_t{date};
  }
}

std::optional<ContentRange> parse_content_range(std::string_view text) {
  text = trimmed(text);
  if (lower_case(text.substr(0, 6)) != "bytes ") return {};
  text = trimmed(text.substr(6));
  size_t slash = text.find('/');
  if (slash == std::string_view::npos) return {};
  std::string_view range = trimmed(text.substr(0, slash));
  std::string_view size = trimmed(text.substr(slash + 1));
  ContentRange out;
  if (size != "*") {
    out.size = parse_count(size);
    if (!out.size) return {};
  }
  if (range == "*") return out.size ? std::optional(out) : std::nullopt;
  size_t dash = range.find('-');
  if (dash == std::string_view::npos) return {};
  auto first = parse_count(range.substr(0, dash));
  auto last = parse_count(range.substr(dash + 1));
  if (!first || !last || *last < *first || *last == kToEnd) return {};
  if (out.size && *last >= *out.size) return {};
  out.first = first;
  out.last = *last;
  return out;
}

std::optional<double> parse_retry_after(const std::string& text, int64_t now_s) {
  if (text.empty()) return {};
  if (auto seconds = parse_count(text)) return static_cast<double>(*seconds);
  time_t date = curl_getdate(text.c_str(), nullptr);
  if (date < 0) return {};
  return static_cast<double>(std::max<int64_t>(0, int64_t{date} - now_s));
}

ObjectInfo object_info(const ResponseHead& head, std::optional<uint64_t> size) {
  ObjectInfo info;
  info.size = size.value_or(0);
  info.etag = head.etag;
  time_t date = head.last_modified.empty() ? -1 : curl_getdate(head.last_modified.c_str(), nullptr);
  if (date >= 0) info.mtime_ns = int64_t{date} * 1'000'000'000;
  // Servers make ETags of a time in seconds and the length: what was changed a moment ago may
  // change again without another ETag.
  constexpr int64_t kSettledAfter = 3;
  const int64_t seen = head.date_unix_s ? *head.date_unix_s : int64_t{std::time(nullptr)};
  info.settled = date >= 0 && seen - int64_t{date} > kSettledAfter;
  return info;
}

bool is_gzip(const ResponseHead& head) {
  return head.content_encoding == "gzip" || head.content_encoding == "x-gzip";
}

bool is_encoded(const ResponseHead& head) {
  return !head.content_encoding.empty() && head.content_encoding != "identity" &&
         head.content_encoding != "aws-chunked";
}

bool names_page(const std::string& url) {
  const std::string path = lower_case(url.substr(0, url.find_first_of("?#")));
  return path.ends_with(".html") || path.ends_with(".htm");
}

bool is_page(const ResponseHead& head, ByteSpan body) {
  if (head.content_type.starts_with("text/html")) return true;
  std::string start = lower_case(as_text(body.first(std::min<size_t>(body.size(), 64))));
  start.erase(0, std::min(start.find_first_not_of(" \t\r\n"), start.size()));
  return start.starts_with("<!doctype html") || start.starts_with("<html");
}

bool is_transient_status(int status) {
  constexpr std::array kTransient{408, 429, 500, 502, 503, 504};
  return std::find(kTransient.begin(), kTransient.end(), status) != kTransient.end();
}

bool is_redirect_status(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

Code code_of_status(int status) {
  if (is_transient_status(status)) return Code::kUnavailable;
  if (status == 401 || status == 407) return Code::kUnauthenticated;
  if (status == 403) return Code::kPermissionDenied;
  if (status == 404 || status == 410) return Code::kNotFound;
  if (status == 405 || status == 501 || status == 505) return Code::kUnsupported;
  return Code::kInvalidData;
}

std::string status_text(int status) {
  struct Row {
    int status;
    std::string_view text;
  };
  constexpr std::array<Row, 14> kTexts{{{400, "Bad Request"},
                                        {401, "Unauthorized"},
                                        {403, "Forbidden"},
                                        {404, "Not Found"},
                                        {405, "Method Not Allowed"},
                                        {408, "Request Timeout"},
                                        {410, "Gone"},
                                        {416, "Range Not Satisfiable"},
                                        {429, "Too Many Requests"},
                                        {500, "Internal Server Error"},
                                        {501, "Not Implemented"},
                                        {502, "Bad Gateway"},
                                        {503, "Service Unavailable"},
                                        {504, "Gateway Timeout"}}};
  std::string text = "HTTP " + std::to_string(status);
  for (const Row& row : kTexts) {
    if (row.status == status) text.append(" ").append(row.text);
  }
  return text;
}

}  // namespace upwell::io
