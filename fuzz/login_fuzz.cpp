// What logins are told in: URLs with secrets, netrc files, tokens, S3 keys, cookies, redirects that
// are kept.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "access/cookies.hpp"
#include "access/earthdata_requests.hpp"
#include "access/netrc.hpp"
#include "access/s3_keys.hpp"
#include "access/token.hpp"
#include "base/url_secrets.hpp"
#include "io/kept_redirects.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)upwell::access::token_claims(text);
  (void)upwell::access::parse_s3_keys({data, size});
  upwell::access::CookieJar jar;
  jar.take("https://a", {std::string(text), std::string(text)});
  upwell::io::ResponseHead head;
  head.status = 403;
  (void)upwell::access::earthdata_refusal("https://a/b.nc", head, {data, size}, {"secret"});
  head.cache_control = text;
  head.expires = text;
  (void)upwell::io::redirect_life(head, "https://a/b?" + std::string(text), 0);
  // What is shown is without secrets: there is nothing more to take out.
  const std::string shown = upwell::without_url_secrets(std::string(text));
  if (upwell::without_url_secrets(shown) != shown) std::abort();
  // What is written can be read, and is what was meant.
  const auto changed = upwell::access::with_netrc_entry(text, "host", "me", "w\"o\\rd #1");
  if (!changed) return 0;
  const auto entries = upwell::access::parse_netrc(*changed);
  if (!entries) std::abort();
  const auto entry = upwell::access::find_netrc(*entries, "host");
  if (!entry || entry->login != "me" || entry->password != "w\"o\\rd #1") std::abort();
  return 0;
}
