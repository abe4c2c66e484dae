// The first request of an object over HTTP, and the connections that are opened along with it.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <thread>

#include "io/http_store.hpp"
#include "io/test_servers.hpp"

namespace upwell::io {
namespace {

const std::string kText = "0123456789abcdefghijklmnopqrstuvwxyz";

HttpOptions hasty() {
  HttpOptions options;
  options.connect_timeout_s = 2;
  options.stall_timeout_s = 2;
  options.attempts = 3;
  options.backoff_base_s = 0.01;
  return options;
}

RawAnswer partial(size_t first, size_t length, const std::string& size = "36",
                  const std::string& headers = "ETag: \"1\"\r\n") {
  return {http_answer(206,
                      headers + "Content-Range: bytes " + std::to_string(first) + "-" +
                          std::to_string(first + length - 1) + "/" + size + "\r\n",
                      kText.substr(first, length)),
          0, true};
}

/// What comes of asking for ten first bytes.
struct Asked {
  explicit Asked(RawServer::Script script, uint64_t length = 10, HttpOptions options = hasty())
      : server(std::move(script)), store(std::move(options)), url(server.url() + "data/a.nc") {
    front = store.front(url, length);
  }
  void expect_front(std::string_view bytes, uint64_t size, size_t requests) {
    ASSERT_TRUE(front) << front.error().to_string();
    EXPECT_EQ(as_text(front->bytes.span()), bytes);
    EXPECT_EQ(front->info.size, size);
    EXPECT_EQ(server.seen().size(), requests);
  }
  void expect_failure(Code code, const std::string& part, size_t requests) {
    ASSERT_FALSE(front);
    EXPECT_EQ(to_string(front.error().code), to_string(code));
    EXPECT_NE(front.error().message.find(part), std::string::npos) << front.error().message;
    EXPECT_EQ(server.seen().size(), requests);
  }
  RawServer server;
  HttpStore store;
  std::string url;
  Result<Front> front;
};

TEST(HttpFront, IsOneRangeRequest) {
  Asked asked([](const SeenRequest&, size_t) { return partial(0, 10); });
  asked.expect_front("0123456789", 36, 1);
  EXPECT_EQ(asked.front->info.etag, "\"1\"");
  const SeenRequest request = asked.server.seen().front();
  EXPECT_EQ(request.method, "GET");
  EXPECT_EQ(request.header("range"), "bytes=0-9");
  ASSERT_TRUE(asked.store.known(asked.url));
  EXPECT_EQ(*asked.store.known(asked.url), asked.front->info);
}

TEST(HttpFront, OfAShorterObjectIsTheObject) {
  Asked shorter([](const SeenRequest&, size_t) { return partial(0, 36); }, 100);
  shorter.expect_front(kText, 36, 1);
  Asked empty([](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(416, "Content-Range: bytes */0\r\n", "")};
  });
  empty.expect_front("", 0, 1);
  // A server that only says no: HEAD tells why.
  Asked silent([](const SeenRequest& r, size_t) {
    if (r.method == "HEAD") return RawAnswer{"HTTP/1.1 200 x\r\nContent-Length: 0\r\n\r\n"};
    return RawAnswer{http_answer(416, "", "")};
  });
  silent.expect_front("", 0, 2);
  Asked lying([](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(416, "Content-Range: bytes */36\r\n", "")};
  });
  lying.expect_failure(Code::kInvalidData, "though the object has 36 bytes", 1);
}

TEST(HttpFront, OfAServerThatIgnoresRanges) {
  Asked small([](const SeenRequest&, size_t) { return RawAnswer{http_answer(200, "", kText)}; });
  small.expect_front(kText, 36, 1);
  HttpOptions options = hasty();
  options.max_unranged_body = 30;
  Asked large([](const SeenRequest&, size_t) { return RawAnswer{http_answer(200, "", kText)}; }, 10,
              options);
  large.expect_front("0123456789", 36, 1);
  // More than fits into memory is not read for the sake of its front.
  Asked huge(
      [](const SeenRequest&, size_t) {
        return RawAnswer{"HTTP/1.1 200 x\r\nContent-Length: 9000000000000000000\r\n\r\n" + kText};
      },
      10);
  huge.expect_front("0123456789", 9000000000000000000U, 1);
  const std::string chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n" + kText;
  Asked unsaid([&](const SeenRequest&, size_t) { return RawAnswer{chunked + "\r\n0\r\n\r\n"}; });
  unsaid.expect_front(kText, 36, 1);
  Asked endless([&](const SeenRequest&, size_t) { return RawAnswer{chunked + "\r\n0\r\n\r\n"}; },
                10, options);
  endless.expect_failure(Code::kUnsupported, "ignores Range requests", 1);
}

