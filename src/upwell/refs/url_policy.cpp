#include "refs/url_policy.hpp"

#include <arpa/inet.h>

#include <array>

#include "io/session.hpp"

namespace upwell::refs {
namespace {

bool is_remote_scheme(const std::string& scheme) {
  return scheme == "http" || scheme == "https" || scheme == "s3";
}

/// "host" of "https://user@host:8443/x"; an IPv6 address without its brackets.
std::string host_of(const std::string& url) {
  const size_t start = url.find("://");
  if (start == std::string::npos) return {};
  std::string host = url.substr(start + 3, url.find_first_of("/?#\\", start + 3) - start - 3);
  host = host.substr(host.rfind('@') + 1);
  if (host.starts_with('[')) return host.substr(1, host.find(']') - 1);
  return host.substr(0, host.find(':'));
}

bool is_internal(uint32_t ipv4) {
  struct Network {
    uint32_t address;
    int bits;
  };
  // RFC 6890: this host, private, shared, loopback, link-local, and what is no unicast address.
  constexpr std::array<Network, 9> kInternal{{{0x00000000, 8},
                                              {0x0a000000, 8},
                                              {0x64400000, 10},
                                              {0x7f000000, 8},
                                              {0xa9fe0000, 16},
                                              {0xac100000, 12},
                                              {0xc0a80000, 16},
                                              {0xe0000000, 4},
                                              {0xf0000000, 4}}};
  for (const Network& n : kInternal)
    if ((ipv4 ^ n.address) >> (32 - n.bits) == 0) return true;
  return false;
}

/// True for hosts that by their spelling alone lie inside a machine or a network: "localhost" and
/// addresses, in every form that a resolver takes (decimal, octal, hexadecimal, short).
bool names_internal_host(std::string host) {
  while (host.ends_with('.')) host.pop_back();
  for (char& c : host)
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c + 32);
  if (host == "localhost" || host.ends_with(".localhost")) return true;
  in_addr four{};
  if (::inet_aton(host.c_str(), &four) != 0) return is_internal(ntohl(four.s_addr));
  in6_addr six{};
  if (::inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &six) != 1) return false;
  const auto* b = six.s6_addr;
  if (IN6_IS_ADDR_V4MAPPED(&six)) {
    const uint32_t low =
        uint32_t{b[12]} << 24 | uint32_t{b[13]} << 16 | uint32_t{b[14]} << 8 | b[15];
    return is_internal(low);
  }
  // Only 2000::/3 is given out as global unicast (RFC 4291).
  return (b[0] & 0xe0) != 0x20;
}

}  // namespace

UrlPolicy UrlPolicy::for_set(const std::string& base, bool remote_may_name_local) {
  return {base, remote_may_name_local || !is_remote_scheme(io::scheme_of(base)), {}};
}

Result<std::string> UrlPolicy::resolve(const std::string& url) const {
  if (url.empty()) return fail(Code::kInvalidData, "an empty URL");
  const bool has_scheme = io::scheme_of(url) != "file" || url.starts_with("file:");
  // A path that begins with '/' means a local file to every writer of reference sets.
  const bool absolute_path = !has_scheme && url.front() == '/';
  if (has_scheme && is_remote_scheme(io::scheme_of(url))) {
    std::string place = locations ? locations->place(url) : url;
    const bool checked = !allow_local && io::scheme_of(place) != "s3";
    if (checked && host_of(place) != host_of(base) && names_internal_host(host_of(place))) {
      return fail(Code::kPermissionDenied, "reference set " + base +
                                               " from the network names the internal host " +
                                               host_of(place).substr(0, 200) +
                                               "; only a copy of the set on this machine may");
    }
    return place;
  }
  if (!allow_local && (has_scheme || absolute_path)) {
    return fail(Code::kPermissionDenied,
                "reference set " + base + " from the network names the local object " +
                    url.substr(0, 200) + "; only a copy of the set on this machine may");
  }
  if (has_scheme || absolute_path) return url;
  return io::resolve_url(base, url);
}

}  // namespace upwell::refs
