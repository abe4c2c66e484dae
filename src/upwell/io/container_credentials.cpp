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
constexpr const char* kInstanceService = "http://169.254.169.254";
constexpr std::array<std::string_view, 8> kPlainHosts{
    "169.254.170.2", "169.254.170.23", "fd00:ec2::23", "169.254.169.254",
    "fd00:ec2::254", "localhost",      "127.0.0.1",    "::1"};
constexpr double kAgentPatience_s = 5;  // it answers from this machine
constexpr int kInstanceAttempts = 2;

Result<> check_place(const char* variable, const std::string& url) {
  const std::string scheme = scheme_of(url);
  const bool own =
      std::find(kPlainHosts.begin(), kPlainHosts.end(), host_of(url)) != kPlainHosts.end();
  if (scheme == "https" || (scheme == "http" && own)) return {};
  return fail(Code::kBadConfiguration,
              std::string(variable) + ": " + shown_url(url) +
                  ": keys are asked for over plain http on this machine alone");
}

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
  if (!full.empty()) UPWELL_CHECK(check_place("AWS_CONTAINER_CREDENTIALS_FULL_URI", full));
  return full;
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

/// Where EC2 tells an instance of its role; empty: this is none, or it shall not be asked.
Result<std::string> instance_service(const Environment& env) {
  if (env("AWS_EC2_METADATA_DISABLED") == "true") return std::string();
  std::string given = env("AWS_EC2_METADATA_SERVICE_ENDPOINT");
  while (given.ends_with('/')) given.pop_back();
  if (!given.empty()) {
    UPWELL_CHECK(check_place("AWS_EC2_METADATA_SERVICE_ENDPOINT", given));
    return given;
  }
  std::ifstream vendor("/sys/devices/virtual/dmi/id/sys_vendor");
  std::string name;
  std::getline(vendor, name);
  return std::string(name == "Amazon EC2" ? kInstanceService : "");
}

Result<S3Credentials> keys_in(const Bytes& body, const std::string& url) {
  const auto json = nlohmann::json::parse(body.begin(), body.end(), nullptr, false);
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
  return keys_in(answer.body, url);
}

Result<S3Credentials> instance_credentials(const Environment& env) {
  UPWELL_TRY(const std::string service, instance_service(env));
  if (service.empty()) return S3Credentials{};
  HttpOptions options;
  options.connect_timeout_s = options.stall_timeout_s = kAgentPatience_s;
  options.attempts = kInstanceAttempts;
  HttpStore http(options);
  HttpRequest request;
  request.method = "PUT";
  request.url = service + "/latest/api/token";
  request.headers = {{"x-aws-ec2-metadata-token-ttl-seconds", "300"}};
  const HttpAnswer token = std::move(http.call({request}).front());
  // It may be switched off, or be too many steps away from a container.
  if (token.error) return S3Credentials{};
  request.method = "GET";
  request.headers = {{"x-aws-ec2-metadata-token", std::string(as_text(token.body))}};
  request.url = service + "/latest/meta-data/iam/security-credentials/";
  const HttpAnswer roles = std::move(http.call({request}).front());
  if (roles.error && roles.error->code == Code::kNotFound) return S3Credentials{};  // without one
  if (roles.error) return fail(Error(*roles.error).with("the instance's role"));
  const std::string_view role = as_text(roles.body);
  request.url += role.substr(0, role.find_first_of("\r\n"));
  const HttpAnswer keys = std::move(http.call({request}).front());
  if (keys.error) return fail(Error(*keys.error).with("the instance's AWS keys"));
  return keys_in(keys.body, request.url);
}

}  // namespace upwell::io
