#include "serve/http.hpp"

#include <libdeflate.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <nlohmann/json.hpp>

namespace upwell::serve {
namespace {

constexpr size_t kMinCompress = 512;            // smaller bodies gain nothing
constexpr size_t kMaxCompressLive = 32U << 20;  // beyond: as it is, rather than seconds of deflate

bool same_letter(char a, char b) {
  auto lower = [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; };
  return lower(a) == lower(b);
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() && std::equal(a.begin(), a.end(), b.begin(), same_letter);
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && (text.front() == ' ' || text.front() == '\t')) text.remove_prefix(1);
  while (!text.empty() && (text.back() == ' ' || text.back() == '\t')) text.remove_suffix(1);
  return text;
}

/// Cuts the next element of a comma list.
std::string_view next_element(std::string_view& list) {
  const size_t comma = list.find(',');
  const std::string_view element = trim(list.substr(0, comma));
  list = comma == std::string_view::npos ? std::string_view{} : list.substr(comma + 1);
  return element;
}

std::optional<uint64_t> parse_digits(std::string_view text) {
  uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

int hex_digit(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// nullopt for a '%' without two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space) {
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '%') {
      if (i + 2 >= text.size()) return std::nullopt;
      const int high = hex_digit(text[i + 1]);
      const int low = hex_digit(text[i + 2]);
      if (high < 0 || low < 0) return std::nullopt;
      out.push_back(static_cast<char>(high * 16 + low));
      i += 2;
    } else {
      out.push_back(plus_is_space && text[i] == '+' ? ' ' : text[i]);
    }
  }
  return out;
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    const auto c = static_cast<uint8_t>(text[i]);
    const size_t length = c < 0x80             ? 1
                          : (c & 0xE0) == 0xC0 ? 2
                          : (c & 0xF0) == 0xE0 ? 3
                          : (c & 0xF8) == 0xF0 ? 4
                                               : 0;
    if (length == 0 || i + length > text.size()) return false;
    for (size_t k = 1; k < length; ++k) {
      if ((static_cast<uint8_t>(text[i + k]) & 0xC0) != 0x80) return false;
    }
    i += length;
  }
  return true;
}

bool safe_segment(std::string_view segment) {
  if (segment == "." || segment == "..") return false;
  const bool clean = std::none_of(segment.begin(), segment.end(), [](char c) {
    return static_cast<uint8_t>(c) < 0x20 || c == 0x7F || c == '/' || c == '\\';
  });
  return clean && is_utf8(segment);
}

Response range_not_satisfiable(const Response& whole) {
  Response response = error_response(416, "the range lies outside the object");
  response.headers.emplace_back("Content-Range", "bytes */" + std::to_string(whole.body.size));
  return response;
}

Response not_modified(Response response) {
  response.status = 304;
  response.content_type.clear();
  response.body = {};
  response.gzip = {};
  return response;
}

bool wants_range(const Request& request, const Response& response) {
  if (response.status != 200 || request.header("Range").empty()) return false;
  const std::string_view if_range = request.header("If-Range");
  // Dates are never sent as validators here, so only a strong ETag can match.
  return if_range.empty() || (!response.etag.empty() && if_range == '"' + response.etag + '"');
}

void compress(const Request& request, Response& response) {
  if (!response.compressible || response.body.fetch) return;
  response.headers.emplace_back("Vary", "Accept-Encoding");
  if (!accepts_gzip(request.header("Accept-Encoding"))) return;
  if (response.gzip.empty()) {
    const size_t size = response.body.bytes.size();
    if (size < kMinCompress || size > kMaxCompressLive) return;
    response.gzip = gzip_compress(response.body.bytes.span(), 4);
  }
  if (response.gzip.empty() || response.gzip.size() >= response.body.size) return;
  response.body = Body::of(std::move(response.gzip));
  response.gzip = {};
  response.headers.emplace_back("Content-Encoding", "gzip");
  // Another representation, so another strong ETag.
  if (!response.etag.empty()) response.etag += "-gzip";
}

}  // namespace

std::string_view Request::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (same_name(key, name)) return value;
  }
  return {};
}

Body Body::of(SharedBytes ready) {
  Body body;
  body.size = ready.size();
  body.bytes = std::move(ready);
  return body;
}

Body Body::of(std::string_view text) { return of(SharedBytes(to_bytes(text))); }

