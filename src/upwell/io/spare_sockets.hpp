#pragma once
// Connections that are opened before they are needed, so that a batch which is wider than the last
// one does not wait for handshakes.

#include <sys/socket.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

namespace upwell::io {

/// TCP connections on which nothing has been sent yet. Of one thread.
class SpareSockets {
 public:
  using Clock = std::chrono::steady_clock;

  SpareSockets() = default;
  ~SpareSockets();
  SpareSockets(const SpareSockets&) = delete;
  SpareSockets& operator=(const SpareSockets&) = delete;

  /// Begins connections to the address (IPv4 or IPv6) until there are `wanted`. Does not block.
  void open(const sockaddr& address, size_t wanted);
  /// One that is connected and that the peer has not closed, for the caller to close; -1: none.
  /// The oldest first: a server that serves one connection at a time waits for that one.
  int take(const sockaddr& address);
  /// Closes what has lain idle longer than this.
  void close_idle(std::chrono::seconds longest);
  /// How many there are, at all addresses.
  size_t size() const;

 private:
  struct Spare {
    int fd;
    Clock::time_point opened;
  };
  std::map<std::string, std::vector<Spare>> by_address_;
};

}  // namespace upwell::io
