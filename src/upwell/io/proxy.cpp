#include "io/proxy.hpp"

#include <arpa/inet.h>
#include <netdb.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>

#include "io/url.hpp"

namespace upwell::io {
namespace {

constexpr std::chrono::seconds kProxyAddressesLast{30};

/// Bytes of the address and of the port, in network order.
std::string address_key(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &address, sizeof four);
    return std::string(reinterpret_cast<const char*>(&four.sin_addr), sizeof four.sin_addr) +
           std::to_string(four.sin_port);
  }
  if (address.sa_family != AF_INET6) return {};
  sockaddr_in6 six{};
  std::memcpy(&six, &address, sizeof six);
  return std::string(reinterpret_cast<const char*>(&six.sin6_addr), sizeof six.sin6_addr) +
         std::to_string(six.sin6_port);
}

}  // namespace

std::string address_text(const sockaddr& address) {
  char text[INET6_ADDRSTRLEN] = {};
  if (address.sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &address, sizeof four);
    ::inet_ntop(AF_INET, &four.sin_addr, text, sizeof text);
  } else if (address.sa_family == AF_INET6) {
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof six);
    ::inet_ntop(AF_INET6, &six.sin6_addr, text, sizeof text);
  }
  return text;
}

bool parse_address(const char* text, int port, sockaddr_storage& out) {
  out = {};
  if (text == nullptr) return false;
  sockaddr_in four{};
  if (::inet_pton(AF_INET, text, &four.sin_addr) == 1) {
    four.sin_family = AF_INET;
    four.sin_port = htons(static_cast<uint16_t>(port));
    std::memcpy(&out, &four, sizeof four);
    return true;
  }
  sockaddr_in6 six{};
  const std::string unscoped = std::string(text).substr(0, std::string(text).find('%'));
  if (::inet_pton(AF_INET6, unscoped.c_str(), &six.sin6_addr) != 1) return false;
  six.sin6_family = AF_INET6;
  six.sin6_port = htons(static_cast<uint16_t>(port));
  std::memcpy(&out, &six, sizeof six);
  return true;
}

ProxyAddresses::ProxyAddresses() {
  for (const char* name : {"http_proxy", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"}) {
    const char* value = std::getenv(name);
    if (value == nullptr || *value == '\0') continue;
    std::string url = value;
    if (url.find("://") == std::string::npos) url = "http://" + url;
    const size_t start = url.find("://") + 3;
    std::string place = url.substr(start, url.find_first_of("/?#", start) - start);
    place = place.substr(place.rfind('@') + 1);
    const size_t colon = place.find(':', place.starts_with('[') ? place.find(']') : 0);
    Proxy proxy{host_of(url), url.starts_with("https://") ? "443" : "1080"};  // libcurl's defaults
    if (colon != std::string::npos) proxy.port = place.substr(colon + 1);
    proxies_.push_back(std::move(proxy));
  }
}

void ProxyAddresses::resolve() {
  addresses_.clear();
  for (const Proxy& proxy : proxies_) {
    addrinfo hints{};
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(proxy.host.c_str(), proxy.port.c_str(), &hints, &found) != 0) continue;
    for (const addrinfo* a = found; a != nullptr; a = a->ai_next)
      addresses_.push_back(address_key(*a->ai_addr));
    ::freeaddrinfo(found);
  }
  resolved_ = std::chrono::steady_clock::now();
}

bool ProxyAddresses::contains(const sockaddr& address) {
  if (proxies_.empty()) return false;
  const std::string key = address_key(address);
  const auto is_known = [&] {
    return std::find(addresses_.begin(), addresses_.end(), key) != addresses_.end();
  };
  if (is_known()) return true;
  if (std::chrono::steady_clock::now() - resolved_ < kProxyAddressesLast) return false;
  resolve();
  return is_known();
}

}  // namespace upwell::io
