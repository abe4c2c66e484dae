#pragma once
// AWS Signature Version 4, as pure functions: what is signed, with what, and the signature.
// https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/bytes.hpp"

namespace upwell::io {

/// A request as it will be sent.
struct SigningRequest {
  std::string method = "GET";
  std::string path = "/";  ///< percent-encoded, as on the wire
  /// Names and values, not encoded. A value may be empty; "?versioning" is {"versioning", ""}.
  std::vector<std::pair<std::string, std::string>> query;
  /// All headers to sign, "host" among them; names in any case, values as sent.
  std::vector<std::pair<std::string, std::string>> headers;
  std::string payload_hash;  ///< hex SHA-256 of the body, or kUnsignedPayload
};

struct SigningKey {
  std::string access_key_id, secret_access_key;
  std::string region, service = "s3";
};

inline constexpr std::string_view kUnsignedPayload = "UNSIGNED-PAYLOAD";

/// Lower-case hex.
std::string hex_of(ByteSpan bytes);
Bytes sha256_of(ByteSpan bytes);

/// Percent-encodes everything but unreserved characters (RFC 3986 section 2.3); '/' too unless
/// told otherwise.
std::string uri_encoded(std::string_view text, bool keep_slash);
/// "a=1&b=", encoded and in the order in which it is signed; what to put behind '?'.
std::string canonical_query(const std::vector<std::pair<std::string, std::string>>& query);

/// "20150830T123600Z"
std::string amz_date(int64_t unix_seconds);

/// The three steps, so that each can be checked. `date` is an amz_date.
std::string canonical_request(const SigningRequest& request);
std::string string_to_sign(const SigningRequest& request, const SigningKey& key,
                           const std::string& date);
std::string signature_of(const SigningRequest& request, const SigningKey& key,
                         const std::string& date);

/// Value of the Authorization header of a request whose headers include x-amz-date = `date`.
std::string authorization_of(const SigningRequest& request, const SigningKey& key,
                             const std::string& date);

/// Adds to the query what makes the URL good for `seconds` for whoever has it. `session_token` may
/// be empty.
void presign(SigningRequest& request, const SigningKey& key, const std::string& session_token,
             const std::string& date, int64_t seconds);

}  // namespace upwell::io
