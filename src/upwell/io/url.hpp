#pragma once
// URL text that only the stores need. The helpers for everyone are in io/session.hpp.

#include <string>

namespace upwell::io {

/// The URL as messages and logs show it: without user, password and query, which may be secrets.
std::string shown_url(const std::string& url);
/// Whether it holds a user, perhaps with a password: "https://user:word@host/x".
bool has_user(const std::string& url);
/// "https://host:8443" of "https://user@Host:8443/x?y", lower case.
std::string origin_of(const std::string& url);
/// "host" of "https://user@host:8443/x"; an IPv6 address without its brackets.
std::string host_of(const std::string& url);
/// Percent-encodes what may not stand in a URL (spaces, control and non-ASCII bytes, quotes, ...).
/// What is encoded already stays.
std::string encoded_url(const std::string& url);
/// The path of a plain path or of a file URL (percent-decoded there).
std::string file_path_of(const std::string& url);

}  // namespace upwell::io
