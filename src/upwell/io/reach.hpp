#pragma once
// How far the content of an object may lead: which addresses and files it may name.
// docs/decisions/reference-urls.md

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

struct sockaddr;

namespace upwell::io {

/// Where an address lies: RFC 6890, RFC 4291, and where clouds keep their credentials, which counts
/// as link-local.
enum class AddressClass { kPublic, kPrivate, kLoopback, kLinkLocal };
std::string_view to_string(AddressClass place);

/// Of an IPv6 address that stands for an IPv4 one (mapped, NAT64, 6to4): the class of that.
AddressClass address_class(const sockaddr& address);
/// Of a host whose spelling alone tells: "localhost", and addresses in every form that a resolver
/// takes (decimal, octal, hexadecimal, short; IPv6 without brackets). Nothing for other names.
std::optional<AddressClass> literal_address_class(std::string host);

/// What a user allows beyond the rules, and within them.
struct ReachOptions {
  std::vector<std::string> hosts;            ///< may be reached at any address
  std::vector<std::filesystem::path> roots;  ///< when there are any: files below them, no others
};

/// What the content of one object may name. Immutable.
class Reach {
 public:
  /// Of the object at `base`: what came from the network may name what anyone can reach, and its
  /// own host where that was found; what lies on this machine may name files and its networks too.
  /// Neither may name link-local addresses.
  Reach(std::string base, ReachOptions options);
  /// Where a server may redirect a request that the user made: not to link-local addresses.
  static std::shared_ptr<const Reach> of_redirects(ReachOptions options);

  /// Before anything is opened, and without asking a resolver. kPermissionDenied with what, where,
  /// and the option that allows it.
  Result<> check_url(const std::string& url) const;
  /// `real`: absolute, without symbolic links; `named`: as the content names it.
  Result<> check_file(const std::string& named, const std::string& real) const;
  /// A connection for `url` to an address of this class, which is spelt `address`. `found`: bits 1
  /// << class of where requests of the user's own have reached the URL's host.
  Result<> check_address(const std::string& url, AddressClass place, const std::string& address,
                         unsigned found) const;

 private:
  bool is_own(const std::string& host) const;
  bool allows_host(const std::string& host) const;
  Error refused(const std::string& what, const std::string& why) const;

  std::string base_;
  bool network_ = false;
  std::string own_host_;  // of http(s); else empty
  // Each as it is named and, where that is another, as it really is:
  std::vector<std::string> own_directories_;  // of a local base
  std::vector<std::string> roots_;
  std::vector<std::string> hosts_;
};

/// Null: what the user named, which may lie anywhere.
using ReachPtr = std::shared_ptr<const Reach>;

}  // namespace upwell::io
