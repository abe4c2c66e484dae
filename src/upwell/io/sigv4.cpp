#include "io/sigv4.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <algorithm>
#include <ctime>
#include <map>

#include "base/text.hpp"

namespace upwell::io {
namespace {

constexpr std::string_view kAlgorithm = "AWS4-HMAC-SHA256";

Bytes hmac_sha256(ByteSpan key, std::string_view text) {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  ByteSpan data = as_bytes(text);
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()), data.data(), data.size(), out.data(),
       &size);
  out.resize(size);
  return out;
}

/// Without spaces around it, and one space for each run of them inside.
std::string folded(std::string_view value) {
  std::string out;
  for (char c : value) {
    bool space = c == ' ' || c == '\t' || c == '\n' || c == '\r';
    if (!space) {
      out += c;
    } else if (!out.empty() && out.back() != ' ') {
      out += ' ';
    }
  }
  while (out.ends_with(' ')) out.pop_back();
  return out;
}

/// Lower-case names; headers of one name joined by commas in the order in which they came.
std::map<std::string, std::string> canonical_headers(const SigningRequest& request) {
  std::map<std::string, std::string> headers;
  for (const auto& [name, value] : request.headers) {
    auto [it, added] = headers.try_emplace(lower_case(name), folded(value));
    if (!added) it->second += "," + folded(value);
  }
  return headers;
}

std::string signed_headers(const SigningRequest& request) {
  std::string names;
  for (const auto& [name, value] : canonical_headers(request)) {
    names += (names.empty() ? "" : ";") + name;
  }
  return names;
}

std::string scope_of(const SigningKey& key, const std::string& date) {
  return date.substr(0, 8) + "/" + key.region + "/" + key.service + "/aws4_request";
}

}  // namespace

std::string hex_of(ByteSpan bytes) {
  static constexpr std::string_view kHex = "0123456789abcdef";
  std::string out;
  for (uint8_t byte : bytes) {
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

Bytes sha256_of(ByteSpan bytes) {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, EVP_sha256(), nullptr);
  out.resize(size);
  return out;
}

std::string uri_encoded(std::string_view text, bool keep_slash) {
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (char c : text) {
    bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                 c == '-' || c == '.' || c == '_' || c == '~' || (c == '/' && keep_slash);
    if (plain) {
      out += c;
      continue;
    }
    auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += kHex[byte >> 4];
    out += kHex[byte & 15];
  }
  return out;
}

std::string canonical_query(const std::vector<std::pair<std::string, std::string>>& query) {
  std::vector<std::pair<std::string, std::string>> encoded;
  encoded.reserve(query.size());
  for (const auto& [name, value] : query) {
    encoded.emplace_back(uri_encoded(name, false), uri_encoded(value, false));
  }
  std::sort(encoded.begin(), encoded.end());
  std::string out;
  for (const auto& [name, value] : encoded) {
    out += (out.empty() ? "" : "&") + name + "=" + value;
  }
  return out;
}

std::string amz_date(int64_t unix_seconds) {
  std::time_t time = unix_seconds;
  std::tm utc{};
  ::gmtime_r(&time, &utc);
  char text[32];
  size_t n = std::strftime(text, sizeof text, "%Y%m%dT%H%M%SZ", &utc);
  return {text, n};
}

std::string canonical_request(const SigningRequest& request) {
  std::string out = request.method + "\n" + request.path + "\n" + canonical_query(request.query);
  out += '\n';
  for (const auto& [name, value] : canonical_headers(request)) {
    out.append(name).append(":").append(value).append("\n");
  }
  return out + "\n" + signed_headers(request) + "\n" + request.payload_hash;
}

std::string string_to_sign(const SigningRequest& request, const SigningKey& key,
                           const std::string& date) {
  return std::string(kAlgorithm) + "\n" + date + "\n" + scope_of(key, date) + "\n" +
         hex_of(sha256_of(as_bytes(canonical_request(request))));
}

std::string signature_of(const SigningRequest& request, const SigningKey& key,
                         const std::string& date) {
  Bytes derived = to_bytes("AWS4" + key.secret_access_key);
  for (const std::string& part :
       {date.substr(0, 8), key.region, key.service, std::string("aws4_request")}) {
    derived = hmac_sha256(derived, part);
  }
  return hex_of(hmac_sha256(derived, string_to_sign(request, key, date)));
}

std::string authorization_of(const SigningRequest& request, const SigningKey& key,
                             const std::string& date) {
  return std::string(kAlgorithm) + " Credential=" + key.access_key_id + "/" + scope_of(key, date) +
         ", SignedHeaders=" + signed_headers(request) +
         ", Signature=" + signature_of(request, key, date);
}

void presign(SigningRequest& request, const SigningKey& key, const std::string& session_token,
             const std::string& date, int64_t seconds) {
  request.query.emplace_back("X-Amz-Algorithm", kAlgorithm);
  request.query.emplace_back("X-Amz-Credential", key.access_key_id + "/" + scope_of(key, date));
  request.query.emplace_back("X-Amz-Date", date);
  request.query.emplace_back("X-Amz-Expires", std::to_string(seconds));
  request.query.emplace_back("X-Amz-SignedHeaders", signed_headers(request));
  if (!session_token.empty()) request.query.emplace_back("X-Amz-Security-Token", session_token);
  request.query.emplace_back("X-Amz-Signature", signature_of(request, key, date));
}

}  // namespace upwell::io
