#pragma once
// Who the user is to NASA's Earthdata, and to which hosts that is told.
// docs/guide/nasa.md, docs/decisions/earthdata-login.md

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "access/earthdata_identity.hpp"
#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/http_login.hpp"

namespace upwell::access {

/// What is known of a login that holds.
struct EarthdataAccount {
  std::string host;                       ///< of the login
  std::string user;                       ///< empty: the token does not tell
  std::string source;                     ///< "EARTHDATA_TOKEN", "/home/me/.netrc", ...
  std::optional<int64_t> expires_unix_s;  ///< of the token; nothing: not told
};

/// Gets a token when it is first needed, and others before and after it ends; asks the login host
/// one question at a time, and does not repeat one that was answered with no.
class EarthdataLogin : public io::HttpLogin {
 public:
  explicit EarthdataLogin(EarthdataOptions options);
  ~EarthdataLogin() override;

  /// The token that is in use, after it was made sure that it lasts a little; empty when nobody is
  /// logged in. kUnauthenticated with what to do when the login host refuses the user or the token
  /// has expired. May block.
  Result<std::string> token();
  /// As `token`, and asks the login host whether it knows the token: kUnauthenticated when it was
  /// revoked, or nobody is logged in.
  Result<EarthdataAccount> check();
  /// Whether there is a user or a token, be they right or wrong. Asks nobody.
  bool knows_somebody() const;
  /// The body of a small document behind the login, such as S3 credentials.
  Result<Bytes> get(const std::string& url);
  const std::string& host() const;
  /// What asking for tokens, cookies and S3 keys has cost so far.
  io::Traffic traffic() const;

  bool covers(const std::string& url) const override;
  bool is_prepared(const std::string& url) const override;
  void prepare(const std::string& url) override;
  std::vector<std::string> headers(const std::string& url) override;
  std::optional<Error> take(const std::string& url, const io::ResponseHead& head,
                            const std::string& redirect, ByteSpan body) override;
  Result<> renew(const std::string& url, const std::vector<std::string>& sent) override;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace upwell::access
