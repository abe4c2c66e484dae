#include "access/earthdata.hpp"

#include <algorithm>
#include <ctime>
#include <limits>
#include <map>
#include <mutex>
#include <set>
#include <utility>

#include "access/cookies.hpp"
#include "access/earthdata_hosts.hpp"
#include "access/earthdata_requests.hpp"
#include "access/token.hpp"
#include "io/http_store.hpp"
#include "io/kept_redirects.hpp"
#include "io/sigv4.hpp"
#include "io/url.hpp"

namespace upwell::access {
namespace {

/// A token that ends sooner is exchanged for another.
constexpr int64_t kTokenMargin = 300;
/// The login host gave one that ends sooner: so long before that.
constexpr int64_t kLastMargin = 5;
/// After the login host could not be reached.
constexpr int64_t kPatience = 15;
/// Clocks differ by so much. To a server that refuses it a token has ended that would end so soon.
constexpr int64_t kClocks = 120;
/// Two refusals of tokens by one server within so long are about tokens as such.
constexpr int64_t kSoon = 60;
constexpr int64_t kNever = std::numeric_limits<int64_t>::max();
constexpr int kMaxRenewals = 2;

std::string token_advice(const std::string& login_origin) {
  return "get a new one at " + login_origin +
         "/ (Generate Token), or set EARTHDATA_USERNAME and EARTHDATA_PASSWORD, with which tokens "
         "are renewed";
}

/// "Authorization: Bearer ..."; empty: there is none.
std::string token_line(const std::vector<std::string>& headers) {
  const auto line = std::find_if(headers.begin(), headers.end(), [](const std::string& h) {
    return h.starts_with("Authorization: Bearer ");
  });
  return line == headers.end() ? std::string() : *line;
}

}  // namespace

struct EarthdataLogin::Impl {
  EarthdataOptions options;
  std::string host;
  EarthdataHosts hosts;
  std::optional<Error> wrong_options;

  std::mutex asking;                    // one question to the login host at a time; before `mutex`
  std::shared_ptr<io::HttpStore> http;  // of who holds `asking`, but for its traffic
  std::set<std::string> refused;        // tokens; likewise
  std::map<std::string, int64_t> renewed_for;  // origin, and when; likewise

  mutable std::mutex mutex;  // of the rest
  EarthdataToken token;
  std::vector<std::string> used;  // tokens, which servers may repeat
  bool asked = false;
  int64_t ask_again = 0;
  std::optional<Error> problem;         // why there is no token
  std::set<std::string> without_token;  // origins that do not take tokens
  std::set<std::string> walked;         // origins, to cookies by a name and password
  std::set<std::string> strangers;      // origins that are not covered and answered 401
  CookieJar cookies;

  Impl(EarthdataOptions o, std::string login_host)
      : options(std::move(o)),
        host(std::move(login_host)),
        hosts(host, options.data_hosts, options.plain_loopback) {}