Response error_response(int status, std::string_view detail) {
  Response response;
  response.status = status;
  response.content_type = "application/json";
  const nlohmann::json document{{"detail", std::string(detail)}};
  response.body =
      Body::of(document.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n");
  response.headers.emplace_back("Cache-Control", "no-store");
  return response;
}

Response error_response(const Error& error) {
  int status = http_status(error.code);
  if (status < 400 || status == 404) status = 502;
  Response response = error_response(status, error.to_string());
  if (status == 503) {
    const double wait = std::clamp(error.retry_after_s.value_or(2), 1.0, 86400.0);
    response.headers.emplace_back("Retry-After",
                                  std::to_string(static_cast<int64_t>(wait + 0.999)));
  }
  return response;
}

RangeOutcome parse_range(std::string_view header, uint64_t size, ByteRange& range) {
  range = {0, size};
  constexpr std::string_view kUnit = "bytes=";
  if (!header.starts_with(kUnit)) return RangeOutcome::kWhole;
  const std::string_view spec = trim(header.substr(kUnit.size()));
  const size_t dash = spec.find('-');
  if (dash == std::string_view::npos || spec.find(',') != std::string_view::npos) {
    return RangeOutcome::kWhole;
  }
  const std::string_view first_text = spec.substr(0, dash);
  const std::string_view last_text = spec.substr(dash + 1);
  if (first_text.empty()) {
    const auto suffix = parse_digits(last_text);
    if (!suffix) return RangeOutcome::kWhole;
    if (*suffix == 0 || size == 0) return RangeOutcome::kUnsatisfiable;
    const uint64_t length = std::min(*suffix, size);
    range = {size - length, length};
    return RangeOutcome::kPart;
  }
  const auto first = parse_digits(first_text);
  const auto last =
      last_text.empty() ? std::optional<uint64_t>(UINT64_MAX) : parse_digits(last_text);
  if (!first || !last || *last < *first) return RangeOutcome::kWhole;
  if (*first >= size) return RangeOutcome::kUnsatisfiable;
  range = {*first, std::min(*last, size - 1) - *first + 1};
  return RangeOutcome::kPart;
}

bool etag_listed(std::string_view list, std::string_view etag) {
  while (!list.empty()) {
    std::string_view element = next_element(list);
    if (element == "*") return true;
    if (element.starts_with("W/")) element.remove_prefix(2);
    if (element.size() >= 2 && element.front() == '"' && element.back() == '"' &&
        element.substr(1, element.size() - 2) == etag) {
      return true;
    }
  }
  return false;
}

bool accepts_gzip(std::string_view accept_encoding) {
  while (!accept_encoding.empty()) {
    const std::string_view element = next_element(accept_encoding);
    const size_t semicolon = element.find(';');
    const std::string_view name = trim(element.substr(0, semicolon));
    if (!same_name(name, "gzip") && name != "*") continue;
    if (semicolon == std::string_view::npos) return true;
    const std::string_view weight = trim(element.substr(semicolon + 1));
    // "q=0", "q=0.0", "q=0.000" refuse; any other digit accepts.
    return weight.find_first_of("123456789") != std::string_view::npos;
  }
  return false;
}

Response finish(const Request& request, Response response) {
  const bool head = request.method == "HEAD";
  const bool ranged = wants_range(request, response);
  if (response.status == 200 && !response.etag.empty()) {
    const std::string_view list = request.header("If-None-Match");
    if (!list.empty() &&
        (etag_listed(list, response.etag) || etag_listed(list, response.etag + "-gzip"))) {
      return not_modified(std::move(response));
    }
  }
  if (!ranged) compress(request, response);
  ByteRange range{0, response.body.size};
  if (ranged) {
    const auto outcome = parse_range(request.header("Range"), response.body.size, range);
    if (outcome == RangeOutcome::kUnsatisfiable) return range_not_satisfiable(response);
    if (outcome == RangeOutcome::kPart) {
      response.status = 206;
      response.headers.emplace_back("Content-Range",
                                    "bytes " + std::to_string(range.offset) + "-" +
                                        std::to_string(range.offset + range.length - 1) + "/" +
                                        std::to_string(response.body.size));
    }
  }
  if (response.body.fetch) {
    if (!head) {
      auto bytes = response.body.fetch(range.offset, range.length);
      if (!bytes) return error_response(bytes.error());
      response.body.bytes = std::move(*bytes);
    }
    response.body.fetch = nullptr;
  } else if (response.status == 206) {
    response.body.bytes = response.body.bytes.slice(range.offset, range.length);
  }
  response.body.size = range.length;
  return response;
}

std::optional<std::vector<std::string>> split_target(std::string_view target) {
  target = target.substr(0, target.find_first_of("?#"));
  if (target.empty() || target.front() != '/') return std::nullopt;
  target.remove_prefix(1);
  std::vector<std::string> segments;
  while (true) {
    const size_t slash = target.find('/');
    auto segment = percent_decode(target.substr(0, slash), false);
    if (!segment || !safe_segment(*segment)) return std::nullopt;
    const bool last = slash == std::string_view::npos;
    if (segment->empty() && !last) return std::nullopt;
    segments.push_back(std::move(*segment));
    if (last) return segments;
    target.remove_prefix(slash + 1);
  }
}

std::vector<std::pair<std::string, std::string>> query_of(std::string_view target) {
  std::vector<std::pair<std::string, std::string>> pairs;
  const size_t question = target.find('?');
  if (question == std::string_view::npos) return pairs;
  std::string_view query = target.substr(question + 1);
  query = query.substr(0, query.find('#'));
  while (!query.empty()) {
    const size_t amp = query.find('&');
    const std::string_view pair = query.substr(0, amp);
    query = amp == std::string_view::npos ? std::string_view{} : query.substr(amp + 1);
    const size_t equals = pair.find('=');
    auto decode = [](std::string_view text) {
      auto decoded = percent_decode(text, true);
      return decoded ? std::move(*decoded) : std::string(text);
    };
    pairs.emplace_back(decode(pair.substr(0, equals)),
                       equals == std::string_view::npos ? "" : decode(pair.substr(equals + 1)));
  }
  return pairs;
}

std::string content_hash(ByteSpan bytes) {
  // Two lanes of multiply-and-fold over 8-byte words: a few GB/s, and 128 bits against chance.
  auto fold = [](uint64_t a, uint64_t b) {
    const auto product = static_cast<unsigned __int128>(a) * b;
    return static_cast<uint64_t>(product) ^ static_cast<uint64_t>(product >> 64);
  };
  constexpr uint64_t kPrime1 = 0x9E3779B185EBCA87ULL;
  constexpr uint64_t kPrime2 = 0xC2B2AE3D27D4EB4FULL;
  uint64_t one = kPrime1 ^ bytes.size();
  uint64_t two = kPrime2 + bytes.size();
  size_t i = 0;
  for (; i + 16 <= bytes.size(); i += 16) {
    const uint64_t a = load_le<uint64_t>(bytes.data() + i);
    const uint64_t b = load_le<uint64_t>(bytes.data() + i + 8);
    one = fold(one ^ a, kPrime2 ^ b);
    two = fold(two + b, kPrime1 + a) ^ one;
  }
  std::array<uint8_t, 16> tail{};
  if (i < bytes.size()) std::memcpy(tail.data(), bytes.data() + i, bytes.size() - i);
  const uint64_t a = load_le<uint64_t>(tail.data());
  const uint64_t b = load_le<uint64_t>(tail.data() + 8);
  one = fold(one ^ a, kPrime2 ^ b);
  two = fold(two + b, kPrime1 + a) ^ one;
  one = fold(one ^ kPrime1, kPrime2);
  two = fold(two ^ kPrime2, kPrime1);

  constexpr std::string_view kHex = "0123456789abcdef";
  std::string text(32, '0');
  for (size_t k = 0; k < 16; ++k) {
    text[k] = kHex[(one >> (60 - 4 * k)) & 15];
    text[16 + k] = kHex[(two >> (60 - 4 * k)) & 15];
  }
  return text;
}

SharedBytes gzip_compress(ByteSpan bytes, int level) {
  libdeflate_compressor* compressor = libdeflate_alloc_compressor(level);
  if (compressor == nullptr) return {};
  Bytes out(libdeflate_gzip_compress_bound(compressor, bytes.size()));
  const size_t size =
      libdeflate_gzip_compress(compressor, bytes.data(), bytes.size(), out.data(), out.size());
  libdeflate_free_compressor(compressor);
  if (size == 0) return {};
  out.resize(size);
  out.shrink_to_fit();
  return SharedBytes(std::move(out));
}

std::string_view reason_phrase(int status) {
  switch (status) {
    case 200:
      return "OK";
    case 204:
      return "No Content";
    case 206:
      return "Partial Content";
    case 301:
      return "Moved Permanently";
    case 304:
      return "Not Modified";
    case 400:
      return "Bad Request";
    case 404:
      return "Not Found";
    case 405:
      return "Method Not Allowed";
    case 408:
      return "Request Timeout";
    case 409:
      return "Conflict";
    case 413:
      return "Content Too Large";
    case 414:
      return "URI Too Long";
    case 416:
      return "Range Not Satisfiable";
    case 422:
      return "Unprocessable Content";
    case 431:
      return "Request Header Fields Too Large";
    case 500:
      return "Internal Server Error";
    case 502:
      return "Bad Gateway";
    case 503:
      return "Service Unavailable";
    case 507:
      return "Insufficient Storage";
    default:
      return "Unknown";
  }
}

}  // namespace upwell::serve
