#pragma once
// S3 as a dialect of HTTP: where an s3:// URL lies, how a request for it is signed, what an answer
// means. See docs/decisions/s3-signing.md.

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "io/http_store.hpp"
#include "io/s3_credentials.hpp"

namespace upwell::io {

/// "s3://bucket/some/key": what follows the bucket is the key as it is, not percent-encoded.
struct S3Url {
  std::string bucket, key;
};
/// kInvalidArgument without a bucket.
Result<S3Url> parse_s3_url(const std::string& url);

/// The credentials in use. Thread-safe; the provider is asked by one thread at a time.
class S3CredentialCache {
 public:
  S3CredentialCache(S3CredentialsProvider provider, std::function<int64_t()> now)
      : provider_(std::move(provider)), now_(std::move(now)) {}
  /// Makes sure that there are credentials which last a little. kUnauthenticated when they have
  /// expired and the provider has no newer ones.
  Result<> refresh();
  /// Asks the provider for others than these, which a server refused. False when there are none.
  bool replace(const S3Credentials& refused);
  S3Credentials current() const;

 private:
  Result<> ask_provider();

  S3CredentialsProvider provider_;
  std::function<int64_t()> now_;
  mutable std::mutex mutex_;  // of the credentials
  std::mutex asking_;
  S3Credentials credentials_;
  bool asked_ = false;
};

/// Thread-safe.
class S3Dialect : public HttpDialect {
 public:
  S3Dialect(S3Configuration configuration, bool requester_pays, std::function<int64_t()> now);

  /// From an s3:// URL to a signed request for the endpoint. Signs all headers but Range.
  Result<> prepare(HttpRequest& request) override;
  std::optional<HttpMeaning> explain(const HttpRequest& sent, const ResponseHead& head,
                                     ByteSpan body) override;
  /// With which a request for this s3:// URL is signed.
  S3CredentialCache& credentials(const std::string& url);

 private:
  struct Place {
    std::string origin, host, path;
  };
  Place place_of(const S3Url& url, const std::string& region) const;
  std::string region_of(const std::string& bucket) const;
  std::optional<HttpMeaning> other_region(const HttpRequest& sent, const std::string& region);

  S3Configuration configuration_;
  bool requester_pays_;
  std::function<int64_t()> now_;
  S3CredentialCache credentials_;
  std::map<std::string, S3CredentialCache> of_buckets_;  // does not change
  mutable std::mutex mutex_;
  std::map<std::string, std::string> regions_;  // of buckets, as servers told
};

}  // namespace upwell::io
