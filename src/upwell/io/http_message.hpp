#pragma once
// What a response says (RFC 9110), without any I/O.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.hpp"
#include "io/byte_store.hpp"

namespace upwell::io {

/// The fields of a response that matter for reading ranges; empty or absent where not sent.
struct ResponseHead {
  int status = 0;
  std::optional<uint64_t> content_length;
  std::string content_range;
  std::string content_type;
  std::string content_encoding;
  std::string etag;
  std::string last_modified;
  std::string retry_after;
  std::string bucket_region;  ///< x-amz-bucket-region, of S3
  std::string cache_control;  ///< lower case
  std::string expires;
  std::vector<std::string> cookies;  ///< values of Set-Cookie
  std::optional<int64_t> date_unix_s;
  /// Fields whose names begin with "cmr-", of NASA's catalogue; names in lower case.
  std::vector<std::pair<std::string, std::string>> cmr;

  /// Takes one header line, with or without its line end. A status line begins a new response.
  void take_line(std::string_view line);
};

/// Content-Range, RFC 9110 section 14.4: "bytes first-last/size", "bytes first-last/*", "bytes
/// */size".
struct ContentRange {
  std::optional<uint64_t> first;
  uint64_t last = 0;
  std::optional<uint64_t> size;
};
std::optional<ContentRange> parse_content_range(std::string_view text);

/// Seconds from `now` of an HTTP date or a number of seconds (RFC 9110 section 10.2.3), never
/// negative.
std::optional<double> parse_retry_after(const std::string& text, int64_t now_s);

/// Size unknown: 0. Settled: by Last-Modified and Date, without Date by the clock of this machine;
/// never without Last-Modified.
ObjectInfo object_info(const ResponseHead& head, std::optional<uint64_t> size);

/// The body is not the object's bytes but an encoding of them. "aws-chunked" is none: it tells how
/// a body was once sent to S3, and some services keep it as if it were the object's.
bool is_encoded(const ResponseHead& head);
/// RFC 9110, 8.4.1.3.
bool is_gzip(const ResponseHead& head);

/// Whether the name of the object promises an HTML page.
bool names_page(const std::string& url);
/// The answer is an HTML page, by its type, or by the first words of its body as far as that is
/// there. Where the name promises none it is a login or an error page.
bool is_page(const ResponseHead& head, ByteSpan body = {});

/// 408, 429, 500, 502, 503, 504.
bool is_transient_status(int status);
/// 301, 302, 303, 307, 308.
bool is_redirect_status(int status);
Code code_of_status(int status);
/// "HTTP 404 Not Found"
std::string status_text(int status);

}  // namespace upwell::io
