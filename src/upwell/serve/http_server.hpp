#pragma once
// The HTTP/1.1 front: sockets, limits, timeouts, a pool of handler threads, graceful stop. The only
// place that knows Boost.Beast.

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "serve/http.hpp"

namespace upwell::serve {

struct ServerOptions {
  std::string address = "127.0.0.1";         ///< name or number; IPv6 without brackets
  uint16_t port = 9000;                      ///< 0: any free one
  size_t io_threads = 0;                     ///< 0: half of the cores
  size_t handler_threads = 0;                ///< 0: twice the cores, at least 4
  size_t max_connections = 2048;             ///< beyond: 503 and closed
  size_t max_requests = 256;                 ///< waiting for or in a handler; beyond: 503
  uint64_t max_response_bytes = 1ULL << 30;  ///< bodies being sent; beyond: 503 until some are gone
  uint32_t max_header_bytes = 16 << 10;
  uint64_t max_body_bytes = 64 << 10;
  size_t max_target_bytes = 4096;
  double idle_timeout_s = 75;     ///< between requests
  double request_timeout_s = 15;  ///< from the first byte of a request to its last
  double write_timeout_s = 60;    ///< for every MiB of a response
  double stop_timeout_s = 30;     ///< for requests in flight once stopping
  bool handle_signals = true;     ///< SIGINT and SIGTERM stop gracefully; a second one kills
};

/// What the front calls. Both get a request that is whole and within the limits.
struct Handlers {
  /// On an I/O thread: must not block and must be fast. nullopt: ask `handle`.
  std::function<std::optional<Response>(const Request&)> quick;
  /// On a handler thread: may block.
  std::function<Response(const Request&)> handle;
};

class Server {
 public:
  /// Binds and listens. kUnavailable when the address is in use, kInvalidArgument when it makes no
  /// sense, kPermissionDenied for ports that are not ours to take.
  static Result<std::unique_ptr<Server>> listen(const ServerOptions& options, Handlers handlers);
  ~Server();

  /// The port in use.
  uint16_t port() const;
  /// "http://127.0.0.1:9000/"
  std::string url() const;
  /// Serves until stop() or a signal; returns when the requests in flight are answered.
  void run();
  /// From any thread.
  void stop();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::serve
