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
