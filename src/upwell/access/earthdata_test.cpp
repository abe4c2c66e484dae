#include "access/earthdata.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <atomic>
#include <fstream>
#include <map>
#include <thread>
#include <tuple>

#include "access/earthdata_hosts.hpp"
#include "access/s3_keys.hpp"
#include "io/http_store.hpp"
#include "io/test_servers.hpp"
#include "io/url.hpp"
#include "refs/base64.hpp"

namespace upwell::access {
namespace {

using io::http_answer;
using io::RawAnswer;
using io::RawServer;
using io::SeenRequest;

constexpr int64_t kNow = 1'795'763'400;
constexpr const char* kBytes = "0123456789abcdefghijklmnopqrstuvwxyz";

std::string make_token(const std::string& user, int64_t end, int number = 0) {
  std::string payload =
      refs::base64_encode(as_bytes(R"({"uid":")" + user + R"(","exp":)" + std::to_string(end) +
                                   R"(,"n":)" + std::to_string(number) + "}"));
  while (payload.ends_with('=')) payload.pop_back();
  return "e." + payload + ".s";
}

RawAnswer kept_open(int status, const std::string& headers, const std::string& body) {
  return {http_answer(status, headers, body), 0, true};
}

RawAnswer redirect_to(int status, const std::string& url, const std::string& headers = "") {
  return kept_open(status, "Location: " + url + "\r\n" + headers, "");
}

RawAnswer served_range(const SeenRequest& request) {
  const std::string range = request.header("range");
  const size_t first = std::stoul(range.substr(6));
  const size_t last = std::min<size_t>(35, std::stoul(range.substr(range.find('-') + 1)));
  return kept_open(206,
                   "ETag: \"1\"\r\nContent-Range: bytes " + std::to_string(first) + "-" +
                       std::to_string(last) + "/36\r\n",
                   std::string(kBytes).substr(first, last - first + 1));
}

/// The login host, a gateway to data and the object host, each an origin of its own.
struct World {
  // What the servers do:
  std::atomic<int> newest{0};            // number of the token that the login host gives
  std::atomic<bool> always_new{false};   // tokens of the login host
  std::atomic<bool> takes_tokens{true};  // of the gateway
  std::string refusal;                   // of the gateway, to whom it knows
  std::atomic<int> cookies{0};           // of the gateway, to whom it refuses; 0: it gives none
  std::atomic<int64_t> token_life{86400};
  std::string password = "word";

  RawServer objects{[](const SeenRequest& r, size_t) {
    // Amazon refuses two ways to log in at once.
    if (!r.header("authorization").empty() || !r.header("cookie").empty())
      return kept_open(400, "", "Only one auth mechanism allowed");
    return served_range(r);
  }};
  RawServer login{[this](const SeenRequest& r, size_t) { return log_in(r); }};
  RawServer gateway{[this](const SeenRequest& r, size_t) { return gate(r); }};

  std::map<std::string, std::string> environment{{"HOME", "/nowhere"}};
  std::vector<std::string> warnings;

  std::string current() const { return make_token("me", kNow + token_life, newest); }
  std::string basic() const { return refs::base64_encode(as_bytes("me:" + password)); }

  RawAnswer log_in(const SeenRequest& r) {
    const std::string given = r.header("authorization");
    std::string wanted = "basic " + basic();
    for (char& c : wanted) c = static_cast<char>(std::tolower(c));
    if (r.target.starts_with("/api/users/me"))
      return kept_open(r.header("authorization") == lower("bearer " + current()) ? 200 : 401, "",
                       "{}");
    if (given != wanted)
      return kept_open(
          401, "",
          R"({"error":"invalid_credentials","error_description":"Invalid user credentials"})");
    if (always_new) ++newest;
    if (r.target == "/api/users/find_or_create_token" && r.method == "POST")
      return kept_open(200, "Content-Type: application/json\r\n",
                       R"({"access_token":")" + current() +
                           R"(","token_type":"Bearer","expiration_date":"11/28/2026"})");
    if (r.target.starts_with("/oauth/authorize"))
      return redirect_to(302, gateway.url() + "login?code=c0de", "Set-Cookie: urs=1; Path=/\r\n");
    return kept_open(404, "", "");
  }

