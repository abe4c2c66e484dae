#pragma once
// Where a user's Earthdata token, or name and password, are found.

#include <cstdint>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include "base/result.hpp"
#include "io/s3_credentials.hpp"

namespace upwell::access {

struct EarthdataOptions {
  /// Of the login: "host[:port]", "PROD" or "UAT"; empty: EARTHDATA_HOST, else NASA's.
  std::string host = {};
  /// Further hosts whose data is behind this login: "host[:port]", or ".domain" for those below.
  std::vector<std::string> data_hosts = {};
  std::string token_file = {};           ///< holds a token, and nothing else
  std::string token_command = {};        ///< prints one
  std::string user = {}, password = {};  ///< as the user has just typed them, or:
  std::string password_source = "what was typed";
  int attempts = 4;             ///< of one question to the login host
  double stall_timeout_s = 30;  ///< no byte for so long: the attempt failed
  std::string ca_file = {};     ///< of trusted certificates; empty: the system's
  io::Environment environment = io::process_environment();
  std::function<void(const std::string&)> warn = {};  ///< absent: nobody hears it
  std::function<void(const std::string&)> say = {};   ///< likewise, that the login host is awaited
  std::function<int64_t()> now = {};                  ///< seconds since 1970; absent: the clock
  bool plain_loopback = false;  ///< http on this machine may see credentials: for tests
};

/// "urs.earthdata.nasa.gov" and the like: host[:port]. kInvalidArgument when it is none.
Result<std::string> earthdata_host(const EarthdataOptions& options);

/// What was found, not whether it is right. A token comes first; where it has expired the name and
/// password help.
struct EarthdataIdentity {
  std::string token, token_source;
  std::string user, password, password_source;
  bool nobody() const { return token.empty() && user.empty(); }
};

/// In this order: the options; EARTHDATA_TOKEN; EARTHDATA_USERNAME and EARTHDATA_PASSWORD; the
/// login host's entry in $NETRC or ~/.netrc. kBadConfiguration for half of a pair, a netrc or a
/// token file that cannot be read, and a command that fails.
Result<EarthdataIdentity> find_earthdata_identity(const EarthdataOptions& options,
                                                  const std::string& host);

/// The file that is read, or would be.
std::filesystem::path netrc_path(const io::Environment& environment);

/// "2027-01-26 07:00 UTC"
std::string shown_time(int64_t unix_s);

/// Puts the login into that file, which only its owner can read from then on; all else in it stays.
Result<> persist_in_netrc(const std::filesystem::path& file, const std::string& host,
                          const std::string& user, const std::string& password);

}  // namespace upwell::access
