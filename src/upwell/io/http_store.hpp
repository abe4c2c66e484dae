#pragma once
// Objects behind http and https.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "io/byte_store.hpp"
#include "io/egress_budget.hpp"
#include "io/first_seen.hpp"
#include "io/http_login.hpp"
#include "io/http_message.hpp"

namespace upwell::io {

/// A request as a dialect gets it and rewrites it. For HTTP itself only `url` counts.
struct HttpRequest {
  std::string method = "GET";
  std::string url;        ///< in: as the caller of the store knows it; out: where it is sent
  std::string asked_url;  ///< as the caller of the store knows it
  std::vector<std::pair<std::string, std::string>> query;    ///< not encoded
  std::vector<std::pair<std::string, std::string>> headers;  ///< lower-case names
  SharedBytes body;
  bool compressed = false;  ///< of calls: the answer may come in gzip, and is given decoded
  std::string note;         ///< the dialect's own
};

/// What an answer that is no data means.
struct HttpMeaning {
  enum class Next {
    kFail,
    kRetry,  ///< later, like a transient status
    kAgain,  ///< at once: the next request will be another
  } next = Next::kFail;
  Code code = Code::kInvalidData;
  std::string what;
};

/// A protocol over HTTP with URLs of its own. Thread-safe, and quick: it is asked on the thread
/// that moves the bytes.
class HttpDialect {
 public:
  virtual ~HttpDialect() = default;
  /// Called for each attempt, with the URL that the caller knows. Redirects are not followed.
  virtual Result<> prepare(HttpRequest& request) = 0;
  /// Of answers that are no success, and of every answer to `call`. Nothing: what HTTP says holds.
  virtual std::optional<HttpMeaning> explain(const HttpRequest& sent, const ResponseHead& head,
                                             ByteSpan body) = 0;
};

/// The answer to one request. With an error head and body are there as far as the server gave them.
struct HttpAnswer {
  ResponseHead head;
  Bytes body;
  std::string redirect;  ///< where a redirect leads, absolute; it is not followed
  int attempts = 1;      ///< more than one: an earlier one may have reached the server
  std::optional<Error> error;
};

struct HttpOptions {
  double connect_timeout_s = 10;
  double stall_timeout_s = 30;   ///< no byte for so long: the attempt failed
  int attempts = 5;              ///< of one request, the first included
  double backoff_base_s = 0.25;  ///< before retry n: a random time up to base * 2^n
  double backoff_max_s = 20;
  double max_retry_after_s = 60;  ///< a server that wants more patience: fail at once
  size_t parallelism_per_host = 64;
  int max_redirects = 10;
  uint64_t max_body = 4ULL << 30;  ///< of one response
  /// Where a server ignores Range: how much of an object is read for the sake of a part of it.
  uint64_t max_unranged_body = 8 << 20;
  std::string ca_file;                   ///< of trusted certificates; empty: the system's
  std::shared_ptr<EgressBudget> budget;  ///< of bodies that may come; null: no limit
  std::shared_ptr<HttpLogin> login;      ///< null: nobody is known to any server
  /// Where a redirect may lead that follows a request without a reach; null: anywhere.
  ReachPtr redirects;
  std::shared_ptr<HttpDialect> dialect;  ///< null: plain HTTP
  /// Told, on any thread, what a server that does not answer is waited for, or asked again; null:
  /// nobody is told.
  std::function<void(const std::string&)> say = {};
};

/// Range requests (RFC 9110 section 14) over HTTP/1.1 and HTTP/2, many at once. Retries what is
/// transient: 408, 429, 500, 502, 503, 504, lost connections, short bodies, stalls. A change of
/// ETag, Last-Modified or length of an object is kChanged. Answers that are not the range asked for
/// are errors, never data. A redirect that says how long it holds (kept_redirects.hpp) is followed
/// once and remembered for so long, and until the place that it led to refuses.
class HttpStore : public ByteStore {
 public:
  explicit HttpStore(HttpOptions options = {});
  ~HttpStore() override;

  /// Of a far server behind a good line.
  StoreTraits traits() const override;
  /// Latency and bandwidth as the answers of that host have shown them.
  StoreTraits traits_for(const std::string& url) const override;
  /// By HEAD; where a server refuses that or does not tell the length, by a range of one byte.
  Result<ObjectInfo> stat(const std::string& url, const ReachPtr& reach = {}) override;
  /// By one range request. A server that ignores ranges gives a small object whole; of a large one
  /// no more is read than was asked for.
  Result<Front> front(const std::string& url, uint64_t length, const ReachPtr& reach = {}) override;
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override {
    return read_and_tell(requests, {});
  }
  std::vector<Result<SharedBytes>> read_and_tell(std::span<const ReadRequest> requests,
                                                 const Arrived& arrived) override;
  /// Sends requests as they are, all at once, retried like reads; any 2xx is success, and a
  /// redirect that a dialect does not explain. For dialects and logins.
  std::vector<HttpAnswer> call(const std::vector<HttpRequest>& requests);
  /// kUnsupported: HTTP has no listing.
  Result<std::vector<std::string>> list(const std::string& prefix) override;
  std::optional<ObjectInfo> known(const std::string& url) const override;
  void expect(const std::string& url, const ObjectInfo& state) override;
  void forget(const std::string& url) override;
  std::optional<Traffic> traffic() const override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::io
