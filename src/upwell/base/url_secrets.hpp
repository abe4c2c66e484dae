#pragma once
// URLs may hold what is nobody else's business, and messages are full of URLs.

#include <cstddef>
#include <string>
#include <string_view>

namespace upwell {

/// `text` with the URLs in it without user and password, and with "?..." or "#..." for what holds a
/// secret after that. Other queries stay: they may say what to open. Linear in the size of `text`,
/// which others may have written.
std::string without_url_secrets(std::string text);

/// How much of `url` from `at`, which is behind "://", is user and password, with the '@'. Counts a
/// password with a raw '/', '?' or '#' in it as well, where it cannot be a port.
size_t user_length(std::string_view url, size_t at);

/// Whether a parameter of the query or fragment of `url` is called like a signature, token, key or
/// password, in letters of any case and also encoded: what nobody else may read.
bool query_holds_secret(std::string_view url);

}  // namespace upwell
