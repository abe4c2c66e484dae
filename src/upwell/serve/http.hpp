#pragma once
// Requests and responses as handlers see them, and what HTTP (RFC 9110) makes of a response for the
// request at hand: conditions, ranges, HEAD, compression. No sockets here.

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::serve {

using Header = std::pair<std::string, std::string>;

struct Request {
  std::string method;  ///< "GET", "HEAD", "OPTIONS", ...
  std::string target;  ///< as sent: path and query, percent-encoded
  std::vector<Header> headers;

  /// Value of the first header of this name (case does not matter); empty when there is none.
  std::string_view header(std::string_view name) const;
};

/// The bytes of a response: at hand, or fetched once it is known which of them are wanted. HEAD,
/// 304 and 416 never fetch.
struct Body {
  SharedBytes bytes;
  uint64_t size = 0;
  /// When set: gives [offset, offset + length) of `size` bytes; `bytes` is empty until then.
  std::function<Result<SharedBytes>(uint64_t offset, uint64_t length)> fetch;

  static Body of(SharedBytes ready);
  static Body of(std::string_view text);
};

struct Response {
  int status = 200;
  std::string content_type;  ///< empty: no Content-Type
  std::vector<Header> headers;
  std::string etag;  ///< strong, without quotes; empty: none
  Body body;
  SharedBytes gzip;           ///< the same body compressed beforehand, for clients that accept it
  bool compressible = false;  ///< JSON and HTML: may be compressed on the way out
};

/// {"detail": "..."} with this status, as xpublish has it.
Response error_response(int status, std::string_view detail);
/// For a failing source: 502 or 503 by http_status(), Retry-After where it helps. Never 404.
Response error_response(const Error& error);

/// Answers conditions (If-None-Match), ranges (Range, If-Range), HEAD and Accept-Encoding, and
/// fetches the body if it is wanted. Ready to send.
Response finish(const Request& request, Response response);

struct ByteRange {
  uint64_t offset = 0;
  uint64_t length = 0;
  bool operator==(const ByteRange&) const = default;
};
enum class RangeOutcome { kWhole, kPart, kUnsatisfiable };
/// RFC 9110 section 14.2 on one range ("bytes=0-9", "bytes=5-", "bytes=-4"). Anything that is not
/// understood, and more than one range, gives the whole body, as the RFC allows.
RangeOutcome parse_range(std::string_view header, uint64_t size, ByteRange& range);
/// True when an If-None-Match list names this ETag (or is "*").
bool etag_listed(std::string_view list, std::string_view etag);
/// True when Accept-Encoding allows gzip (q other than 0).
bool accepts_gzip(std::string_view accept_encoding);

/// Path segments of a target, percent-decoded, query cut off. nullopt when malformed: no leading
/// '/', bad escapes, control characters, "." or ".." or a '/' or '\' within a segment, bytes that
/// are not UTF-8. A trailing '/' gives a last empty segment; other empty segments are malformed.
std::optional<std::vector<std::string>> split_target(std::string_view target);
/// key=value pairs of the query, percent-decoded ('+' is a space); malformed escapes stay as they
/// are.
std::vector<std::pair<std::string, std::string>> query_of(std::string_view target);

/// 128 bits in hexadecimal that identify these bytes. Not cryptographic.
std::string content_hash(ByteSpan bytes);
SharedBytes gzip_compress(ByteSpan bytes, int level);
std::string_view reason_phrase(int status);

}  // namespace upwell::serve