TEST(HttpFront, AsksForTheLengthWhereARangeDoesNotTellIt) {
  Asked asked([](const SeenRequest& r, size_t) {
    if (r.method == "HEAD")
      return RawAnswer{"HTTP/1.1 200 x\r\nETag: \"1\"\r\nContent-Length: 36\r\n\r\n", 0, true};
    return partial(0, 10, "*");
  });
  asked.expect_front("0123456789", 36, 2);
  Asked changed([](const SeenRequest& r, size_t) {
    if (r.method == "HEAD")
      return RawAnswer{"HTTP/1.1 200 x\r\nETag: \"2\"\r\nContent-Length: 36\r\n\r\n", 0, true};
    return partial(0, 10, "*");
  });
  changed.expect_failure(Code::kChanged, "ETag", 2);
}

TEST(HttpFront, OtherRangesAreErrors) {
  Asked later([](const SeenRequest&, size_t) { return partial(1, 10); });
  later.expect_failure(Code::kInvalidData, "wrong Content-Range", 1);
  Asked less([](const SeenRequest&, size_t) { return partial(0, 5); });
  less.expect_failure(Code::kInvalidData, "wrong Content-Range", 1);
  Asked more([](const SeenRequest&, size_t) { return partial(0, 20); });
  more.expect_failure(Code::kInvalidData, "wrong Content-Range", 1);
  Asked none([](const SeenRequest&, size_t) { return RawAnswer{http_answer(206, "", kText)}; });
  none.expect_failure(Code::kInvalidData, "wrong Content-Range", 1);
}

TEST(HttpFront, ShortBodiesAreRetriedAndChangesNoticed) {
  Asked cut([](const SeenRequest&, size_t n) {
    RawAnswer answer = partial(0, 10);
    if (n == 0) answer.bytes.resize(answer.bytes.size() - 3);
    answer.keep = n > 0;
    return answer;
  });
  cut.expect_front("0123456789", 36, 2);
  Asked changing([](const SeenRequest&, size_t n) {
    return partial(n == 0 ? 0 : 20, 10, "36", n == 0 ? "ETag: \"1\"\r\n" : "ETag: \"2\"\r\n");
  });
  ASSERT_TRUE(changing.front);
  ReadRequest next{changing.url, {20, 10}};
  auto answer = std::move(changing.store.read({&next, 1}).front());
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kChanged);
}

TEST(HttpFront, RefusalsAndPagesAreErrors) {
  Asked missing([](const SeenRequest&, size_t) { return RawAnswer{http_answer(404, "", "no")}; });
  missing.expect_failure(Code::kNotFound, "HTTP 404", 1);
  Asked page([](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(200, "Content-Type: text/html\r\n", "<html>in</html>")};
  });
  page.expect_failure(Code::kInvalidData, "HTML page instead of data", 1);
}

void wait_until(const std::function<bool()>& done) {
  for (int i = 0; i < 400 && !done(); ++i)
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
}

RawAnswer any_range(const SeenRequest& r) {
  const std::string range = r.header("range");
  const size_t first = std::stoul(range.substr(6));
  const size_t last = std::stoul(range.substr(range.find('-') + 1));
  return partial(first, last - first + 1);
}

TEST(SpareConnections, AreOpenWhenABatchNeedsThem) {
  RawServer server([](const SeenRequest& r, size_t) { return any_range(r); });
  HttpStore store(hasty());
  const std::string url = server.url() + "a.nc";
  ASSERT_TRUE(store.front(url, 10));
  wait_until([&] { return server.connections() >= 24; });
  EXPECT_EQ(server.connections(), 24u);
  std::vector<ReadRequest> batch;
  for (uint64_t i = 0; i < 8; ++i) batch.push_back({url, {10 + i, 1}});
  auto answers = store.read(batch);
  for (size_t i = 0; i < 8; ++i) {
    ASSERT_TRUE(answers[i]) << answers[i].error().to_string();
    EXPECT_EQ(as_text(answers[i]->span()), kText.substr(10 + i, 1));
  }
  // The batch was taken from them, and what may follow it has as many again.
  wait_until([&] { return server.connections() >= 31; });
  EXPECT_EQ(server.connections(), 31u);
  EXPECT_EQ(server.seen().size(), 9u);
}