  static std::string lower(std::string text) {
    for (char& c : text) c = static_cast<char>(std::tolower(c));
    return text;
  }

  RawAnswer gate(const SeenRequest& r) {
    if (r.target == "/login?code=c0de")
      return redirect_to(301, gateway.url() + "b/x.nc",
                         "Set-Cookie: asf-urs=known; Path=/; Secure\r\n");
    const bool known = r.header("cookie") == "asf-urs=known" ||
                       (takes_tokens && r.header("authorization") == lower("Bearer " + current()));
    if (!known && cookies > 0)
      return kept_open(401, "Set-Cookie: balancer=" + std::to_string(cookies++) + "\r\n", "");
    if (!known && !r.target.starts_with("/public"))
      return redirect_to(302, login.url() + "oauth/authorize?client_id=x&app_type=401");
    if (!refusal.empty()) return {refusal, 0, true};
    if (r.target == "/s3credentials")
      return kept_open(
          200, "",
          R"({"accessKeyId":"A","secretAccessKey":"B","sessionToken":"C","expiration":"2026-11-27 08:10:00+00:00"})");
    return redirect_to(303, objects.url() + "k?X-Amz-Signature=1",
                       "Cache-Control: private, max-age=3540\r\n");
  }

  EarthdataOptions options() {
    EarthdataOptions o;
    o.host = login.url().substr(7);
    o.data_hosts = {gateway.url().substr(7, gateway.url().size() - 8)};
    o.environment = [this](const std::string& name) {
      const auto it = environment.find(name);
      return it == environment.end() ? "" : it->second;
    };
    o.warn = [this](const std::string& text) { warnings.push_back(text); };
    o.now = [] { return kNow; };
    o.plain_loopback = true;
    return o;
  }
  void by_password() {
    environment["EARTHDATA_USERNAME"] = "me";
    environment["EARTHDATA_PASSWORD"] = "word";
  }
  /// Requests of a server whose target begins so.
  static size_t count(const RawServer& server, const std::string& target) {
    size_t n = 0;
    for (const SeenRequest& r : server.seen()) n += r.target.starts_with(target) ? 1 : 0;
    return n;
  }
};

/// A store for the world's user, and what it reads.
struct Reader {
  explicit Reader(World& w) : world(w), login(std::make_shared<EarthdataLogin>(w.options())) {
    io::HttpOptions options;
    options.attempts = 2;
    options.backoff_base_s = 0.01;
    options.login = login;
    store = std::make_unique<io::HttpStore>(std::move(options));
  }
  std::vector<Result<SharedBytes>> read(size_t n, const std::string& path = "b/x.nc") {
    std::vector<io::ReadRequest> requests;
    for (size_t i = 0; i < n; ++i) requests.push_back({world.gateway.url() + path, {i % 30, 4}});
    return store->read(requests);
  }
  void expect_data(size_t n, const std::string& path = "b/x.nc") {
    const auto answers = read(n, path);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_TRUE(answers[i]) << answers[i].error().to_string();
      EXPECT_EQ(as_text(answers[i]->span()), std::string(kBytes).substr(i % 30, 4));
    }
  }
  void expect_error(Code code, const std::string& part, size_t n = 3) {
    for (const auto& answer : read(n)) {
      ASSERT_FALSE(answer);
      EXPECT_EQ(to_string(answer.error().code), to_string(code)) << answer.error().message;
      EXPECT_NE(answer.error().message.find(part), std::string::npos) << answer.error().message;
      EXPECT_EQ(answer.error().message.find(world.password + "word"), std::string::npos);
    }
  }
  World& world;
  std::shared_ptr<EarthdataLogin> login;
  std::unique_ptr<io::HttpStore> store;
};

