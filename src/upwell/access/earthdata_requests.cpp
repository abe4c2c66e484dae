#include "access/earthdata_requests.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "access/secrets.hpp"
#include "access/token.hpp"
#include "io/session.hpp"
#include "io/url.hpp"
#include "refs/base64.hpp"

namespace upwell::access {
namespace {

constexpr int kMaxSteps = 12;
constexpr size_t kMaxShown = 300;

std::string basic(const EarthdataIdentity& who) {
  return "Basic " + refs::base64_encode(as_bytes(who.user + ":" + who.password));
}

/// What the login host is told of `who`.
std::vector<std::string> secrets_of(const EarthdataIdentity& who) {
  return {who.password, refs::base64_encode(as_bytes(who.user + ":" + who.password))};
}

std::string text_at(const nlohmann::json& object, const char* name) {
  const auto it = object.is_object() ? object.find(name) : object.end();
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

/// Of a foreign text: one short line.
std::string shown_text(std::string text) {
  text.resize(std::min(text.size(), kMaxShown));
  for (char& c : text)
    if (static_cast<unsigned char>(c) < 32) c = ' ';
  return text;
}

/// The address in an HTML page at which something is to be approved or accepted.
std::string approval_link(std::string_view page) {
  for (size_t at = page.find("https://"); at < page.size(); at = page.find("https://", at + 8)) {
    const std::string_view rest = page.substr(at);
    const std::string_view url = rest.substr(0, rest.find_first_of("\"'<> \t\r\n"));
    if (url.find("approve_app") != url.npos || url.find("eula") != url.npos)
      return std::string(url);
  }
  return {};
}

Error must_be_approved(const std::string& what, const std::string& link) {
  return {Code::kPermissionDenied,
          shown_text(what) + ": open " + shown_text(link) +
              " in a browser, log in, accept or approve what it shows, and try again",
          {},
          {}};
}

/// Nothing: the answer names nothing that could be approved.
std::optional<Error> approval_wanted(ByteSpan body, const std::vector<std::string>& secrets) {
  const auto json = nlohmann::json::parse(body.begin(), body.end(), nullptr, false);
  const std::string what = without_secrets(text_at(json, "error_description"), secrets);
  const std::string link = without_secrets(
      json.is_object() ? text_at(json, "resolution_url") : approval_link(as_text(body)), secrets);
  if (link.empty()) return {};
  return must_be_approved(what.empty() ? "an agreement or application is not approved yet" : what,
                          link);
}

Error wrong_password(const std::string& login_origin, const EarthdataIdentity& who) {
  return {Code::kUnauthenticated,
          io::host_of(login_origin) + " does not accept this user name and password (" + who.user +
              ", from " + who.password_source + "): correct them there; try them at " +
              login_origin + "/",
          {},
          {}};
}

}  // namespace

Result<EarthdataToken> request_token(io::HttpStore& http, const std::string& login_origin,
                                     const EarthdataIdentity& who) {
  io::HttpRequest request;
  request.method = "POST";
  request.url = login_origin + "/api/users/find_or_create_token";
  request.headers = {{"authorization", basic(who)}, {"accept", "application/json"}};
  const io::HttpAnswer answer = std::move(http.call({request}).front());
  const auto json = nlohmann::json::parse(answer.body.begin(), answer.body.end(), nullptr, false);
  if (answer.head.status == 401) return fail(wrong_password(login_origin, who));
  if (answer.error) {
    const std::string reason = without_secrets(text_at(json, "error_description"), secrets_of(who));
    Error error = *answer.error;
    if (!reason.empty()) error.message += ": " + shown_text(reason);
    return fail(std::move(error).with("asking for an Earthdata token"));
  }
  EarthdataToken token{text_at(json, "access_token"), who.user, who.password_source, {}};
  if (!is_header_word(token.text))
    return fail(Code::kInvalidData, io::shown_url(request.url) +
                                        ": the answer holds no token; is this the login host?");
  if (const auto claims = token_claims(token.text)) token.expires_unix_s = claims->expires_unix_s;
  return token;
}

std::optional<Error> earthdata_refusal(const std::string& url, const io::ResponseHead& head,
                                       ByteSpan body, const std::vector<std::string>& secrets) {
  if (head.status == 401 || head.status == 403) {
    if (auto wanted = approval_wanted(body, secrets)) return wanted;
    if (head.status == 403) return {};
    return Error{Code::kUnauthenticated, "the server does not accept the login", {}, {}};
  }
  if ((head.status == 200 || head.status == 206) && io::is_page(head, body) && !io::names_page(url))
    return Error{Code::kUnauthenticated,
                 "the server sent an HTML page, such as that of a login, instead of data",
                 {},
                 {}};
  return {};
}

/// Where the next step leads; empty: the walk is over.
Result<std::string> LoginWalk::step(const std::string& url) {
  const std::string origin = io::origin_of(url);
  const bool at_login = origin == login_origin;
  io::HttpRequest request;
  request.url = url;
  request.headers = {{"range", "bytes=0-0"}};
  if (at_login) request.headers.emplace_back("authorization", basic(who));
  if (const std::string own = cookies.header(origin); !own.empty())
    request.headers.emplace_back("cookie", own);
  const io::HttpAnswer answer = std::move(http.call({request}).front());
  cookies.take(origin, answer.head.cookies);
  const int status = answer.head.status;
  if (at_login && (status == 401 || status == 403)) {
    if (auto wanted = approval_wanted(answer.body, secrets_of(who)))
      return fail(std::move(*wanted));
    return fail(wrong_password(login_origin, who));
  }
  if (at_login && answer.redirect.empty() && !answer.error)
    return fail(wrong_password(login_origin, who));  // a login page
  if (status == 401 || status == 403) {
    if (auto wanted = approval_wanted(answer.body, secrets_of(who)))
      return fail(std::move(*wanted));
  }
  if (answer.error && status == 0) return fail(*answer.error);
  return answer.redirect;
}

Result<> LoginWalk::go(const std::string& url) {
  std::string at = url;
  for (int k = 0; k < kMaxSteps; ++k) {
    UPWELL_TRY(const std::string next, step(at));
    // What leads on to a signed URL leads there without us.
    if (next.empty() || !may_follow(next)) {
      if (cookies.has(io::origin_of(url))) return {};
      return fail(Code::kUnauthenticated,
                  "a page came instead of data, and the login has led to no cookie of " +
                      io::host_of(url) + "; open the URL in a browser to see what it asks for");
    }
    at = next;
  }
  return fail(Code::kUnauthenticated,
              "the login goes round in circles, last at " + io::shown_url(at));
}

}  // namespace upwell::access
