#include "access/earthdata_hosts.hpp"

#include <algorithm>
#include <string_view>

#include "base/text.hpp"
#include "io/http_message.hpp"
#include "io/kept_redirects.hpp"
#include "io/reach.hpp"
#include "io/session.hpp"
#include "io/url.hpp"

namespace upwell::access {
namespace {

/// Of NASA's data centres: domains of the cloud archives, of older servers, and ASF's, which has
/// hosts of its own.
constexpr std::string_view kDataHosts[] = {
    ".earthdata.nasa.gov",     ".earthdatacloud.nasa.gov", ".eosdis.nasa.gov",
    "cumulus.asf.alaska.edu",  "datapool.asf.alaska.edu",  "nisar.asf.earthdatacloud.nasa.gov",
    "sentinel1.asf.alaska.edu"};

/// "host[:port]" of what the user wrote, perhaps as a URL.
std::string named_host(std::string text) {
  text = lower_case(text);
  if (const size_t scheme = text.find("://"); scheme != std::string::npos)
    text.erase(0, scheme + 3);
  text.resize(std::min(text.find('/'), text.size()));
  if (text.ends_with(":443")) text.resize(text.size() - 4);  // as origins leave it out
  return text;
}

/// `name`: "host", "host:port" or ".domain"; `authority`: "host[:port]".
bool names_host(std::string_view name, std::string_view authority) {
  const std::string_view host = authority.substr(0, authority.find(':'));
  if (name.starts_with('.')) return host.size() > name.size() && host.ends_with(name);
  return name.find(':') == name.npos ? host == name : authority == name;
}

}  // namespace

EarthdataHosts::EarthdataHosts(const std::string& login_host, const std::vector<std::string>& added,
                               bool plain_loopback)
    : names_(std::begin(kDataHosts), std::end(kDataHosts)), plain_loopback_(plain_loopback) {
  const std::string name = login_host.substr(0, login_host.find(':'));
  const bool plain =
      plain_loopback && io::literal_address_class(name) == io::AddressClass::kLoopback;
  login_origin_ = io::origin_of((plain ? "http://" : "https://") + login_host + "/");
  const size_t urs = ("." + name).find(".urs.");
  const std::string domain = urs == std::string::npos ? "" : lower_case(name.substr(urs + 3));
  // "x.org", not all of "org".
  if (const size_t dot = domain.find('.', 1); dot != std::string::npos && dot + 1 < domain.size())
    names_.push_back(domain);
  for (const std::string& host : added) names_.push_back(named_host(host));
}

bool EarthdataHosts::is_login(const std::string& url) const {
  return io::origin_of(url) == login_origin_;
}

bool EarthdataHosts::may_carry_credentials(const std::string& url) const {
  if (io::is_signed_url(url)) return false;
  const std::string scheme = io::scheme_of(url);
  if (scheme == "https") return true;
  return plain_loopback_ && scheme == "http" &&
         io::literal_address_class(io::host_of(url)) == io::AddressClass::kLoopback;
}

bool EarthdataHosts::covers(const std::string& url) const {
  if (!may_carry_credentials(url) || is_login(url)) return false;
  const std::string origin = io::origin_of(url);
  const std::string authority = origin.substr(origin.find("://") + 3);
  // What is no name in every reading of the URL is none that is known.
  const auto plain = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == ':';
  };
  if (!std::all_of(authority.begin(), authority.end(), plain)) return false;
  return std::any_of(names_.begin(), names_.end(),
                     [&](const std::string& name) { return names_host(name, authority); });
}

Error EarthdataHosts::wants_another_login(const std::string& url) const {
  const std::string origin = io::origin_of(url);
  const std::string authority = origin.substr(origin.find("://") + 3);
  const std::string ours = " (the login is taken to be " + io::host_of(login_origin_) + ")";
  std::string what = io::status_text(401) + ": the server ";
  if (io::scheme_of(url) == "http") {
    what += "asks for a login over http, which is not encrypted, and was sent none: use https";
  } else if (url.starts_with(origin + "/oauth/")) {
    what += "leads to the login of " + authority + ", which is not asked" + ours +
            "; if it is yours: --earthdata-host " + authority + ", or EARTHDATA_HOST";
  } else {
    what += "asks for a login, but is not known to belong to NASA" + ours +
            ", so it was sent no token; if you trust it: --earthdata-data-host " + io::host_of(url);
  }
  return {Code::kUnauthenticated, std::move(what), {}, {}};
}

}  // namespace upwell::access