TEST(Earthdata, ManyRangesNeedOneTokenAndOneSignature) {
  World world;
  world.by_password();
  Reader reader(world);
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) threads.emplace_back([&] { reader.expect_data(30); });
  for (std::thread& thread : threads) thread.join();
  ASSERT_TRUE(reader.store->stat(world.gateway.url() + "b/x.nc"));
  EXPECT_EQ(world.login.seen().size(), 1u);
  EXPECT_EQ(world.gateway.seen().size(), 1u);
  EXPECT_EQ(world.objects.seen().size(), 121u);
}

TEST(Earthdata, CredentialsGoNowhereElse) {
  World world;
  world.by_password();
  Reader reader(world);
  reader.expect_data(5);
  for (const SeenRequest& r : world.objects.seen()) {
    EXPECT_EQ(r.header("authorization"), "");
    EXPECT_EQ(r.header("cookie"), "");
  }
  for (const SeenRequest& r : world.gateway.seen())
    EXPECT_TRUE(r.header("authorization").starts_with("bearer "));
  for (const SeenRequest& r : world.login.seen())
    EXPECT_TRUE(r.header("authorization").starts_with("basic "));
}

TEST(Earthdata, ATokenFromTheEnvironmentIsUsedAsItIs) {
  World world;
  world.by_password();
  world.environment["EARTHDATA_TOKEN"] = "Bearer " + world.current() + "\n";
  Reader reader(world);
  reader.expect_data(3);
  EXPECT_EQ(world.login.seen().size(), 0u);
}

TEST(Earthdata, AnExpiredTokenIsNotSent) {
  World world;
  world.environment["EARTHDATA_TOKEN"] = make_token("me", kNow - 86400);
  Reader reader(world);
  reader.expect_error(Code::kUnauthenticated,
                      "the token of EARTHDATA_TOKEN expired on 2026-11-26 07:10 UTC");
  EXPECT_EQ(world.gateway.seen().size(), 1u);
  EXPECT_EQ(world.gateway.seen().front().header("authorization"), "");
  reader.expect_data(1, "public/x.nc");
  // With a name and password it is no obstacle.
  world.by_password();
  Reader other(world);
  other.expect_data(3);
}

TEST(Earthdata, ATokenThatEndsSoonIsExchanged) {
  World world;
  world.by_password();
  world.token_life = 200;
  Reader reader(world);
  const std::string first = reader.login->token().value_or("");
  EXPECT_EQ(first, world.current());
  EarthdataOptions later = world.options();
  auto clock = std::make_shared<std::atomic<int64_t>>(kNow);
  later.now = [clock] { return clock->load(); };
  EarthdataLogin login(later);
  ASSERT_TRUE(login.token());
  world.token_life = 86400;
  EXPECT_EQ(login.token().value_or(""), first);  // nothing better is to be had yet
  *clock = kNow + 196;
  EXPECT_EQ(login.token().value_or(""), world.current());
}

TEST(Earthdata, ARevokedTokenIsRenewedOnceForAll) {
  World world;
  world.by_password();
  Reader reader(world);
  reader.expect_data(1);
  world.newest = 1;  // the old one is refused from now on
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&, t] { reader.expect_data(10, "b/" + std::to_string(t) + ".nc"); });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(World::count(world.login, "/api/users/find_or_create_token"), 2u);
}

TEST(Earthdata, ACookieThatComesWithARefusalIsNoNewCredential) {
  World world;
  world.by_password();
  world.environment["EARTHDATA_TOKEN"] = make_token("me", kNow + 1000, 7);
  world.cookies = 1;
  Reader reader(world);
  reader.expect_data(3);
  EXPECT_EQ(World::count(world.login, "/api/users/find_or_create_token"), 1u);
  for (const SeenRequest& r : world.gateway.seen())
    EXPECT_EQ(r.header("cookie").find("balancer"), std::string::npos);
}

