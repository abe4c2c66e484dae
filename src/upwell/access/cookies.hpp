#pragma once
// Cookies of a few servers, for one run. Each goes back to the origin that set it and to no other,
// whatever its Domain says: narrower than RFC 6265.

#include <map>
#include <string>
#include <vector>

namespace upwell::access {

/// Bounded in every direction; not thread-safe.
class CookieJar {
 public:
  /// Values of Set-Cookie in an answer of this origin ("https://host").
  void take(const std::string& origin, const std::vector<std::string>& set_cookies);
  /// Value of the Cookie header for this origin; empty: there are none.
  std::string header(const std::string& origin) const;
  bool has(const std::string& origin) const { return cookies_.contains(origin); }
  /// What another jar has of this origin, in place of what is here.
  void adopt(const std::string& origin, const CookieJar& other);
  void drop(const std::string& origin) { cookies_.erase(origin); }

 private:
  std::map<std::string, std::map<std::string, std::string>> cookies_;
};

}  // namespace upwell::access
