#pragma once
// What the S3 store and its writer share: the signing HTTP store, and one retry with new
// credentials.

#include <memory>
#include <string>
#include <vector>

#include "io/http_store.hpp"
#include "io/s3_dialect.hpp"
#include "io/s3_store.hpp"

namespace upwell::io {

/// The credentials with which a batch of requests is sent, and once more with others where a server
/// refused them.
class CredentialsInUse {
 public:
  /// kUnauthenticated: some cannot be had.
  template <typename Requests>
  static Result<CredentialsInUse> of(S3Dialect& dialect, const Requests& requests) {
    CredentialsInUse out(dialect);
    for (const auto& request : requests) UPWELL_CHECK(out.add(request.url));
    return out;
  }
  static Result<CredentialsInUse> of_one(S3Dialect& dialect, const std::string& url) {
    CredentialsInUse out(dialect);
    UPWELL_CHECK(out.add(url));
    return out;
  }
  /// Gets others for this URL. False when there are none.
  bool replace(const std::string& url);

 private:
  explicit CredentialsInUse(S3Dialect& dialect) : dialect_(&dialect) {}
  Result<> add(const std::string& url);

  S3Dialect* dialect_;
  std::vector<std::pair<S3CredentialCache*, S3Credentials>> used_;  // a few
};

struct S3Client {
  S3Options options;
  std::shared_ptr<S3Dialect> dialect;
  HttpStore http;

  explicit S3Client(S3Options o);
  /// Answers in the order of the requests.
  std::vector<HttpAnswer> call(const std::vector<HttpRequest>& requests);
  HttpAnswer call_one(HttpRequest request);
};

/// `client` outlives the writer.
std::unique_ptr<ObjectWriter> make_s3_writer(S3Client& client, std::string url);

}  // namespace upwell::io
