#include "io/container_credentials.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "io/http_store.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

constexpr const char* kContainerAgent = "http://169.254.170.2";
constexpr std::array<std::string_view, 6> kPlainHosts{
    "169.254.170.2", "169.254.170.23", "fd00:ec2::23", "localhost", "127.0.0.1", "::1"};
constexpr double kAgentPatience_s = 5;  // it answers from this machine

/// Where to ask; empty: nowhere.
Result<std::string> container_url(const Environment& env) {
  const std::string relative = env("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI");
  if (!relative.empty()) {
    if (!relative.starts_with('/'))
      return fail(Code::kBadConfiguration,
                  "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI must begin with '/'");
    return kContainerAgent + relative;
  }
  std::string full = env("AWS_CONTAINER_CREDENTIALS_FULL_URI");
  if (full.empty() || scheme_of(full) == "https") return full;
  if (scheme_of(full) == "http" &&
      std::find(kPlainHosts.begin(), kPlainHosts.end(), host_of(full)) != kPlainHosts.end())
    return full;
  return fail(Code::kBadConfiguration,
              "AWS_CONTAINER_CREDENTIALS_FULL_URI: " + shown_url(full) +
                  ": keys are asked for over plain http on this machine alone");
}

Result<std::string> container_token(const Environment& env) {
  const std::string path = env("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE");
  std::string token = env("AWS_CONTAINER_AUTHORIZATION_TOKEN");
  if (!path.empty()) {
    std::ifstream file(path, std::ios::binary);
    if (!file)
      return fail(Code::kBadConfiguration,
                  "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: " + path + " cannot be read");
    token.assign(std::istreambuf_iterator<char>(file), {});
    while (!token.empty() && (token.back() == '\n' || token.back() == '\r')) token.pop_back();
  }
  if (token.find_first_of("\r\n") != std::string::npos)
    return fail(Code::kBadConfiguration, "AWS_CONTAINER_AUTHORIZATION_TOKEN has line ends in it");
  return token;
}

}  // namespace

Result<S3Credentials> container_credentials(const Environment& env) {
  UPWELL_TRY(const std::string url, container_url(env));
  if (url.empty()) return S3Credentials{};
  UPWELL_TRY(const std::string token, container_token(env));
  HttpOptions options;
  options.connect_timeout_s = options.stall_timeout_s = kAgentPatience_s;
  HttpStore http(options);
  HttpRequest request;
  request.url = url;
  if (!token.empty()) request.headers.emplace_back("authorization", token);
  const HttpAnswer answer = std::move(http.call({request}).front());
  if (answer.error) return fail(Error(*answer.error).with("the container's AWS keys"));
  const auto json = nlohmann::json::parse(answer.body.begin(), answer.body.end(), nullptr, false);
  const auto text = [&](const char* name) {
    const auto it = json.is_object() ? json.find(name) : json.end();
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  S3Credentials out{text("AccessKeyId"), text("SecretAccessKey"), text("Token"),
                    parse_expiration(text("Expiration"))};
  if (out.access_key_id.empty() || out.secret_access_key.empty())
    return fail(Code::kInvalidData, shown_url(url) + ": the answer holds no AWS keys");
  return out;
}

}  // namespace upwell::io
