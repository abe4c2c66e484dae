#pragma once
// What is asked of Earthdata Login's host and of data hosts for the sake of a login, and what their
// refusals mean. https://urs.earthdata.nasa.gov/documentation

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "access/cookies.hpp"
#include "access/earthdata_identity.hpp"
#include "io/http_store.hpp"

namespace upwell::access {

/// A token, and how it was come by.
struct EarthdataToken {
  std::string text;  ///< empty: nobody is logged in
  std::string user, source;
  std::optional<int64_t> expires_unix_s;
};

/// POST /api/users/find_or_create_token with the name and password of `who`. kUnauthenticated when
/// they are wrong.
Result<EarthdataToken> request_token(io::HttpStore& http, const std::string& login_origin,
                                     const EarthdataIdentity& who);

/// What lies between a user and the data, as far as the answer tells: a EULA or an application that
/// is to be approved (kPermissionDenied, with where to do that), or a login page in place of data
/// (kUnauthenticated). `secrets`: what the server was told and must not be repeated.
std::optional<Error> earthdata_refusal(const std::string& url, const io::ResponseHead& head,
                                       ByteSpan body, const std::vector<std::string>& secrets);

/// The way of browsers, for hosts that do not take tokens: from the object to the login host, where
/// alone the name and password go, and back. `may_follow`: whether a step may lead to this URL.
/// Gives the cookies that the object's origin has set.
struct LoginWalk {
  io::HttpStore& http;
  std::string login_origin;
  const EarthdataIdentity& who;
  std::function<bool(const std::string& url)> may_follow;
  CookieJar cookies = {};

  Result<> go(const std::string& url);

 private:
  Result<std::string> step(const std::string& url);
};

}  // namespace upwell::access