TEST(Earthdata, ARevokedTokenAloneIsAnErrorThatSaysSo) {
  World world;
  world.environment["EARTHDATA_TOKEN"] = make_token("me", kNow + 1000, 7);
  Reader reader(world);
  reader.expect_error(Code::kUnauthenticated,
                      "the token of EARTHDATA_TOKEN is not accepted: it was revoked");
  EXPECT_EQ(world.gateway.seen().size(), 1u);
  const auto account = reader.login->check();
  ASSERT_FALSE(account);
}

TEST(Earthdata, AHostThatTakesNoTokensIsReachedByPassword) {
  World world;
  world.by_password();
  world.takes_tokens = false;
  Reader reader(world);
  reader.expect_data(20);
  reader.expect_data(20, "b/y.nc");
  EXPECT_EQ(World::count(world.login, "/oauth/authorize"), 1u);
  for (const SeenRequest& r : world.gateway.seen())
    EXPECT_FALSE(r.header("authorization").starts_with("basic "));
}

TEST(Earthdata, AnUnknownHostGetsNoTokenButTheWalk) {
  World world;
  EarthdataOptions options = world.options();
  options.data_hosts.clear();
  world.environment["EARTHDATA_TOKEN"] = world.current();
  io::HttpOptions http;
  http.login = std::make_shared<EarthdataLogin>(options);
  io::HttpStore alone(http);
  const std::vector<io::ReadRequest> requests{{world.gateway.url() + "b/x.nc", {0, 4}}};
  auto answer = std::move(alone.read(requests).front());
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("--earthdata-data-host 127.0.0.1"), std::string::npos)
      << answer.error().message;
  world.by_password();
  http.login = std::make_shared<EarthdataLogin>(options);
  io::HttpStore store(http);
  answer = std::move(store.read(requests).front());
  EXPECT_TRUE(answer) << answer.error().to_string();
  for (const SeenRequest& r : world.gateway.seen()) EXPECT_EQ(r.header("authorization"), "");
}

TEST(EarthdataHosts, AreNamedAsHostsOrAsUrls) {
  for (const char* name :
       {"data.x.org", "https://data.x.org", "https://Data.X.org/", "data.x.org:443"})
    EXPECT_TRUE(EarthdataHosts("urs.y.org", {name}, false).covers("https://data.x.org/a.nc"))
        << name;
  EXPECT_TRUE(
      EarthdataHosts("urs.y.org", {"https://x.org:8443/"}, false).covers("https://x.org:8443/a"));
  EXPECT_FALSE(
      EarthdataHosts("urs.y.org", {"https://x.org:8443/"}, false).covers("https://x.org/a"));
  EXPECT_FALSE(
      EarthdataHosts("urs.y.org", {"https://data.x.org"}, false).covers("https://x.org/a"));
}

TEST(EarthdataHosts, OfALoginLieBelowItsDomainAndNotBelowATopLevelOne) {
  EXPECT_TRUE(EarthdataHosts("urs.y.org", {}, false).covers("https://data.y.org/a.nc"));
  for (const char* login : {"urs.org", "urs.org.", "uat.urs.org", "urs."})
    EXPECT_FALSE(EarthdataHosts(login, {}, false).covers("https://data.org/a.nc")) << login;
}

TEST(Earthdata, ARedirectToADataHostFindsTheToken) {
  World world;
  world.environment["EARTHDATA_TOKEN"] = world.current();
  RawServer door(
      [&](const SeenRequest&, size_t) { return redirect_to(302, world.gateway.url() + "b/x.nc"); });
  Reader reader(world);
  const std::vector<io::ReadRequest> requests{{door.url() + "x.nc", {0, 4}}};
  const auto answer = std::move(reader.store->read(requests).front());
  EXPECT_TRUE(answer) << answer.error().to_string();
  for (const SeenRequest& r : door.seen()) EXPECT_EQ(r.header("authorization"), "");
}

