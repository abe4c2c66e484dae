#pragma once
// Which servers may see an Earthdata token.

#include <string>
#include <vector>

#include "base/result.hpp"

namespace upwell::access {

/// Hosts that NASA's data centres serve data from, and those that the user added.
class EarthdataHosts {
 public:
  /// `login_host`: host[:port]. `added`: as EarthdataOptions::data_hosts. What lies below the
  /// domain of a login host of the user's own ("x.org" of "urs.x.org") belongs to it.
  EarthdataHosts(const std::string& login_host, const std::vector<std::string>& added,
                 bool plain_loopback);

  const std::string& login_origin() const { return login_origin_; }
  bool is_login(const std::string& url) const;
  /// Encrypted, and not a signed URL; http on this machine only where tests allow it.
  bool may_carry_credentials(const std::string& url) const;
  /// A server of data; not the login host.
  bool covers(const std::string& url) const;
  /// What to do about a server that is not covered, and asks for a login. kUnauthenticated.
  Error wants_another_login(const std::string& url) const;

 private:
  std::string login_origin_;
  std::vector<std::string> names_;
  bool plain_loopback_;
};

}  // namespace upwell::access
