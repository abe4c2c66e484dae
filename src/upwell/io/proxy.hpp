#pragma once
// Which addresses are the user's own proxies, by the variables that libcurl obeys.

#include <chrono>
#include <string>
#include <vector>

#include "io/reach.hpp"

struct sockaddr_storage;

namespace upwell::io {

/// "127.0.0.1", "::1".
std::string address_text(const sockaddr& address);
/// False when the text is no address.
bool parse_address(const char* text, int port, sockaddr_storage& out);

/// Not thread-safe. Asks the resolver, and waits for it, only where proxies are set and an address
/// is in doubt.
class ProxyAddresses {
 public:
  ProxyAddresses();
  bool any() const { return !proxies_.empty(); }
  /// True when this is address and port of a proxy.
  bool contains(const sockaddr& address);

 private:
  struct Proxy {
    std::string host, port;
  };
  void resolve();
  std::vector<Proxy> proxies_;
  std::vector<std::string> addresses_;  // as address and port
  std::chrono::steady_clock::time_point resolved_{};
};

}  // namespace upwell::io
