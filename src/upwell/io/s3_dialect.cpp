#include "io/s3_dialect.hpp"

#include <algorithm>
#include <cstdlib>

#include "io/s3_answer.hpp"
#include "io/session.hpp"
#include "io/sigv4.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

/// Credentials that end sooner are asked for anew.
constexpr int64_t kExpiryMargin_s = 120;
constexpr std::string_view kDefaultRegion = "us-east-1";

/// Fit to be a part of a host name that one certificate covers: no dots.
bool is_host_label(const std::string& bucket) {
  auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return bucket.size() >= 3 && bucket.size() <= 63 && bucket.front() != '-' &&
         bucket.back() != '-' && std::all_of(bucket.begin(), bucket.end(), good);
}

bool is_region(const std::string& text) {
  auto good = [](char c) { return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-'; };
  return !text.empty() && text.size() <= 40 && std::all_of(text.begin(), text.end(), good);
}

struct S3Meaning {
  std::string_view code;
  Code meaning;
  HttpMeaning::Next next = HttpMeaning::Next::kFail;
  std::string_view advice = {};
};

constexpr auto kRetry = HttpMeaning::Next::kRetry;
constexpr auto kFail = HttpMeaning::Next::kFail;

/// https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html#ErrorCodeList
constexpr S3Meaning kS3Meanings[] = {
    {"NoSuchKey", Code::kNotFound},
    {"NoSuchBucket", Code::kNotFound},
    {"NoSuchUpload", Code::kNotFound},
    {"AccessDenied", Code::kPermissionDenied, kFail,
     "these credentials may not do that, or the object is not there and they may not list the "
     "bucket"},
    {"AllAccessDisabled", Code::kPermissionDenied},
    {"ExpiredToken", Code::kUnauthenticated, kFail, "log in again"},
    {"TokenRefreshRequired", Code::kUnauthenticated, kFail, "log in again"},
    {"InvalidToken", Code::kUnauthenticated, kFail, "log in again"},
    {"InvalidAccessKeyId", Code::kUnauthenticated, kFail,
     "the service does not know this access key; a public bucket needs none (--s3-anonymous)"},
    {"SignatureDoesNotMatch", Code::kUnauthenticated, kFail,
     "the secret access key does not belong to the access key, or something on the way changes "
     "requests"},
    {"RequestTimeTooSkewed", Code::kUnauthenticated},
    {"RequestExpired", Code::kUnauthenticated},
    {"PreconditionFailed", Code::kChanged},
    {"SlowDown", Code::kUnavailable, kRetry},
    {"InternalError", Code::kUnavailable, kRetry},
    {"ServiceUnavailable", Code::kUnavailable, kRetry},
    {"RequestTimeout", Code::kUnavailable, kRetry},
    {"OperationAborted", Code::kUnavailable, kRetry},
    {"ConditionalRequestConflict", Code::kUnavailable, kRetry},
    {"BadDigest", Code::kUnavailable, kRetry, "the bytes were changed on the way"},
    {"XAmzContentSHA256Mismatch", Code::kUnavailable, kRetry, "the bytes were changed on the way"},
    {"InvalidObjectState", Code::kUnsupported, kFail,
     "the object is archived and must be restored first"},
    {"NotImplemented", Code::kUnsupported},
};

/// How far this machine's clock is from the server's, in words.
std::string clock_difference(const ResponseHead& head, int64_t now) {
  if (!head.date_unix_s) return "set this machine's clock";
  int64_t ahead = now - *head.date_unix_s;
  return "this machine's clock is " + std::to_string(std::abs(ahead)) + " s " +
         (ahead < 0 ? "behind" : "ahead of") + " the server's: set it";
}

bool carries(const HttpRequest& request, std::string_view header) {
  return std::any_of(request.headers.begin(), request.headers.end(),
                     [&](const auto& h) { return h.first == header; });
}

}  // namespace

