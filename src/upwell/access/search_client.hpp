#pragma once
// Requests to catalogues: patient, retried, with errors as the catalogue words them.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/http_store.hpp"

namespace upwell::access {

struct SearchClientOptions {
  /// An Earthdata bearer token, without "Bearer"; empty: none. Asked once, when it is first needed.
  std::function<std::string()> token;
  /// Where `token` goes, and nowhere else: "https://cmr.earthdata.nasa.gov".
  std::string token_origin;
  /// What the user should know though the search goes on; null: nobody listens.
  std::function<void(const std::string&)> warn;
  /// That the catalogue does not answer, and is waited for; null: nobody listens.
  std::function<void(const std::string&)> say = {};
  int attempts = 5;
  /// No byte for so long: failed. The Common Metadata Repository thinks for up to 180 s.
  double stall_timeout_s = 190;
  std::string ca_file = {};  ///< of trusted certificates; empty: the system's
};

/// One request; header names in lower case.
struct SearchRequest {
  std::string url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  std::string content_type = {}, body = {};  ///< a body makes it a POST
};

struct SearchAnswer {
  io::ResponseHead head;
  Bytes body;
};

/// The catalogue is there, but the search was too much for it: less may be asked of it.
bool ran_out_of_time(const Error& error);

/// Thread-safe.
class SearchClient {
 public:
  explicit SearchClient(SearchClientOptions options);
  ~SearchClient();

  /// kInvalidArgument: the catalogue takes the parameters for wrong, and says why.
  /// kDeadlineExceeded: it ran out of time (see ran_out_of_time), also where it says so beside a
  /// part of an answer, by the headers CMR-Time-Out, CMR-Timed-Out; or it did not answer at all.
  /// kResourceExhausted: the answer is too long. A token that is refused is left out from then on:
  /// public searches need none.
  Result<SearchAnswer> send(const SearchRequest& request);

  void warn(const std::string& text) const;
  /// What has gone over the wire is counted there.
  std::shared_ptr<io::ByteStore> store() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::access
