#include "io/reach.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <span>

#include "base/text.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

namespace fs = std::filesystem;

struct Network4 {
  uint32_t address;
  int bits;
  AddressClass place;
};

/// RFC 6890, and addresses at which clouds tell machines their credentials.
constexpr std::array<Network4, 12> kNetworks4{{
    {0xa9fe0000, 16, AddressClass::kLinkLocal},
    {0x646464c8, 32, AddressClass::kLinkLocal},  // Alibaba
    {0xa83f8110, 32, AddressClass::kLinkLocal},  // Azure
    {0xc0000000, 24, AddressClass::kLinkLocal},  // protocol assignments; Oracle
    {0x00000000, 8, AddressClass::kLoopback},
    {0x7f000000, 8, AddressClass::kLoopback},
    {0x0a000000, 8, AddressClass::kPrivate},
    {0x64400000, 10, AddressClass::kPrivate},
    {0xac100000, 12, AddressClass::kPrivate},
    {0xc0a80000, 16, AddressClass::kPrivate},
    {0xc6120000, 15, AddressClass::kPrivate},
    {0xe0000000, 3, AddressClass::kPrivate},  // multicast, reserved, broadcast
}};

AddressClass class_of_4(uint32_t address) {
  for (const Network4& n : kNetworks4)
    if ((address ^ n.address) >> (32 - n.bits) == 0) return n.place;
  return AddressClass::kPublic;
}

uint32_t word_at(std::span<const uint8_t, 16> b, size_t at) {
  return uint32_t{b[at]} << 24 | uint32_t{b[at + 1]} << 16 | uint32_t{b[at + 2]} << 8 | b[at + 3];
}

AddressClass class_of_6(std::span<const uint8_t, 16> b) {
  const uint32_t w0 = word_at(b, 0);
  const uint32_t w1 = word_at(b, 4);
  const uint32_t w2 = word_at(b, 8);
  const uint32_t w3 = word_at(b, 12);
  if (w0 == 0 && w1 == 0 && w2 == 0 && w3 <= 1) return AddressClass::kLoopback;
  const bool mapped = w0 == 0 && w1 == 0 && (w2 == 0xffff || w2 == 0);
  const bool nat64 = w0 == 0x0064ff9b && w1 == 0 && w2 == 0;
  if (mapped || nat64) return class_of_4(w3);
  if (w0 >> 16 == 0x2002) return class_of_4(w0 << 16 | w1 >> 16);
  const bool local_scope = w0 >> 22 == 0xfe80 >> 6;
  const bool metadata =  // Amazon, Google
      w1 == 0 && w2 == 0 &&
      ((w0 == 0xfd000ec2 && w3 == 0x254) || (w0 == 0xfd2000ce && w3 == 0x254));
  if (local_scope || metadata) return AddressClass::kLinkLocal;
  // Only 2000::/3 is given out as global unicast; Teredo (2001::/32) hides an address within.
  const bool global = w0 >> 29 == 1 && w0 != 0x20010000;
  return global ? AddressClass::kPublic : AddressClass::kPrivate;
}

std::string plain_host(std::string host) {
  while (host.ends_with('.')) host.pop_back();
  return lower_case(host);
}

/// Where no granules are kept, but what machines and people must not give away.
constexpr std::array<std::string_view, 8> kSystemDirectories{
    "/proc", "/sys", "/dev", "/etc", "/run", "/boot", "/var/log", "/var/spool"};

/// `path` and `directory` are absolute and normal, the directory without a '/' at its end.
bool is_below(std::string_view path, std::string_view directory) {
  return path.starts_with(directory) &&
         (path.size() == directory.size() || path[directory.size()] == '/');
}

/// The hidden file or directory on the way to `path` that is not on the way to `own`; or empty.
std::string_view hidden_part(std::string_view path, std::string_view own) {
  for (size_t at = path.find("/."); at < path.size(); at = path.find("/.", at + 1)) {
    const std::string_view part = path.substr(0, path.find('/', at + 1));
    if (!is_below(own, part)) return part;
  }
  return {};
}

/// What must be allowed before a set in `own` may name `path`; or empty.
std::string_view forbidden_part(std::string_view path, std::string_view own) {
  for (const std::string_view directory : kSystemDirectories)
    if (is_below(path, directory) && !is_below(own, directory)) return directory;
  return hidden_part(path, own);
}

bool is_normal(std::string_view path) {
  return path.starts_with('/') && path.find("//") == path.npos && path.find("/./") == path.npos &&
         path.find("/../") == path.npos && !path.ends_with("/.") && !path.ends_with("/..");
}

std::string absolute_path(const std::string& url) {
  std::string path = file_path_of(url);
  if (is_normal(path)) return path;
  std::error_code error;
  const fs::path absolute = fs::absolute(path, error);
  return error ? path : absolute.lexically_normal().string();
}

/// Adds a directory as it is named, and as it is.
void add_directory(const std::string& named, std::vector<std::string>& out) {
  std::error_code error;
  const fs::path real = fs::weakly_canonical(named, error);
  out.push_back(named);
  if (!error && real != named) out.push_back(real.string());
  for (std::string& directory : out)
    while (directory.ends_with('/')) directory.pop_back();
}

std::string cut(const std::string& text) {
  return text.size() <= 300 ? text : text.substr(0, 300) + "...";
}

}  // namespace