Result<S3Url> parse_s3_url(const std::string& url) {
  if (scheme_of(url) != "s3") return fail(Code::kInvalidArgument, url + ": no s3:// URL");
  std::string rest = url.substr(5);
  size_t slash = std::min(rest.find('/'), rest.size());
  S3Url out{rest.substr(0, slash), rest.substr(std::min(slash + 1, rest.size()))};
  auto good = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.' || c == '_';
  };
  if (out.bucket.empty() || !std::all_of(out.bucket.begin(), out.bucket.end(), good)) {
    return fail(Code::kInvalidArgument, url + ": s3://BUCKET/KEY is wanted, and \"" + out.bucket +
                                            "\" is no name of a bucket");
  }
  return out;
}

Result<> S3CredentialCache::ask_provider() {
  UPWELL_TRY(S3Credentials fresh, provider_());
  std::lock_guard lock(mutex_);
  credentials_ = std::move(fresh);
  asked_ = true;
  return {};
}

Result<> S3CredentialCache::refresh() {
  auto lasts = [&](int64_t margin) {
    std::lock_guard lock(mutex_);
    return asked_ &&
           (!credentials_.expires_unix_s || *credentials_.expires_unix_s - now_() > margin);
  };
  if (lasts(kExpiryMargin_s)) return {};
  std::lock_guard asking(asking_);
  if (lasts(kExpiryMargin_s)) return {};
  UPWELL_CHECK(ask_provider());
  if (lasts(0)) return {};
  return fail(Code::kUnauthenticated, "the S3 credentials expired " +
                                          std::to_string(now_() - *current().expires_unix_s) +
                                          " s ago: log in again");
}

bool S3CredentialCache::replace(const S3Credentials& refused) {
  std::lock_guard asking(asking_);
  if (current() != refused) return true;  // another thread was faster
  return ask_provider().has_value() && current() != refused;
}

S3Credentials S3CredentialCache::current() const {
  std::lock_guard lock(mutex_);
  return credentials_;
}

S3Dialect::S3Dialect(S3Configuration configuration, bool requester_pays,
                     std::function<int64_t()> now)
    : configuration_(std::move(configuration)),
      requester_pays_(requester_pays),
      now_(std::move(now)),
      credentials_(configuration_.credentials, now_) {
  for (const auto& [bucket, provider] : configuration_.bucket_credentials)
    of_buckets_.try_emplace(bucket, provider, now_);
}

S3CredentialCache& S3Dialect::credentials(const std::string& url) {
  if (of_buckets_.empty()) return credentials_;
  const auto place = parse_s3_url(url);
  const auto own = place ? of_buckets_.find(place->bucket) : of_buckets_.end();
  return own != of_buckets_.end() ? own->second : credentials_;
}

std::string S3Dialect::region_of(const std::string& bucket) const {
  std::lock_guard lock(mutex_);
  auto it = regions_.find(bucket);
  if (it != regions_.end()) return it->second;
  return configuration_.region.empty() ? std::string(kDefaultRegion) : configuration_.region;
}

S3Dialect::Place S3Dialect::place_of(const S3Url& url, const std::string& region) const {
  const std::string& style = configuration_.addressing_style;
  const bool custom = !configuration_.endpoint.empty();
  const bool host_style =
      style != "path" && is_host_label(url.bucket) && (style == "virtual" || !custom);
  std::string endpoint = configuration_.endpoint;
  if (!custom) {
    endpoint = "https://s3." + region + ".amazonaws.com";
    if (region.starts_with("cn-")) endpoint += ".cn";
  }
  Place place;
  const size_t authority = endpoint.find("://") + 3;
  const size_t slash = std::min(endpoint.find('/', authority), endpoint.size());
  place.origin = origin_of(endpoint.substr(0, slash));
  if (host_style) place.origin.insert(authority, url.bucket + ".");
  place.host = place.origin.substr(authority);
  place.path = endpoint.substr(slash) + "/" + (host_style ? "" : url.bucket + "/") +
               uri_encoded(url.key, true);
  return place;
}

