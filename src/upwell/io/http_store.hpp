#pragma once
// Objects behind http and https.

#include <functional>
#include <memory>

#include "io/byte_store.hpp"
#include "io/first_seen.hpp"

namespace upwell::io {

struct HttpOptions {
  double connect_timeout_s = 10;
  double stall_timeout_s = 30;   ///< no byte for so long: the attempt failed
  int attempts = 5;              ///< of one request, the first included
  double backoff_base_s = 0.25;  ///< before retry n: a random time up to base * 2^n
  double backoff_max_s = 20;
  double max_retry_after_s = 60;  ///< a server that wants more patience: fail at once
  size_t parallelism_per_host = 16;
  int max_redirects = 10;
  uint64_t max_body = 4ULL << 30;  ///< of one response
  /// Where a server ignores Range: how much of an object is read for the sake of a part of it.
  uint64_t max_unranged_body = 8 << 20;
  std::string ca_file;  ///< of trusted certificates; empty: the system's
  /// Value of the Authorization header for an origin ("https://host", "http://host:8080"); empty:
  /// none. Asked anew for each step of a redirect, so that no credential goes to another origin.
  std::function<std::string(const std::string& origin)> authorize;
};

/// Range requests (RFC 9110 section 14) over HTTP/1.1 and HTTP/2, many at once. Retries what is
/// transient: 408, 429, 500, 502, 503, 504, lost connections, short bodies, stalls. A change of
/// ETag, Last-Modified or length of an object is kChanged. Answers that are not the range asked for
/// are errors, never data.
class HttpStore : public ByteStore {
 public:
  explicit HttpStore(HttpOptions options = {});
  ~HttpStore() override;

  StoreTraits traits() const override;
  /// By HEAD; where a server refuses that or does not tell the length, by a range of one byte.
  Result<ObjectInfo> stat(const std::string& url) override;
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override;
  /// kUnsupported: HTTP has no listing.
  Result<std::vector<std::string>> list(const std::string& prefix) override;
  std::optional<ObjectInfo> known(const std::string& url) const override;
  void forget(const std::string& url) override;
  std::optional<Traffic> traffic() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::io
