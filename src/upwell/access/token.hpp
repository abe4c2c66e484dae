#pragma once
// Tokens of Earthdata Login: JSON Web Tokens (RFC 7519), of which only the claims are read; whether
// the signature holds is for servers to judge.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace upwell::access {

struct TokenClaims {
  std::optional<int64_t> expires_unix_s;  ///< exp
  std::string user;                       ///< uid; empty where it is not told
};

/// Nothing when the text is no JSON Web Token.
std::optional<TokenClaims> token_claims(std::string_view token);

/// Whether the text may stand in a header: printable, without spaces.
bool is_header_word(std::string_view text);

}  // namespace upwell::access
