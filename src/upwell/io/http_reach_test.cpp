// The reach of requests where it counts: at connections, whatever names and redirects say.

#include <gtest/gtest.h>
#include <netdb.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>

#include "io/http_store.hpp"
#include "io/test_servers.hpp"

namespace upwell::io {
namespace {

/// A name of this machine that resolves to 127.0.0.1 and does not look so.
std::string innocent_name() {
  char name[256] = {};
  if (::gethostname(name, sizeof name - 1) != 0 || literal_address_class(name)) return {};
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (::getaddrinfo(name, nullptr, &hints, &found) != 0) return {};
  const bool loopback = address_class(*found->ai_addr) == AddressClass::kLoopback;
  ::freeaddrinfo(found);
  return loopback ? name : std::string();
}

std::string with_host(std::string url, const std::string& host) {
  const size_t at = url.find("127.0.0.1");
  return url.replace(at, 9, host);
}

ReachPtr reach_of(const std::string& base, ReachOptions options = {}) {
  return std::make_shared<const Reach>(base, std::move(options));
}

const ReachPtr kStranger = reach_of("https://data.example.org/set.json");

RawAnswer bytes_answer(const SeenRequest&, size_t) {
  return {http_answer(200, "", "secret"), 0, true};
}

struct HttpReach : testing::Test {
  HttpReach() {
    HttpOptions options;
    options.attempts = 2;
    options.backoff_base_s = 0.01;
    options.redirects = Reach::of_redirects({});
    store = std::make_unique<HttpStore>(options);
  }
  Result<SharedBytes> read(const std::string& url, const ReachPtr& reach) {
    ReadRequest request{url, {}, reach};
    return std::move(store->read({&request, 1}).front());
  }
  void expect_refused(const std::string& url, const ReachPtr& reach, const std::string& part) {
    auto result = read(url, reach);
    ASSERT_FALSE(result) << url;
    EXPECT_EQ(result.error().code, Code::kPermissionDenied) << result.error().message;
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
  }
  std::unique_ptr<HttpStore> store;
};

TEST_F(HttpReach, ANameThatResolvesWithinIsRefusedBeforeAConnection) {
  const std::string name = innocent_name();
  if (name.empty()) GTEST_SKIP() << "this machine's name does not resolve to 127.0.0.1";
  RawServer server(bytes_answer);
  const std::string url = with_host(server.url(), name) + "x";
  expect_refused(url, kStranger, "loopback address 127.0.0.1; --allow-host " + name);
  EXPECT_TRUE(server.seen().empty());
  EXPECT_TRUE(read(url, reach_of("https://data.example.org/set.json", {{name}, {}})));
  EXPECT_TRUE(read(url, reach_of("/data/set.json")));
}

TEST_F(HttpReach, AConnectionThatAnotherOpenedLendsNoReach) {
  const std::string name = innocent_name();
  if (name.empty()) GTEST_SKIP() << "this machine's name does not resolve to 127.0.0.1";
  RawServer server(bytes_answer);
  const std::string url = with_host(server.url(), name) + "x";
  ASSERT_TRUE(read(url, nullptr));
  ASSERT_EQ(server.seen().size(), 1u);
  expect_refused(url, kStranger, "--allow-host");
  EXPECT_EQ(server.seen().size(), 1u);
  EXPECT_TRUE(read(url, nullptr));
}

TEST_F(HttpReach, ASetsOwnHostStaysWhereItWasFound) {
  RawServer server(bytes_answer);
  const ReachPtr own = reach_of(server.url() + "set.json");
  // Nothing of the user's has been read there.
  expect_refused(server.url() + "x", own, "loopback");
  ASSERT_TRUE(read(server.url() + "set.json", nullptr));
  EXPECT_TRUE(read(server.url() + "x", own));
}

TEST_F(HttpReach, RedirectsLeadNoFarther) {
  RawServer inner(bytes_answer);
  std::string target;
  RawServer outer([&](const SeenRequest& r, size_t) {
    if (r.target == "/set.json") return RawAnswer{http_answer(200, "", "{}"), 0, true};
    return RawAnswer{http_answer(302, "Location: " + target + "\r\n", ""), 0, true};
  });
  const ReachPtr own = reach_of(outer.url() + "set.json");
  ASSERT_TRUE(read(outer.url() + "set.json", nullptr));
  for (const std::string& where :
       {with_host(inner.url(), "127.0.0.2"), with_host(inner.url(), "localhost"),
        std::string("http://169.254.169.254/latest"), std::string("http://[fe80::1]/")}) {
    target = where;
    expect_refused(outer.url() + "x", own, "--allow-host");
  }
  EXPECT_TRUE(inner.seen().empty());
  target = "http://169.254.169.254/latest";
  expect_refused(outer.url() + "x", reach_of("/data/set.json"), "link-local");
  expect_refused(outer.url() + "x", nullptr, "named by a redirect");
  target = with_host(inner.url(), "localhost");
  EXPECT_TRUE(read(outer.url() + "x", reach_of("/data/set.json")));
  EXPECT_TRUE(read(outer.url() + "x", nullptr));
}

TEST_F(HttpReach, TheUsersProxyIsNoTarget) {
  RawServer proxy(bytes_answer);
  ::setenv("http_proxy", proxy.url().c_str(), 1);
  store = std::make_unique<HttpStore>();  // reads the variables
  EXPECT_TRUE(read("http://data.example.invalid/x", kStranger));
  expect_refused("http://10.0.0.1/x", kStranger, "private address 10.0.0.1");
  ::unsetenv("http_proxy");
  EXPECT_EQ(proxy.seen().size(), 1u);
}

}  // namespace
}  // namespace upwell::io