TEST(Earthdata, TokensThatAreRefusedAgainAndAgainLeadToTheWalk) {
  World world;
  world.by_password();
  world.takes_tokens = false;
  world.always_new = true;
  Reader reader(world);
  reader.expect_data(1);
  EXPECT_LE(World::count(world.login, "/api/users/find_or_create_token"), 2u);
}

TEST(Earthdata, AWrongPasswordIsTriedOnce) {
  World world;
  world.by_password();
  world.password = "other";
  Reader reader(world);
  reader.expect_error(Code::kUnauthenticated,
                      "does not accept this user name and password (me, from EARTHDATA_USERNAME)");
  reader.expect_error(Code::kUnauthenticated, "does not accept this user name and password");
  EXPECT_EQ(world.login.seen().size(), 1u);
  reader.expect_data(2, "public/x.nc");
}

TEST(Earthdata, NobodyIsToldWhatToDo) {
  World world;
  Reader reader(world);
  reader.expect_error(Code::kUnauthenticated, "nobody is logged in to Earthdata");
  reader.expect_error(Code::kUnauthenticated, "/nowhere/.netrc");
  reader.expect_data(1, "public/x.nc");
  EXPECT_EQ(world.login.seen().size(), 0u);
}

TEST(Earthdata, AgreementsAreShownWithTheirAddress) {
  World world;
  world.by_password();
  world.refusal = http_answer(
      403, "Content-Type: application/json\r\n",
      R"({"status_code":403,"error_description":"EULA Acceptance Failure","resolution_url":"https://urs/approve_app?client_id=x"})");
  Reader reader(world);
  reader.expect_error(
      Code::kPermissionDenied,
      "EULA Acceptance Failure: open https://urs/approve_app?client_id=x in a browser");
  EXPECT_EQ(world.gateway.seen().size(), 1u);
  World page;
  page.by_password();
  page.refusal = http_answer(401, "Content-Type: text/html\r\n",
                             "<html>accept <a href=\"https://urs/accept_eula?x=1\">here</a>");
  Reader other(page);
  other.expect_error(Code::kPermissionDenied, "open https://urs/accept_eula?x=1 in a browser");
}

TEST(Earthdata, WhatAServerRepeatsOfItsSecretsIsNotShown) {
  World world;
  world.environment["EARTHDATA_TOKEN"] = world.current();
  world.refusal = http_answer(403, "Content-Type: application/json\r\n",
                              R"({"error_description":"no to )" + world.current() +
                                  R"(","resolution_url":"https://urs/approve_app?t=)" +
                                  world.current() + R"("})");
  Reader reader(world);
  reader.expect_error(Code::kPermissionDenied, "no to ***: open https://urs/approve_app?t=*** in");
  RawServer login([&](const SeenRequest&, size_t) {
    return kept_open(403, "", R"({"error_description":"no to word, or )" + world.basic() + R"("})");
  });
  world.environment.erase("EARTHDATA_TOKEN");
  world.by_password();
  EarthdataOptions options = world.options();
  options.host = login.url().substr(7);
  const auto token = EarthdataLogin(options).token();
  ASSERT_FALSE(token);
  EXPECT_TRUE(token.error().message.ends_with(": no to ***, or ***")) << token.error().message;
}

TEST(Earthdata, ALoginPageIsNoData) {
  for (const char* headers :
       {"Content-Type: text/html\r\n", "Content-Type: application/octet-stream\r\n"}) {
    World world;
    world.environment["EARTHDATA_TOKEN"] = world.current();
    world.refusal =
        http_answer(200, headers, "\n<!DOCTYPE html><html><body>Earthdata Login</body></html>");
    Reader reader(world);
    for (const auto& answer : reader.read(2)) {
      ASSERT_FALSE(answer);
      EXPECT_EQ(to_string(answer.error().code), to_string(Code::kUnauthenticated))
          << answer.error().message;
    }
  }
}

