#pragma once
// One exchange on the wire: what libcurl is told of it and what it tells. Of the engine's thread.

#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "io/http_engine.hpp"
#include "io/proxy.hpp"

struct curl_slist;

namespace upwell::io {

/// What is known of one origin.
struct HostState {
  uint64_t arrived = 0;   // bytes of bodies
  size_t sockets = 0;     // that are open
  size_t unassigned = 0;  // exchanges that have begun and have no connection yet
  EngineClock::time_point no_spares_until{};

  /// For a while: a connection that was opened before it was needed has been of no use.
  void go_without_spares();
  /// Whether its connections carry many exchanges at once, as the last answer has shown.
  std::optional<bool> multiplexed;
};

/// What is known of addresses. Of the engine's thread.
struct AddressBook {
  /// For each host, where the user's own requests have reached it: bits 1 << class.
  std::unordered_map<std::string, unsigned> found;
  std::unordered_map<std::string, HostState> hosts;
  ProxyAddresses proxies;

  struct Socket {
    HostState* at;   // null: no longer counted there
    int spare_port;  // in `spares`; 0: it is none
  };
  std::unordered_map<int, Socket> sockets;
  /// Connections that nothing has gone over yet, by their local port.
  struct Spare {
    int socket;
    EngineClock::time_point since;
  };
  std::unordered_map<int, Spare> spares;
  /// Hangs up where a spare has lain idle for this long: a server that serves one connection at a
  /// time is not kept longer, and no request goes out on what the server has closed meanwhile.
  void drop_idle_spares(std::chrono::seconds longest);

  struct Wish {
    std::string host;
    std::string url;
    ReachPtr reach;
    size_t spares;
  };
  std::vector<Wish> wishes;
};

/// One exchange on the wire.
struct Transfer {
  std::unique_ptr<Exchange> exchange;
  std::string host;
  void* easy = nullptr;  // CURL, which is no more
  curl_slist* headers = nullptr;
  Response response;
  std::optional<uint64_t> limit;  // of the body; set when the head is complete
  bool head_done = false;
  bool unwanted = false;
  bool too_long = false;
  bool no_memory = false;
  size_t header_bytes = 0;
  uint64_t body_bytes = 0;
  int64_t sent = 0;
  EngineClock::time_point last_progress;
  EngineClock::time_point sent_at{}, first_byte_at{};
  HostState* at = nullptr;
  uint64_t arrived_before = 0;   // the first byte of this answer
  bool assigned = false;         // to a connection
  bool wished = false;           // for what is to follow
  std::vector<int> own_sockets;  // that were opened for it
  AddressBook* addresses = nullptr;
  std::string refused;   // why an address may not be reached
  char error[256] = {};  // as long as CURL_ERROR_SIZE

  Transfer() = default;
  ~Transfer();
  Transfer(const Transfer&) = delete;
  Transfer& operator=(const Transfer&) = delete;

  /// Tells libcurl what to do; `easy` is new or reset.
  void configure(const EngineOptions& options);
  /// Whether a connection to this address may carry the exchange.
  bool may_reach(const sockaddr& address);

  /// Of the connection that was opened for this exchange; 0: none was.
  double handshake_s() const;

  /// To a connection: one that is there, or is being opened for it, so that the host can be
  /// reached; what is likely to follow may be prepared.
  void assign();

  /// What the answer tells about the line, once it is whole.
  LineSample line() const;

  /// What came in gzip; what is broken stays, and stays marked as encoded.
  void decode();

  void finish_head();
};

/// What became of it; of a CURLcode.
Response::End end_of_code(int code);
/// As libcurl takes times: at least one.
long milliseconds(double seconds);

}  // namespace upwell::io