std::string_view to_string(AddressClass place) {
  switch (place) {
    case AddressClass::kPublic:
      return "public";
    case AddressClass::kPrivate:
      return "private";
    case AddressClass::kLoopback:
      return "loopback";
    case AddressClass::kLinkLocal:
      return "link-local or metadata";
  }
  return "unknown";
}

AddressClass address_class(const sockaddr& address) {
  if (address.sa_family == AF_INET) {
    sockaddr_in four{};
    std::memcpy(&four, &address, sizeof four);
    return class_of_4(ntohl(four.sin_addr.s_addr));
  }
  if (address.sa_family != AF_INET6) return AddressClass::kPrivate;
  sockaddr_in6 six{};
  std::memcpy(&six, &address, sizeof six);
  return class_of_6(std::span<const uint8_t, 16>(six.sin6_addr.s6_addr));
}

std::optional<AddressClass> literal_address_class(std::string host) {
  host = plain_host(std::move(host));
  if (host == "localhost" || host.ends_with(".localhost")) return AddressClass::kLoopback;
  in_addr four{};
  if (::inet_aton(host.c_str(), &four) != 0) return class_of_4(ntohl(four.s_addr));
  in6_addr six{};
  if (::inet_pton(AF_INET6, host.substr(0, host.find('%')).c_str(), &six) != 1) return {};
  return class_of_6(std::span<const uint8_t, 16>(six.s6_addr));
}

Reach::Reach(std::string base, ReachOptions options) : base_(std::move(base)) {
  const std::string scheme = scheme_of(base_);
  network_ = scheme == "http" || scheme == "https" || scheme == "s3";
  if (network_ && scheme != "s3") own_host_ = plain_host(host_of(base_));
  const std::string own = scheme == "file" ? absolute_path(base_) : std::string();
  add_directory(own.substr(0, std::min(own.rfind('/'), own.size())), own_directories_);
  for (const fs::path& root : options.roots) add_directory(absolute_path(root.string()), roots_);
  for (std::string& host : options.hosts) hosts_.push_back(plain_host(std::move(host)));
}

std::shared_ptr<const Reach> Reach::of_redirects(ReachOptions options) {
  return std::make_shared<Reach>(std::string(), std::move(options));
}

bool Reach::is_own(const std::string& host) const {
  return !own_host_.empty() && plain_host(host) == own_host_;
}

bool Reach::allows_host(const std::string& host) const {
  return std::find(hosts_.begin(), hosts_.end(), plain_host(host)) != hosts_.end();
}

Error Reach::refused(const std::string& what, const std::string& why) const {
  const std::string by = base_.empty() ? "a redirect" : shown_url(base_);
  return {Code::kPermissionDenied,
          cut(what) + ": named by " + by + (network_ ? " from the network" : "") + ", " + why,
          {},
          {}};
}

Result<> Reach::check_url(const std::string& url) const {
  const std::string scheme = scheme_of(url);
  if (scheme == "s3") return {};  // what leads there is the user's own configuration
  if (scheme == "http" || scheme == "https") {
    const std::string host = host_of(url);
    auto place = literal_address_class(host);
    // Where its own host lies will be seen when it is reached.
    if (!place || is_own(host)) return {};
    return check_address(url, *place, host, 0);
  }
  if (network_) {
    return fail(refused(url,
                        "which may name only http(s) and s3 objects; only a copy of it on "
                        "this machine may name local ones"));
  }
  if (scheme != "file") return {};
  const std::string path = absolute_path(url);
  auto allowed = check_file(url, path);
  if (allowed) return allowed;
  // A link may lead to where it is allowed.
  std::error_code error;
  const fs::path real = fs::weakly_canonical(path, error);
  return error || real == path ? allowed : check_file(url, real.string());
}

Result<> Reach::check_file(const std::string& named, const std::string& real) const {
  const auto refuse = [&](const std::string& why) {
    const bool same = file_path_of(named) == real;
    return fail(refused(same ? named : named + " (" + cut(real) + ")", why));
  };
  if (network_) return refuse("which may name no local files");
  if (!roots_.empty()) {
    const bool inside = std::any_of(roots_.begin(), roots_.end(),
                                    [&](const std::string& root) { return is_below(real, root); });
    return inside ? Result<>() : refuse("lies below no directory that --allow-root names");
  }
  std::string forbidden;
  for (const std::string& own : own_directories_) {
    forbidden = forbidden_part(real, own);
    if (forbidden.empty()) return {};
  }
  std::error_code ignored;
  const std::string root =
      fs::is_directory(forbidden, ignored) ? forbidden : fs::path(forbidden).parent_path().string();
  return refuse("lies in " + cut(forbidden) + ", where granules are not expected; --allow-root " +
                cut(root) + " allows it");
}

Result<> Reach::check_address(const std::string& url, AddressClass place,
                              const std::string& address, unsigned found) const {
  const std::string host = host_of(url);
  if (place == AddressClass::kPublic || allows_host(host)) return {};
  if (is_own(host) && (found >> static_cast<unsigned>(place) & 1) != 0) return {};
  if (!network_ && place != AddressClass::kLinkLocal) return {};
  return fail(refused(shown_url(url), "leads to the " + std::string(to_string(place)) +
                                          " address " + cut(address) + "; --allow-host " +
                                          cut(host) + " allows it"));
}

}  // namespace upwell::io
