#include "access/token.hpp"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "refs/base64.hpp"

namespace upwell::access {
namespace {

constexpr size_t kMaxToken = 16 << 10;
constexpr double kMaxTime = 1e12;

}  // namespace

std::optional<TokenClaims> token_claims(std::string_view token) {
  const size_t first = token.find('.');
  if (first == std::string_view::npos || token.size() > kMaxToken) return {};
  const size_t second = token.find('.', first + 1);
  if (second == std::string_view::npos) return {};
  std::string payload(token.substr(first + 1, second - first - 1));
  std::replace(payload.begin(), payload.end(), '-', '+');
  std::replace(payload.begin(), payload.end(), '_', '/');
  const auto bytes = refs::base64_decode(payload);
  if (!bytes) return {};
  const auto claims = nlohmann::json::parse(bytes->begin(), bytes->end(), nullptr, false);
  if (!claims.is_object()) return {};
  TokenClaims out;
  if (const auto exp = claims.find("exp"); exp != claims.end() && exp->is_number()) {
    const auto seconds = exp->get<double>();
    if (std::abs(seconds) < kMaxTime) out.expires_unix_s = static_cast<int64_t>(seconds);
  }
  if (const auto uid = claims.find("uid"); uid != claims.end() && uid->is_string())
    out.user = uid->get<std::string>();
  return out;
}

bool is_header_word(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return c > 32 && c < 127; });
}

}  // namespace upwell::access
