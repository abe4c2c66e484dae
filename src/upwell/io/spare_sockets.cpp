#include "io/spare_sockets.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <unistd.h>

#include <cerrno>

namespace upwell::io {
namespace {

socklen_t length_of(const sockaddr& address) {
  if (address.sa_family == AF_INET) return sizeof(sockaddr_in);
  return address.sa_family == AF_INET6 ? sizeof(sockaddr_in6) : 0;
}

/// Port and address alone: the rest of the structure is filled in by whoever made it.
std::string key_of(const sockaddr& address) {
  auto bytes_of = [](const auto& part) {
    return std::string(reinterpret_cast<const char*>(&part), sizeof part);
  };
  if (address.sa_family == AF_INET) {
    const auto& in = reinterpret_cast<const sockaddr_in&>(address);
    return bytes_of(in.sin_port) + bytes_of(in.sin_addr);
  }
  const auto& in = reinterpret_cast<const sockaddr_in6&>(address);
  return bytes_of(in.sin6_port) + bytes_of(in.sin6_addr) + bytes_of(in.sin6_scope_id);
}

int begin_connection(const sockaddr& address) {
  const int fd = ::socket(address.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  if (fd < 0) return -1;
  const int on = 1;
  ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  if (::connect(fd, &address, length_of(address)) == 0 || errno == EINPROGRESS) return fd;
  ::close(fd);
  return -1;
}

enum class State { kConnecting, kReady, kDead };

State state_of(int fd) {
  pollfd polled{fd, POLLIN | POLLOUT, 0};
  if (::poll(&polled, 1, 0) < 0) return State::kDead;
  if (polled.revents == 0) return State::kConnecting;
  // A server does not speak first: what there is to read is its goodbye.
  return polled.revents == POLLOUT ? State::kReady : State::kDead;
}

}  // namespace

SpareSockets::~SpareSockets() { close_idle(std::chrono::seconds(-1)); }

void SpareSockets::open(const sockaddr& address, size_t wanted) {
  if (length_of(address) == 0) return;
  auto& spares = by_address_[key_of(address)];
  while (spares.size() < wanted) {
    const int fd = begin_connection(address);
    if (fd < 0) return;  // who needs one will hear why
    spares.push_back({fd, Clock::now()});
  }
}

int SpareSockets::take(const sockaddr& address) {
  if (length_of(address) == 0) return -1;
  auto found = by_address_.find(key_of(address));
  if (found == by_address_.end()) return -1;
  auto& spares = found->second;
  for (size_t i = 0; i < spares.size();) {
    const int fd = spares[i].fd;
    const State state = state_of(fd);
    if (state == State::kConnecting) {
      ++i;
      continue;
    }
    spares.erase(spares.begin() + static_cast<std::ptrdiff_t>(i));
    if (state == State::kReady) return fd;
    ::close(fd);
  }
  return -1;
}

void SpareSockets::close_idle(std::chrono::seconds longest) {
  const auto now = Clock::now();
  for (auto& [address, spares] : by_address_) {
    std::erase_if(spares, [&](const Spare& spare) {
      const bool old = now - spare.opened > longest;
      if (old) ::close(spare.fd);
      return old;
    });
  }
  std::erase_if(by_address_, [](const auto& entry) { return entry.second.empty(); });
}

size_t SpareSockets::size() const {
  size_t n = 0;
  for (const auto& [address, spares] : by_address_) n += spares.size();
  return n;
}

}  // namespace upwell::io
