#pragma once
// URLs may hold what is nobody else's business, and messages are full of URLs.

#include <string>

namespace upwell {

/// `text` with the URLs in it without user and password, and with "?..." for queries that hold a
/// signature, token, key or password. Other queries stay: they may say what to open.
std::string without_url_secrets(std::string text);

}  // namespace upwell