TEST(SpareConnections, StayWithinTheLimitOfTheHost) {
  RawServer server([](const SeenRequest& r, size_t) { return any_range(r); });
  HttpOptions options = hasty();
  options.parallelism_per_host = 4;
  HttpStore store(options);
  ASSERT_TRUE(store.front(server.url() + "a.nc", 10));
  wait_until([&] { return server.connections() >= 4; });
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(server.connections(), 4u);
}

/// Connections of this machine to a port of its own, open or closed from this side not long ago, by
/// proc(5).
size_t connections_to(const std::string& url, const std::string& states = "123456") {
  const std::string port = url.substr(url.rfind(':') + 1);
  const std::string remote = fmt::format("0100007F:{:04X} 0", std::stoi(port));
  std::ifstream table("/proc/self/net/tcp");
  size_t n = 0;
  for (std::string line; std::getline(table, line);)
    // After the remote address comes the state; of the server's own lines it is the local one.
    if (const size_t at = line.find(remote);
        at != std::string::npos && line[at + remote.size() + 1] == ' ' &&
        states.find(line[at + remote.size()]) != std::string::npos)
      ++n;
  return n;
}

/// What nginx over TLS answers to a front and to batches of so many ranges, and how many
/// connections are open after each.
std::vector<size_t> connections_over_tls(const Nginx& nginx, const std::vector<size_t>& batches,
                                         const std::vector<size_t>& expected) {
  const std::string home = *nginx.https_url(), url = home + "a.nc";
  std::ofstream(nginx.directory() / "a.nc") << kText;
  HttpOptions options = hasty();
  options.ca_file = nginx.certificate();
  HttpStore store(options);
  const size_t before = connections_to(home);  // who looked whether nginx is there
  EXPECT_TRUE(store.front(url, 10));
  std::vector<size_t> seen;
  auto look = [&] {
    wait_until([&] { return connections_to(home) - before >= expected[seen.size()]; });
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
    seen.push_back(connections_to(home) - before);
  };
  look();
  for (const size_t batch : batches) {
    const std::vector<ReadRequest> requests(batch, {url, {10, 4}});
    for (auto& answer : store.read(requests))
      EXPECT_EQ(as_text(answer.value().span()), kText.substr(10, 4));
    look();
  }
  return seen;
}

TEST(SpareConnections, OverTlsHaveShakenHands) {
  auto nginx = Nginx::start(/*http2=*/false);
  if (!nginx || !nginx->https_url()) GTEST_SKIP() << "nginx or openssl is not installed";
  // Three before it is known what one connection carries; then each batch leaves 23 behind, of
  // which the next one uses what it needs.
  const std::vector<size_t> expected{4, 27, 33};
  EXPECT_EQ(connections_over_tls(*nginx, {4, 10}, expected), expected);
}

TEST(SpareConnections, AreClosedWhenIdle) {
  RawServer server([](const SeenRequest& r, size_t) { return any_range(r); });
  HttpStore store(hasty());
  const std::string url = server.url() + "a.nc";
  ASSERT_TRUE(store.front(url, 10));
  auto established = [&] { return connections_to(server.url(), "1"); };
  wait_until([&] { return established() == 24; });
  EXPECT_EQ(established(), 24u);
  for (int k = 0; k < 100 && established() > 1; ++k)
    std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(established(), 1u) << "the one that was used";
  const ReadRequest one{url, {10, 4}};
  auto answer = std::move(store.read({&one, 1}).front());
  ASSERT_TRUE(answer);
  EXPECT_EQ(server.connections(), 24u);
  EXPECT_EQ(store.traffic()->retries, 0u);
}

TEST(SpareConnections, AreNotOpenedWhereAnswersEndThem) {
  RawServer server([](const SeenRequest&, size_t) {
    return RawAnswer{
        "HTTP/1.0 206 x\r\nETag: \"1\"\r\nContent-Range: bytes 0-9/36\r\n"
        "Content-Length: 10\r\n\r\n0123456789"};
  });
  HttpStore store(hasty());
  ASSERT_TRUE(store.front(server.url() + "a.nc", 10));
  wait_until([&] { return server.connections() >= 24; });
  const size_t before = server.connections();
  ASSERT_TRUE(store.front(server.url() + "b.nc", 10));
  std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_LE(server.connections(), before + 1);
}

TEST(SpareConnections, AreFewWhereOneCarriesAll) {
  auto nginx = Nginx::start();
  if (!nginx || !nginx->https_url()) GTEST_SKIP() << "nginx or openssl is not installed";
  const std::vector<size_t> expected{4, 4, 4};
  EXPECT_EQ(connections_over_tls(*nginx, {10, 50}, expected), expected);
}

}  // namespace
}  // namespace upwell::io
