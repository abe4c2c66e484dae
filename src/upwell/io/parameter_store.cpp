#include "io/parameter_store.hpp"

#include <algorithm>
#include <array>
#include <ctime>
#include <nlohmann/json.hpp>

#include "io/sigv4.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

constexpr const char* kGetParameter = "AmazonSSM.GetParameter";
constexpr const char* kAwsJson = "application/x-amz-json-1.1";

struct ParameterMeaning {
  std::string_view name;
  Code code;
  const char* advice;
};
constexpr std::array kParameterMeanings{
    ParameterMeaning{"ParameterNotFound", Code::kNotFound,
                     "there is no such parameter in this region and account"},
    ParameterMeaning{"ParameterVersionNotFound", Code::kNotFound, ""},
    ParameterMeaning{
        "AccessDeniedException", Code::kPermissionDenied,
        "the role needs ssm:GetParameter, and kms:Decrypt for the key of a SecureString"},
    ParameterMeaning{"UnrecognizedClientException", Code::kUnauthenticated,
                     "AWS does not know these keys"},
    ParameterMeaning{"InvalidSignatureException", Code::kUnauthenticated,
                     "the secret access key is another's, or this machine's clock is wrong"},
    ParameterMeaning{"ExpiredTokenException", Code::kUnauthenticated, "the AWS keys have expired"},
    ParameterMeaning{"ThrottlingException", Code::kUnavailable, ""},
};

/// "us-west-2" of "arn:aws:ssm:us-west-2:1234:parameter/name"; nothing of other names.
std::string region_in_arn(const std::string& name) {
  if (!name.starts_with("arn:")) return {};
  size_t at = 0;
  for (int colon = 0; colon < 3; ++colon) at = name.find(':', at) + 1;
  return name.substr(at, name.find(':', at) - at);
}

/// AWS's JSON protocol. Each attempt is signed anew.
class ParameterDialect : public HttpDialect {
 public:
  /// `host`: of the URL that is asked.
  ParameterDialect(std::string host, std::string region, S3Credentials keys)
      : host_(std::move(host)), region_(std::move(region)), keys_(std::move(keys)) {}

  Result<> prepare(HttpRequest& request) override {
    const std::string date = amz_date(std::time(nullptr));
    const std::string hash = hex_of(sha256_of(request.body.span()));
    request.headers = {{"content-type", kAwsJson},
                       {"x-amz-date", date},
                       {"x-amz-target", kGetParameter},
                       {"x-amz-content-sha256", hash}};
    if (!keys_.session_token.empty())
      request.headers.emplace_back("x-amz-security-token", keys_.session_token);
    SigningRequest signing{"POST", "/", {}, request.headers, hash};
    signing.headers.emplace_back("host", host_);
    const SigningKey key{keys_.access_key_id, keys_.secret_access_key, region_, "ssm"};
    request.headers.emplace_back("authorization", authorization_of(signing, key, date));
    return {};
  }

  std::optional<HttpMeaning> explain(const HttpRequest&, const ResponseHead& head,
                                     ByteSpan body) override {
    if (head.status < 400) return {};
    const auto json = nlohmann::json::parse(body.begin(), body.end(), nullptr, false);
    const auto text = [&](const char* key) {
      const auto it = json.is_object() ? json.find(key) : json.end();
      return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    std::string type = text("__type");
    type = type.substr(type.rfind('#') + 1);  // npos + 1 is 0
    const auto* known = std::find_if(kParameterMeanings.begin(), kParameterMeanings.end(),
                                     [&](const ParameterMeaning& m) { return m.name == type; });
    if (known == kParameterMeanings.end()) return {};
    const std::string message = text("message").empty() ? text("Message") : text("message");
    HttpMeaning meaning;
    meaning.code = known->code;
    meaning.what = type + (message.empty() ? "" : ": " + message);
    if (*known->advice != 0) meaning.what += " (" + std::string(known->advice) + ")";
    // AWS says with 400 that it was asked too often.
    if (known->code == Code::kUnavailable) meaning.next = HttpMeaning::Next::kRetry;
    return meaning;
  }

 private:
  std::string host_, region_;
  S3Credentials keys_;
};

}  // namespace

Result<std::string> get_parameter(const std::string& name, const S3Settings& settings,
                                  const HttpOptions& http, const Environment& env) {
  const std::string what = "parameter " + name;
  UPWELL_TRY(const S3Configuration aws, s3_configuration(settings, env));
  std::string region = region_in_arn(name);
  if (region.empty()) region = aws.region;
  if (region.empty())
    return fail(Code::kBadConfiguration,
                what + ": in which region? Set AWS_REGION, or give the parameter's ARN");
  UPWELL_TRY(const S3Credentials keys, aws.credentials());
  if (keys.anonymous())
    return fail(Code::kBadConfiguration, what +
                                             ": no AWS keys were found (environment, ~/.aws, the "
                                             "role of the container or instance)");
  std::string endpoint = env("AWS_ENDPOINT_URL_SSM");
  if (endpoint.empty()) endpoint = env("AWS_ENDPOINT_URL");
  if (endpoint.empty())
    endpoint =
        "https://ssm." + region + ".amazonaws.com" + (region.starts_with("cn-") ? ".cn" : "");
  if (!endpoint.starts_with("https://") && !endpoint.starts_with("http://"))
    return fail(Code::kBadConfiguration,
                "endpoint \"" + endpoint + "\": it must begin with https:// or http://");
  const std::string body = nlohmann::json{{"Name", name}, {"WithDecryption", true}}.dump(
      -1, ' ', false, nlohmann::json::error_handler_t::replace);
  const size_t authority = endpoint.find("://") + 3;
  const size_t slash = std::min(endpoint.find('/', authority), endpoint.size());
  HttpOptions options = http;
  options.dialect = std::make_shared<ParameterDialect>(
      endpoint.substr(authority, slash - authority), region, keys);
  HttpRequest request;
  request.method = "POST";
  request.url = endpoint.substr(0, slash) + "/";
  request.body = SharedBytes(to_bytes(body));
  HttpStore store(options);
  const HttpAnswer answer = std::move(store.call({request}).front());
  if (answer.error) return fail(Error(*answer.error).with(what));
  const auto json = nlohmann::json::parse(answer.body.begin(), answer.body.end(), nullptr, false);
  const auto* value =
      json.is_object() && json.contains("Parameter") && json["Parameter"].is_object() &&
              json["Parameter"].contains("Value") && json["Parameter"]["Value"].is_string()
          ? &json["Parameter"]["Value"]
          : nullptr;
  if (value == nullptr)
    return fail(Code::kInvalidData,
                what + ": " + shown_url(endpoint) + " did not answer as the Parameter Store does");
  return value->get<std::string>();
}

}  // namespace upwell::io
