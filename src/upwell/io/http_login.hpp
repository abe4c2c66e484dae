#pragma once
// What servers that ask for a login need besides the request. Which login that is, and who the user
// is to it, is not known here: see access/earthdata.hpp.

#include <optional>
#include <string>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "io/http_message.hpp"

namespace upwell::io {

/// Thread-safe.
class HttpLogin {
 public:
  virtual ~HttpLogin() = default;
  /// Whether the server of this URL is one of the login's, to which credentials may go. Quick.
  virtual bool covers(const std::string& url) const = 0;
  /// Whether `prepare` would return at once. Quick.
  virtual bool is_prepared(const std::string& url) const = 0;
  /// Before requests to a server that is covered; may block. That nobody is logged in is no error:
  /// what is public needs no login.
  virtual void prepare(const std::string& url) = 0;
  /// Headers ("name: value") for one request. Asked anew for each step of a redirect, on the thread
  /// that moves the bytes: no credential goes to a server that it is not for.
  virtual std::vector<std::string> headers(const std::string& url) = 0;
  /// Called with every answer, on the thread that moves the bytes. `redirect`: where it leads, or
  /// empty. Gives what the answer means where the login knows better than HTTP; kUnauthenticated:
  /// other credentials may help.
  virtual std::optional<Error> take(const std::string& url, const ResponseHead& head,
                                    const std::string& redirect, ByteSpan body) = 0;
  /// After an answer to a request with the headers `sent` was kUnauthenticated; may block. Success:
  /// another attempt has other credentials. Else what the user can do.
  virtual Result<> renew(const std::string& url, const std::vector<std::string>& sent) = 0;
};

}  // namespace upwell::io