TEST(Earthdata, KeysOfS3ComeFromTheirEndpoint) {
  World world;
  world.by_password();
  auto login = std::make_shared<EarthdataLogin>(world.options());
  const auto keys = earthdata_s3_keys(login, world.gateway.url() + "s3credentials");
  ASSERT_TRUE(keys()) << keys().error().to_string();
  EXPECT_EQ(keys()->session_token, "C");
  world.newest = 1;
  EXPECT_TRUE(keys());
  const auto elsewhere = earthdata_s3_keys(login, world.objects.url() + "s3credentials")();
  ASSERT_FALSE(elsewhere);
  EXPECT_EQ(elsewhere.error().code, Code::kInvalidArgument);
  EXPECT_EQ(world.objects.seen().size(), 0u);
}

TEST(Earthdata, CheckTellsWhoAndUntilWhen) {
  World world;
  world.environment["EARTHDATA_TOKEN"] = world.current();
  EarthdataLogin login(world.options());
  const auto account = login.check();
  ASSERT_TRUE(account) << account.error().to_string();
  EXPECT_EQ(account->user, "me");
  EXPECT_EQ(account->source, "EARTHDATA_TOKEN");
  EXPECT_EQ(account->expires_unix_s, kNow + 86400);
}

TEST(Earthdata, CheckTakesNothingButAProfileForAYes) {
  for (const auto& [answer, code, said] :
       {std::tuple{404, Code::kUnauthenticated, "does not confirm the token of EARTHDATA_TOKEN"},
        {302, Code::kUnauthenticated, "is this the login host?"},
        {401, Code::kUnauthenticated, "does not accept the token"},
        {503, Code::kUnavailable, "HTTP 503"}}) {
    World world;
    RawServer login([&, status = answer](const SeenRequest&, size_t) {
      return redirect_to(status, world.gateway.url());
    });
    world.environment["EARTHDATA_TOKEN"] = make_token("a/b?c", kNow + 1000);
    EarthdataOptions options = world.options();
    options.host = login.url().substr(7);
    options.attempts = 2;
    const auto account = EarthdataLogin(options).check();
    ASSERT_FALSE(account) << answer;
    EXPECT_EQ(to_string(account.error().code), to_string(code)) << account.error().to_string();
    EXPECT_NE(account.error().to_string().find(said), std::string::npos)
        << account.error().to_string();
    EXPECT_EQ(login.seen().front().target, "/api/users/a%2Fb%3Fc");
    EXPECT_EQ(login.seen().size(), answer == 503 ? 2u : 1u);
  }
}

struct IdentityFiles {
  io::TemporaryDirectory home;
  World world;
  EarthdataOptions options;
  IdentityFiles() : options(world.options()) { world.environment["HOME"] = home.path(); }
  std::string write(const std::string& name, const std::string& text, mode_t mode = 0600) {
    const auto path = home.path() / name;
    std::ofstream(path) << text;
    ::chmod(path.c_str(), mode);
    return path.string();
  }
  EarthdataIdentity find() {
    auto found = find_earthdata_identity(options, "127.0.0.1:1");
    EXPECT_TRUE(found) << found.error().to_string();
    return found.value_or(EarthdataIdentity{});
  }
};

TEST(EarthdataIdentity, ComesFromTheFirstOfItsPlaces) {
  IdentityFiles f;
  EXPECT_TRUE(f.find().nobody());
  f.write(".netrc", "machine 127.0.0.1 login a password b");
  EXPECT_EQ(f.find().user, "a");
  f.world.environment["NETRC"] = f.write("other", "machine 127.0.0.1 login c password d", 0644);
  EXPECT_EQ(f.find().user, "c");
  ASSERT_EQ(f.world.warnings.size(), 1u);
  EXPECT_NE(f.world.warnings[0].find("chmod 600"), std::string::npos);
  f.world.by_password();
  EXPECT_EQ(f.find().user, "me");
  f.world.environment["EARTHDATA_TOKEN"] = "t1";
  EXPECT_EQ(f.find().token, "t1");
  f.options.token_file = f.write("token", "t2\n");
  EXPECT_EQ(f.find().token, "t2");
  EXPECT_EQ(f.world.warnings.size(), 1u);
  f.write("token", "t2\n", 0640);
  EXPECT_EQ(f.find().token, "t2");
  ASSERT_EQ(f.world.warnings.size(), 2u);
  EXPECT_NE(f.world.warnings[1].find("token can be read by others"), std::string::npos);
  f.options.token_command = "echo ' t3 '";
  EXPECT_EQ(f.find().token, "t3");
}

