#pragma once
// Many HTTP exchanges at once, on one thread. Knows connections, limits and time; not ranges,
// retries or redirects (io/http_store.cpp).

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "io/http_message.hpp"
#include "io/line_cost.hpp"
#include "io/reach.hpp"

namespace upwell::io {

struct EngineOptions {
  double connect_timeout_s = 10;
  double stall_timeout_s = 30;
  size_t parallelism_per_host = 64;
  std::string ca_file;  ///< empty: the system's
  std::string user_agent;
};

/// How an exchange ended. With kOk, `head` and `body` are the whole response, as far as it was
/// wanted.
struct Response {
  enum class End {
    kOk,
    kUnwanted,   ///< body_limit said that the body is not wanted, and it was not read
    kTooLong,    ///< the body grew beyond its limit, and was read so far
    kTransient,  ///< no connection, connection lost, short body: another try may help
    kTimedOut,   ///< no connection or no byte for too long
    kRefused,    ///< the address lies beyond the reach; nothing was sent
    kUntrusted,  ///< the certificate does not hold
    kMalformed,  ///< the URL cannot be asked for
    kNoLibrary,  ///< there is no libcurl to ask with
    kFailed,     ///< anything else
    kCancelled,  ///< the engine is being destroyed
  };
  End end = End::kFailed;
  std::string detail;  ///< of a failure, for people
  ResponseHead head;
  Bytes body;
  std::string redirect_url;  ///< absolute
  /// What has gone over the wire, also of a failure: head and body that came, head and body sent.
  uint64_t head_bytes = 0, body_bytes = 0, sent_bytes = 0;
  LineSample line;  ///< as measured here; zeros where nothing was sent or came
};

using EngineClock = std::chrono::steady_clock;

/// One request, and what to do with its response.
struct Exchange {
  std::string url;
  std::string method = "GET";        ///< HEAD has no body
  std::vector<std::string> headers;  ///< further ones, "name: value"
  SharedBytes body;                  ///< to send; only with PUT and POST
  bool exact_path = false;           ///< send ".." and "." in the path as they are
  bool compressed = false;           ///< the answer may come in gzip, and is given decoded
  std::string range;                 ///< "0-99", "100-"; empty: none
  /// Addresses that may be connected to; null: all. Behind a proxy they are not seen.
  ReachPtr reach;
  /// So many further connections to this host are likely to be wanted next: their handshakes may
  /// pass while this exchange is under way. Without effect where connections carry many at once.
  size_t spares = 0;
  bool handshake = false;  ///< ask for nothing: the connection is for the exchange that comes next
  EngineClock::time_point not_before{};
  /// Called once the head is there: how many bytes of body are wanted; nothing: none, hang up.
  std::function<std::optional<uint64_t>(const ResponseHead&)> body_limit;
  /// Called on the engine's thread. May submit more. Of a handshake: may be empty.
  std::function<void(Response)> done;
};

/// Thread-safe. Its destructor ends what is still running as kCancelled.
class HttpEngine {
 public:
  explicit HttpEngine(EngineOptions options);
  ~HttpEngine();
  HttpEngine(const HttpEngine&) = delete;
  HttpEngine& operator=(const HttpEngine&) = delete;

  void submit(std::vector<std::unique_ptr<Exchange>> exchanges);
  /// Starts nothing at this host before then.
  void pause_host(const std::string& url, EngineClock::time_point until);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::io