  int64_t now() const { return options.now ? options.now() : int64_t{std::time(nullptr)}; }
  std::optional<Result<std::string>> known_token() const;
  Result<std::string> token_now();
  Result<EarthdataToken> find_token();
  Result<std::string> adopt(Result<EarthdataToken> found);
  io::HttpStore& requests();
  Result<> renew_token();
  Result<> walk(const std::string& url, const EarthdataIdentity& who);
  bool is_newer(const std::string& origin, const std::vector<std::string>& fresh,
                const std::vector<std::string>& sent) const;
  Result<> confirm(const EarthdataToken& shown);
  Error nobody() const;
};

io::HttpStore& EarthdataLogin::Impl::requests() {
  if (!http) {
    io::HttpOptions o;
    o.attempts = options.attempts;
    o.stall_timeout_s = options.stall_timeout_s;
    o.ca_file = options.ca_file;
    o.say = options.say;
    auto made = std::make_shared<io::HttpStore>(std::move(o));
    std::lock_guard lock(mutex);
    http = std::move(made);
  }
  return *http;
}

io::Traffic EarthdataLogin::traffic() const {
  std::shared_ptr<io::HttpStore> http;
  {
    std::lock_guard lock(impl_->mutex);
    http = impl_->http;
  }
  return http ? http->traffic().value_or(io::Traffic{}) : io::Traffic{};
}

Error EarthdataLogin::Impl::nobody() const {
  const std::filesystem::path netrc = netrc_path(options.environment);
  std::error_code unknown;
  const bool there = std::filesystem::exists(netrc, unknown);
  return {Code::kUnauthenticated,
          "nobody is logged in to Earthdata (" + host +
              (there ? ", of which " + netrc.string() + " has no entry" : "") +
              "): set EARTHDATA_TOKEN, or EARTHDATA_USERNAME and EARTHDATA_PASSWORD, or run "
              "`upwell login --persist`, which writes " +
              netrc.string() + "; no account yet: " + hosts.login_origin() + "/users/new",
          {},
          {}};
}

std::optional<Result<std::string>> EarthdataLogin::Impl::known_token() const {
  std::lock_guard lock(mutex);
  if (!asked || now() >= ask_again) return {};
  if (problem) return fail(*problem);
  return token.text;
}

Result<std::string> EarthdataLogin::Impl::token_now() {
  if (auto known = known_token()) return *known;
  std::lock_guard lock(asking);
  if (auto known = known_token()) return *known;
  return adopt(find_token());
}

/// From where it comes; a token that is known to be of no use is passed over.
Result<EarthdataToken> EarthdataLogin::Impl::find_token() {
  if (wrong_options) return fail(*wrong_options);
  UPWELL_TRY(const EarthdataIdentity who, find_earthdata_identity(options, host));
  std::string why;
  if (!who.token.empty()) {
    const auto claims = token_claims(who.token);
    const auto expires = claims ? claims->expires_unix_s : std::nullopt;
    const bool no_good = refused.contains(who.token);
    if (expires && *expires <= now() + (no_good ? kClocks : 0)) {
      why = "the token of " + who.token_source + " expired on " + shown_time(*expires);
    } else if (no_good) {
      why = "the token of " + who.token_source +
            " is not accepted: it was revoked, or is of another system than " + host +
            (expires ? " (it says that it is valid until " + shown_time(*expires) + ")" : "");
    } else {
      return EarthdataToken{who.token, claims ? claims->user : "", who.token_source, expires};
    }
  }
  if (!who.user.empty()) return request_token(requests(), hosts.login_origin(), who);
  if (!why.empty())
    return fail(Code::kUnauthenticated, why + "; " + token_advice(hosts.login_origin()));
  return EarthdataToken{};
}

Result<std::string> EarthdataLogin::Impl::adopt(Result<EarthdataToken> found) {
  std::lock_guard lock(mutex);
  asked = true;
  if (!found) {
    const bool transient =
        found.error().code == Code::kUnavailable || found.error().code == Code::kDeadlineExceeded;
    if (transient && !token.text.empty() && token.expires_unix_s.value_or(kNever) > now()) {
      ask_again = now() + kPatience;
      return token.text;
    }
    // A wrong password that is tried again and again locks the account.
    ask_again = transient ? now() + kPatience : kNever;
    problem = found.error();
    token = {};
    return fail(std::move(found).error());
  }
  problem.reset();
  token = std::move(*found);
  if (!token.text.empty()) used.push_back(token.text);
  ask_again = kNever;
  if (token.expires_unix_s) {
    const int64_t end = *token.expires_unix_s;
    ask_again = end - now() > kTokenMargin ? end - kTokenMargin
                                           : std::max(end, now() + 2 * kLastMargin) - kLastMargin;
  }
  return token.text;
}

/// To another token than the one in use. `asking` is held.
Result<> EarthdataLogin::Impl::renew_token() {
  std::string old;
  {
    std::lock_guard lock(mutex);
    old = token.text;
  }
  refused.insert(old);
  auto fresh = find_token();
  if (fresh && fresh->text == old) {
    refused.erase(old);
    return fail(Code::kUnauthenticated,
                "the server does not accept the token that " + host + " has just given");
  }
  if (fresh && fresh->text.empty()) return fail(nobody());
  UPWELL_CHECK(adopt(std::move(fresh)));
  return {};
}

Result<> EarthdataLogin::Impl::walk(const std::string& url, const EarthdataIdentity& who) {
  const std::string origin = io::origin_of(url);
  LoginWalk way{
      requests(), hosts.login_origin(), who, [&](const std::string& next) {
        return hosts.may_carry_credentials(next) &&
               (hosts.is_login(next) || hosts.covers(next) || io::origin_of(next) == origin);
      }};
  UPWELL_CHECK(way.go(url));
  std::lock_guard lock(mutex);
  cookies.adopt(origin, way.cookies);
  walked.insert(origin);
  return {};
}

/// Whether `fresh` has a credential that `sent` had not. Cookies are one where a walk has led to
/// them; servers that take tokens set others as they please.
bool EarthdataLogin::Impl::is_newer(const std::string& origin,
                                    const std::vector<std::string>& fresh,
                                    const std::vector<std::string>& sent) const {
  if (token_line(fresh) != token_line(sent)) return true;
  std::lock_guard lock(mutex);
  return walked.contains(origin) && fresh != sent;
}

EarthdataLogin::EarthdataLogin(EarthdataOptions options) {
  auto host = earthdata_host(options);
  impl_ = std::make_unique<Impl>(std::move(options), host.value_or("urs.earthdata.nasa.gov"));
  if (!host) impl_->wrong_options = std::move(host).error();
}
EarthdataLogin::~EarthdataLogin() = default;

const std::string& EarthdataLogin::host() const { return impl_->host; }

Result<std::string> EarthdataLogin::token() { return impl_->token_now(); }

bool EarthdataLogin::knows_somebody() const {
  if (!impl_->options.token_command.empty()) return true;
  const auto who = find_earthdata_identity(impl_->options, impl_->host);
  return who && !who->nobody();
}

Result<EarthdataAccount> EarthdataLogin::check() {
  UPWELL_TRY(const std::string text, token());
  if (text.empty()) return fail(impl_->nobody());
  EarthdataToken token;
  {
    std::lock_guard lock(impl_->mutex);
    token = impl_->token;
  }
  if (!token.user.empty()) UPWELL_CHECK(impl_->confirm(token));
  return EarthdataAccount{impl_->host, token.user, token.source, token.expires_unix_s};
}

/// Asks the login host for the user's profile. Only a profile is a yes.
Result<> EarthdataLogin::Impl::confirm(const EarthdataToken& shown) {
  std::lock_guard lock(asking);
  io::HttpRequest request;
  request.url = hosts.login_origin() + "/api/users/" + io::uri_encoded(shown.user, false);
  request.headers = {{"authorization", "Bearer " + shown.text}, {"accept", "application/json"}};
  const io::HttpAnswer answer = std::move(requests().call({request}).front());
  const int status = answer.head.status;
  if (status >= 200 && status < 300 && !answer.error) return {};
  if (status == 401 || status == 403) {
    const bool ended = shown.expires_unix_s.value_or(kNever) - kClocks <= now();
    return fail(
        Code::kUnauthenticated,
        (ended ? "the token of " + shown.source + " expired on " + shown_time(*shown.expires_unix_s)
               : host + " does not accept the token of " + shown.source +
                     ", though it has not expired: it was revoked, or is of another "
                     "system") +
            "; " + token_advice(hosts.login_origin()));
  }
  if (answer.error && (status < 300 || io::is_transient_status(status)))
    return fail(Error(*answer.error).with("asking whether the token is valid"));
  return fail(Code::kUnauthenticated, host + " does not confirm the token of " + shown.source +
                                          ": " + io::shown_url(request.url) + ": " +
                                          io::status_text(status) + "; is this the login host?");
}

bool EarthdataLogin::covers(const std::string& url) const { return impl_->hosts.covers(url); }

bool EarthdataLogin::is_prepared(const std::string& url) const {
  return !covers(url) || impl_->known_token();
}

void EarthdataLogin::prepare(const std::string& url) {
  // What is wrong is said where a server asks for a login.
  if (covers(url)) (void)impl_->token_now();
}

std::vector<std::string> EarthdataLogin::headers(const std::string& url) {
  if (!impl_->hosts.may_carry_credentials(url) || impl_->hosts.is_login(url)) return {};
  const bool covered = covers(url);
  const std::string origin = io::origin_of(url);
  std::lock_guard lock(impl_->mutex);
  std::vector<std::string> out;
  if (covered && !impl_->token.text.empty() && !impl_->without_token.contains(origin))
    out.push_back("Authorization: Bearer " + impl_->token.text);
  if (covered || impl_->walked.contains(origin)) {
    const std::string own = impl_->cookies.header(origin);
    if (!own.empty()) out.push_back("Cookie: " + own);
  }
  return out;
}

std::optional<Error> EarthdataLogin::take(const std::string& url, const io::ResponseHead& head,
                                          const std::string& redirect, ByteSpan body) {
  const std::string origin = io::origin_of(url);
  if (!redirect.empty() && impl_->hosts.is_login(redirect)) {
    std::lock_guard lock(impl_->mutex);
    impl_->strangers.erase(origin);
    return Error{Code::kUnauthenticated, "the server asks for an Earthdata login", {}, {}};
  }
  const bool covered = covers(url);
  std::lock_guard lock(impl_->mutex);
  if (!covered && !impl_->walked.contains(origin)) {
    if (head.status != 401 || io::is_signed_url(url)) return {};
    impl_->strangers.insert(origin);
    return impl_->hosts.wants_another_login(url);
  }
  auto refusal = earthdata_refusal(url, head, body, impl_->used);
  // Who is refused is given no credential with it: that cookie is of a load balancer, or the like.
  if (!refusal && impl_->hosts.may_carry_credentials(url))
    impl_->cookies.take(origin, head.cookies);
  return refusal;
}

Result<> EarthdataLogin::renew(const std::string& url, const std::vector<std::string>& sent) {
  {
    std::lock_guard lock(impl_->mutex);
    if (impl_->strangers.contains(io::origin_of(url)))
      return fail(impl_->hosts.wants_another_login(url));
  }
  std::lock_guard lock(impl_->asking);
  if (covers(url) && !impl_->known_token())  // a redirect has led here
    UPWELL_CHECK(impl_->adopt(impl_->find_token()));
  const std::string origin = io::origin_of(url);
  if (impl_->is_newer(origin, headers(url), sent)) return {};  // or another thread was faster
  std::optional<Error> problem;
  {
    std::lock_guard state(impl_->mutex);
    impl_->cookies.drop(origin);
    problem = impl_->problem;
  }
  if (problem) return fail(*problem);
  // Refused again at once: it is not this token, but tokens.
  const bool again =
      impl_->renewed_for.contains(origin) && impl_->now() - impl_->renewed_for[origin] < kSoon;
  if (!token_line(sent).empty() && !again) {
    impl_->renewed_for[origin] = impl_->now();
    auto renewed = impl_->renew_token();
    if (renewed) return {};
    problem = std::move(renewed).error();
  }
  UPWELL_TRY(const EarthdataIdentity who, find_earthdata_identity(impl_->options, impl_->host));
  if (who.user.empty()) {
    if (problem) return fail(*problem);
    if (who.nobody()) return fail(impl_->nobody());
    if (covers(url))
      return fail(Code::kUnauthenticated, "the server does not accept the token of " +
                                              who.token_source + ", nor the one after it");
    return fail(Code::kUnauthenticated,
                "the server asks for an Earthdata login, but is not known to belong to NASA, so it "
                "was not sent the token; --earthdata-data-host " +
                    io::host_of(url) + " allows that");
  }
  if (!impl_->hosts.may_carry_credentials(url))
    return fail(
        Code::kUnauthenticated,
        "the server asks for an Earthdata login over http, which is not encrypted: use https");
  UPWELL_CHECK(impl_->walk(url, who));
  std::lock_guard state(impl_->mutex);
  impl_->without_token.insert(origin);
  return {};
}

Result<Bytes> EarthdataLogin::get(const std::string& url) {
  if (!covers(url))
    return fail(Code::kInvalidArgument, io::shown_url(url) +
                                            ": no host of NASA's data centres, and no login goes "
                                            "to others; --earthdata-data-host allows it");
  for (int k = 0;; ++k) {
    prepare(url);
    const std::vector<std::string> sent = headers(url);
    io::HttpRequest request;
    request.url = url;
    for (const std::string& line : sent) {
      const size_t colon = line.find(": ");
      request.headers.emplace_back(line.substr(0, colon), line.substr(colon + 2));
    }
    io::HttpAnswer answer;
    {
      std::lock_guard lock(impl_->asking);
      answer = std::move(impl_->requests().call({request}).front());
    }
    if (auto error = take(url, answer.head, answer.redirect, answer.body)) {
      if (error->code != Code::kUnauthenticated || k == kMaxRenewals)
        return fail(std::move(*error).with(io::shown_url(url)));
      if (auto renewed = renew(url, sent); !renewed)
        return fail(std::move(renewed).error().with(io::shown_url(url)));
      continue;
    }
    if (answer.error) return fail(std::move(*answer.error));
    if (!answer.redirect.empty())
      return fail(Code::kInvalidData, io::shown_url(url) + ": redirected to " +
                                          io::shown_url(answer.redirect) + " instead of an answer");
    return std::move(answer.body);
  }
}

}  // namespace upwell::access