TEST(EarthdataIdentity, WhatIsHalfOrBrokenIsAnError) {
  const auto message = [](IdentityFiles& f) {
    auto found = find_earthdata_identity(f.options, "127.0.0.1");
    EXPECT_FALSE(found);
    return found ? "" : found.error().message;
  };
  IdentityFiles f;
  f.world.environment["EARTHDATA_USERNAME"] = "me";
  EXPECT_NE(message(f).find("EARTHDATA_PASSWORD is not set"), std::string::npos);
  f.world.environment.erase("EARTHDATA_USERNAME");
  f.write(".netrc", "machine 127.0.0.1 login a");
  EXPECT_NE(message(f).find("has no password"), std::string::npos);
  f.write(".netrc", "machine");
  EXPECT_NE(message(f).find(".netrc, line 1"), std::string::npos);
  const std::string home = f.home.path().string();
  f.world.environment["NETRC"] = home;
  EXPECT_NE(message(f).find(home + " is a directory; NETRC"), std::string::npos);
  EXPECT_FALSE(persist_in_netrc(home, "h", "me", "word"));
  f.world.environment.erase("NETRC");
  f.options.token_file = "/nowhere/token";
  EXPECT_NE(message(f).find("/nowhere/token"), std::string::npos);
  f.options.token_file = f.write("token", "<html> no </html>");
  EXPECT_NE(message(f).find("not a token"), std::string::npos);
  f.options.token_command = "exit 3";
  EXPECT_NE(message(f).find("status 3"), std::string::npos);
  f.options.token_command = "false --password=SECRET";
  EXPECT_EQ(message(f), "the token command (false ...) ended with status 1");
  f.options.token_command = "WORD='a SECRET' false";
  EXPECT_EQ(message(f), "the token command ended with status 1");
}

TEST(EarthdataIdentity, IsKeptInANetrcOfTheUsersAlone) {
  IdentityFiles f;
  const std::string path = f.write(".netrc", "machine a login b password c\n", 0644);
  ASSERT_TRUE(persist_in_netrc(path, "127.0.0.1:1", "me", "w o"));
  EXPECT_EQ(f.find().password, "w o");
  EXPECT_TRUE(f.world.warnings.empty());
  std::ifstream file(path);
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  EXPECT_NE(text.find("machine a login b password c\n"), std::string::npos);
  const std::string fresh = (f.home.path() / "fresh").string();
  ASSERT_TRUE(persist_in_netrc(fresh, "h", "me", "word"));
  struct stat state{};
  ASSERT_EQ(::stat(fresh.c_str(), &state), 0);
  EXPECT_EQ(state.st_mode & 0777, 0600u);
}

TEST(EarthdataIdentity, LoginHostsHaveNames) {
  World world;
  EarthdataOptions options = world.options();
  options.host = "";
  EXPECT_EQ(earthdata_host(options).value_or(""), "urs.earthdata.nasa.gov");
  options.host = "UAT";
  EXPECT_EQ(earthdata_host(options).value_or(""), "uat.urs.earthdata.nasa.gov");
  options.host = "https://Urs.example.org:8443/";
  EXPECT_EQ(earthdata_host(options).value_or(""), "urs.example.org:8443");
  options.host = "http://x y";
  EXPECT_FALSE(earthdata_host(options));
}

}  // namespace
}  // namespace upwell::access