Result<> S3Dialect::prepare(HttpRequest& request) {
  UPWELL_TRY(const S3Url url, parse_s3_url(request.url));
  const std::string region = region_of(url.bucket);
  const Place place = place_of(url, region);
  request.note = region;
  request.url = place.origin + place.path;
  const std::string query = canonical_query(request.query);
  if (!query.empty()) request.url += "?" + query;
  if (requester_pays_) request.headers.emplace_back("x-amz-request-payer", "requester");
  const S3Credentials credentials = this->credentials(request.asked_url).current();
  if (credentials.anonymous()) return {};

  SigningRequest signing{request.method, place.path, request.query, {}, {}};
  const std::string date = amz_date(now_());
  request.headers.emplace_back("x-amz-date", date);
  if (!carries(request, "x-amz-content-sha256")) {
    request.headers.emplace_back("x-amz-content-sha256", hex_of(sha256_of(request.body.span())));
  }
  if (!credentials.session_token.empty()) {
    request.headers.emplace_back("x-amz-security-token", credentials.session_token);
  }
  signing.headers = request.headers;
  signing.headers.emplace_back("host", place.host);
  for (const auto& [name, value] : request.headers) {
    if (name == "x-amz-content-sha256") signing.payload_hash = value;
  }
  const SigningKey key{credentials.access_key_id, credentials.secret_access_key, region};
  request.headers.emplace_back("authorization", authorization_of(signing, key, date));
  return {};
}

std::optional<HttpMeaning> S3Dialect::other_region(const HttpRequest& sent,
                                                   const std::string& region) {
  if (!is_region(region) || region == sent.note) return {};
  if (auto url = parse_s3_url(sent.asked_url)) {
    std::lock_guard lock(mutex_);
    regions_[url->bucket] = region;
  }
  return HttpMeaning{HttpMeaning::Next::kAgain, Code::kUnavailable,
                     "the bucket is in region " + region};
}

std::optional<HttpMeaning> S3Dialect::explain(const HttpRequest& sent, const ResponseHead& head,
                                              ByteSpan body) {
  if (head.status == 416) return {};  // HTTP's rules for ranges hold
  auto error = parse_s3_error(as_text(body));
  if (head.status < 300 && !error) return {};
  const bool about_region = head.status == 301 || head.status == 307 || head.status == 400 ||
                            (head.status == 403 && error && !error->region.empty());
  if (about_region) {
    std::string region = head.bucket_region;
    if (region.empty() && error) region = error->region;
    if (auto again = other_region(sent, region)) return again;
  }
  if (is_redirect_status(head.status)) {
    return HttpMeaning{kFail, Code::kUnsupported,
                       status_text(head.status) +
                           ": the service sends elsewhere, where signed requests do not follow; "
                           "set the region or the endpoint"};
  }
  if (!error) return {};
  const auto* found = std::find_if(std::begin(kS3Meanings), std::end(kS3Meanings),
                                   [&](const S3Meaning& m) { return m.code == error->code; });
  HttpMeaning meaning{kFail, code_of_status(head.status), error->code + ": " + error->message};
  if (found == std::end(kS3Meanings)) {
    if (is_transient_status(head.status)) meaning.next = kRetry;
    return meaning;
  }
  meaning.next = found->next;
  meaning.code = found->meaning;
  std::string advice(found->advice);
  if (error->code == "RequestTimeTooSkewed") advice = clock_difference(head, now_());
  if (meaning.code == Code::kPermissionDenied &&
      credentials(sent.asked_url).current().anonymous()) {
    advice = "no S3 credentials were found or wanted, so the request was not signed";
  }
  if (!advice.empty()) meaning.what += " (" + advice + ")";
  return meaning;
}

}  // namespace upwell::io
