#include "io/http_store.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "io/http_message.hpp"
#include "io/test_servers.hpp"
#include "io/url.hpp"
#include "io/whole_only.hpp"

namespace upwell::io {
namespace {

const std::string kObject = "0123456789abcdefghijklmnopqrstuvwxyz";

HttpOptions quick() {
  HttpOptions options;
  options.connect_timeout_s = 2;
  options.stall_timeout_s = 0.4;
  options.attempts = 3;
  options.backoff_base_s = 0.01;
  return options;
}

/// Answers a range of kObject as a good server does.
RawAnswer good_range(const SeenRequest& request, const std::string& headers = "ETag: \"1\"\r\n") {
  if (request.method == "HEAD") {
    return {"HTTP/1.1 200 OK\r\n" + headers + "Content-Length: " + std::to_string(kObject.size()) +
                "\r\n\r\n",
            0, true};
  }
  std::string range = request.header("range");
  if (range.empty()) return {http_answer(200, headers, kObject), 0, true};
  size_t first = std::stoul(range.substr(6));
  size_t dash = range.find('-');
  size_t last = dash + 1 < range.size() ? std::stoul(range.substr(dash + 1)) : kObject.size() - 1;
  last = std::min(last, kObject.size() - 1);
  std::string content_range = "Content-Range: bytes " + std::to_string(first) + "-" +
                              std::to_string(last) + "/" + std::to_string(kObject.size()) + "\r\n";
  return {http_answer(206, headers + content_range, kObject.substr(first, last - first + 1)), 0,
          true};
}

Result<SharedBytes> read_one(ByteStore& store, const std::string& url, Range range) {
  ReadRequest request{url, range};
  return std::move(store.read({&request, 1}).front());
}

/// One server, one store, one object, and what came of reading [4, 12) of it.
struct Misbehaviour {
  explicit Misbehaviour(RawServer::Script script, HttpOptions options = quick(),
                        Range range = {4, 8})
      : server(std::move(script)), store(std::move(options)) {
    url = server.url() + "data/a.nc";
    result = read_one(store, url, range);
  }
  void expect_error(Code code, const std::string& part, size_t requests) {
    ASSERT_FALSE(result);
    EXPECT_EQ(to_string(result.error().code), to_string(code));
    EXPECT_NE(result.error().message.find(part), std::string::npos) << result.error().message;
    EXPECT_NE(result.error().message.find("data/a.nc"), std::string::npos)
        << result.error().message;
    EXPECT_EQ(server.seen().size(), requests);
  }
  void expect_data(size_t requests) {
    ASSERT_TRUE(result) << result.error().to_string();
    EXPECT_EQ(as_text(result->span()), kObject.substr(4, 8));
    EXPECT_EQ(server.seen().size(), requests);
  }
  RawServer server;
  HttpStore store;
  std::string url;
  Result<SharedBytes> result;
};

TEST(HttpStore, AsksForARangeWithoutEncodings) {
  Misbehaviour m([](const SeenRequest& r, size_t) { return good_range(r); });
  m.expect_data(1);
  SeenRequest request = m.server.seen().front();
  EXPECT_EQ(request.header("range"), "bytes=4-11");
  EXPECT_EQ(request.header("accept-encoding"), "identity");
  EXPECT_EQ(request.header("authorization"), "");
}

TEST(HttpStore, ServerErrorsAreRetriedThenReported) {
  Misbehaviour m([](const SeenRequest&, size_t) { return RawAnswer{http_answer(500, "", "no")}; });
  m.expect_error(Code::kUnavailable, "HTTP 500 Internal Server Error, after 3 attempts", 3);
  EXPECT_EQ(m.store.traffic()->retries, 2u);
  EXPECT_EQ(m.store.traffic()->requests, 3u);
}

TEST(HttpStore, UnavailableThenFine) {
  for (int status : {408, 500, 502, 503, 504}) {
    Misbehaviour m([&](const SeenRequest& r, size_t n) {
      return n == 0 ? RawAnswer{http_answer(status, "", "")} : good_range(r);
    });
    m.expect_data(2);
  }
}

TEST(HttpStore, RetryAfterIsObeyed) {
  auto begin = std::chrono::steady_clock::now();
  Misbehaviour m([](const SeenRequest& r, size_t n) {
    return n == 0 ? RawAnswer{http_answer(429, "Retry-After: 1\r\n", "slow down")} : good_range(r);
  });
  m.expect_data(2);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(1000));
}

TEST(HttpStore, RetryAfterThatIsTooLongFailsAtOnce) {
  Misbehaviour m([](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(429, "Retry-After: 3600\r\n", "")};
  });
  m.expect_error(Code::kUnavailable, "HTTP 429 Too Many Requests", 1);
  ASSERT_TRUE(m.result.error().retry_after_s);
  EXPECT_EQ(*m.result.error().retry_after_s, 3600);
}

TEST(HttpStore, ShortBodiesAreRetried) {
  auto script = [](const SeenRequest& r, size_t n) {
    RawAnswer answer = good_range(r);
    if (n < 2) answer.bytes.resize(answer.bytes.size() - 3);
    if (n < 2) answer.keep = false;
    return answer;
  };
  Misbehaviour recovers(script);
  recovers.expect_data(3);
  HttpOptions two = quick();
  two.attempts = 2;
  Misbehaviour fails(script, two);
  fails.expect_error(Code::kUnavailable, "after 2 attempts", 2);
}

TEST(HttpStore, ABodyShorterThanItsContentRangeIsRetried) {
  Misbehaviour m([](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(206, "Content-Range: bytes 4-11/36\r\n", "4567")};
  });
  m.expect_error(Code::kUnavailable, "short body: 4 of 8 bytes", 3);
}

TEST(HttpStore, SilenceTimesOut) {
  Misbehaviour m([](const SeenRequest& r, size_t) {
    RawAnswer answer = good_range(r);
    answer.bytes.resize(answer.bytes.size() - 3);
    answer.stall_s = 5;
    return answer;
  });
  m.expect_error(Code::kDeadlineExceeded, "timed out: no byte for 400 ms, after 3 attempts", 3);
}

TEST(HttpStore, SilenceOnceIsRetried) {
  Misbehaviour m(
      [](const SeenRequest& r, size_t n) { return n == 0 ? RawAnswer{"", 5} : good_range(r); });
  m.expect_data(2);
}

TEST(HttpStore, ConnectionsClosedWithoutAByteAreRetried) {
  Misbehaviour m([](const SeenRequest&, size_t) { return RawAnswer{}; });
  m.expect_error(Code::kUnavailable, "after 3 attempts", m.server.seen().size());
  // A library below may itself try a kept connection again, but never endlessly.
  EXPECT_GE(m.server.seen().size(), 3u);
  EXPECT_LE(m.server.seen().size(), 6u);
  Misbehaviour once(
      [](const SeenRequest& r, size_t n) { return n == 0 ? RawAnswer{} : good_range(r); });
  once.expect_data(2);
}

TEST(HttpStore, NobodyListens) {
  std::string url;
  {
    RawServer server([](const SeenRequest& r, size_t) { return good_range(r); });
    url = server.url() + "a";
  }
  HttpStore store(quick());
  auto result = read_one(store, url, {0, 1});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kUnavailable);
  EXPECT_EQ(store.traffic()->requests, 3u);
}

TEST(HttpStore, ServersThatIgnoreRangesAreSliced) {
  Misbehaviour m(
      [](const SeenRequest&, size_t) { return RawAnswer{http_answer(200, "", kObject)}; });
  m.expect_data(1);
  auto past = read_one(m.store, m.url, {30, 10});
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().code, Code::kInvalidData);
}

TEST(HttpStore, ServersThatIgnoreRangesOfLargeObjectsAreRefused) {
  HttpOptions options = quick();
  options.max_unranged_body = 30;
  Misbehaviour told(
      [](const SeenRequest&, size_t) { return RawAnswer{http_answer(200, "", kObject)}; }, options);
  told.expect_error(Code::kUnsupported, "ignores Range requests", 1);
  EXPECT_TRUE(is_whole_only(told.result.error()));
  Misbehaviour chunked(
      [](const SeenRequest&, size_t) {
        return RawAnswer{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n24\r\n" + kObject +
                         "\r\n0\r\n\r\n"};
      },
      options);
  chunked.expect_error(Code::kUnsupported, "ignores Range requests", 1);
  EXPECT_TRUE(is_whole_only(chunked.result.error()));
  Misbehaviour other([](const SeenRequest&, size_t) { return RawAnswer{http_answer(501, "", "")}; },
                     options);
  other.expect_error(Code::kUnsupported, "HTTP 501", 1);
  EXPECT_FALSE(is_whole_only(other.result.error()));
}

TEST(HttpStore, WrongContentRangesAreErrors) {
  for (std::string range : {"bytes 5-12/36", "bytes 4-10/36", "bytes 4-12/36", "bytes 11-4/36",
                            "bytes 4-11/8", "lines 4-11/36", "bytes 4-x/36", "bytes */36", ""}) {
    std::string header = range.empty() ? "" : "Content-Range: " + range + "\r\n";
    Misbehaviour m([&](const SeenRequest&, size_t) {
      return RawAnswer{http_answer(206, header, kObject.substr(4, 8))};
    });
    m.expect_error(Code::kInvalidData, "wrong Content-Range", 1);
  }
}

TEST(HttpStore, MoreBytesThanTheRangeAreAnError) {
  Misbehaviour m([](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(206, "Content-Range: bytes 4-11/36\r\n", kObject)};
  });
  m.expect_error(Code::kInvalidData, "more bytes than its Content-Range says", 1);
}

TEST(HttpStore, HugeClaimsAreBounded) {
  std::string claim =
      "HTTP/1.1 206 x\r\nContent-Length: 9000000000000000000\r\n"
      "Content-Range: bytes 4-9000000000000000003/9000000000000000004\r\n\r\nabc";
  Misbehaviour m([&](const SeenRequest&, size_t) { return RawAnswer{claim}; }, quick(),
                 {4, kToEnd});
  m.expect_error(Code::kResourceExhausted, "more than a response may have", 1);
  Misbehaviour whole(
      [](const SeenRequest&, size_t) {
        return RawAnswer{"HTTP/1.1 200 x\r\nContent-Length: 9000000000000000000\r\n\r\nabc"};
      },
      quick(), {});
  whole.expect_error(Code::kResourceExhausted, "more than a response may have", 1);
}

TEST(HttpStore, EndlessHeadersEnd) {
  std::string endless = "HTTP/1.1 206 x\r\n";
  for (int i = 0; i < 20'000; ++i) endless += "X-Header-" + std::to_string(i) + ": 0123456789\r\n";
  Misbehaviour m([&](const SeenRequest&, size_t) { return RawAnswer{endless}; });
  ASSERT_FALSE(m.result);
  EXPECT_EQ(m.server.seen().size(), 1u);
}

TEST(HttpStore, HtmlPagesAreNotData) {
  for (int status : {200, 206}) {
    std::string header = "Content-Type: text/html; charset=utf-8\r\n";
    if (status == 206) header += "Content-Range: bytes 4-11/36\r\n";
    Misbehaviour m([&](const SeenRequest&, size_t) {
      return RawAnswer{http_answer(status, header, "<html>in</html>")};
    });
    m.expect_error(Code::kInvalidData, "HTML page instead of data", 1);
  }
}

TEST(HttpStore, ARedirectToALoginPageSaysSo) {
  RawServer login([](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(200, "Content-Type: text/html\r\n", "<html>who?</html>")};
  });
  Misbehaviour m([&](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(302, "Location: " + login.url() + "oauth?secret=1\r\n", "")};
  });
  m.expect_error(Code::kUnauthenticated, "a login may be needed", 1);
  EXPECT_EQ(m.result.error().message.find("secret"), std::string::npos);
}

TEST(HttpStore, RedirectLoopsEnd) {
  Misbehaviour m([](const SeenRequest& r, size_t) {
    return RawAnswer{http_answer(302, "Location: " + r.target + "x\r\n", ""), 0, true};
  });
  m.expect_error(Code::kInvalidData, "redirected more than 10 times", 11);
}

TEST(HttpStore, RedirectsLeadNowhereElse) {
  for (std::string target : {"file:///etc/passwd", "ftp://127.0.0.1/a", "gopher://127.0.0.1/"}) {
    Misbehaviour m([&](const SeenRequest&, size_t) {
      return RawAnswer{http_answer(302, "Location: " + target + "\r\n", "")};
    });
    m.expect_error(Code::kUnsupported, "not followed", 1);
  }
}

TEST(HttpStore, RefusalsAreMapped) {
  struct Row {
    int status;
    Code code;
  };
  for (Row row :
       {Row{401, Code::kUnauthenticated}, Row{403, Code::kPermissionDenied},
        Row{404, Code::kNotFound}, Row{410, Code::kNotFound}, Row{400, Code::kInvalidData},
        Row{501, Code::kUnsupported}, Row{204, Code::kInvalidData}, Row{304, Code::kInvalidData}}) {
    Misbehaviour m([&](const SeenRequest&, size_t) {
      if (row.status == 204 || row.status == 304) {
        return RawAnswer{"HTTP/1.1 " + std::to_string(row.status) + " x\r\n\r\n"};
      }
      return RawAnswer{http_answer(row.status, "", "<html>")};
    });
    m.expect_error(row.code, "HTTP " + std::to_string(row.status), 1);
  }
}

TEST(HttpStore, EncodedBodiesAreRefused) {
  Misbehaviour m([](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(206, "Content-Encoding: gzip\r\nContent-Range: bytes 4-11/36\r\n",
                                 kObject.substr(4, 8))};
  });
  m.expect_error(Code::kUnsupported, "Content-Encoding gzip", 1);
}

TEST(HttpStore, AChangeMidwayIsNoticed) {
  struct Row {
    std::string before, after, message;
  };
  for (const Row& row :
       {Row{"ETag: \"1\"\r\n", "ETag: \"2\"\r\n", "ETag \"1\" before, \"2\" now"},
        Row{"Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT\r\n",
            "Last-Modified: Wed, 21 Oct 2015 07:28:01 GMT\r\n", "modified since"}}) {
    RawServer server([&](const SeenRequest& r, size_t n) {
      return good_range(r, n == 0 ? row.before : row.after);
    });
    HttpStore store(quick());
    std::string url = server.url() + "a.nc";
    ASSERT_TRUE(read_one(store, url, {0, 4}));
    auto result = read_one(store, url, {4, 4});
    ASSERT_FALSE(result);
    EXPECT_EQ(result.error().code, Code::kChanged);
    EXPECT_NE(result.error().message.find(row.message), std::string::npos)
        << result.error().message;
    EXPECT_EQ(server.seen().size(), 2u);
  }
}

TEST(HttpStore, AChangeOfLengthIsNoticed) {
  RawServer server([&](const SeenRequest& r, size_t n) {
    RawAnswer answer = good_range(r, "");
    if (n > 0) answer.bytes.replace(answer.bytes.find("/36"), 3, "/37");
    return answer;
  });
  HttpStore store(quick());
  ASSERT_TRUE(read_one(store, server.url() + "a", {0, 4}));
  auto result = read_one(store, server.url() + "a", {4, 4});
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kChanged);
}

TEST(HttpStore, StatWithoutHead) {
  for (int status : {403, 405, 501}) {
    RawServer server([&](const SeenRequest& r, size_t) {
      if (r.method != "HEAD") return good_range(r);
      return RawAnswer{"HTTP/1.1 " + std::to_string(status) + " x\r\nContent-Length: 0\r\n\r\n", 0,
                       true};
    });
    HttpStore store(quick());
    auto info = store.stat(server.url() + "a.nc");
    ASSERT_TRUE(info) << info.error().to_string();
    EXPECT_EQ(info->size, 36u);
    EXPECT_EQ(info->etag, "\"1\"");
    EXPECT_EQ(server.seen().back().header("range"), "bytes=0-0");
  }
}

TEST(HttpStore, StatOfAServerWithoutLengths) {
  RawServer server([](const SeenRequest& r, size_t) {
    std::string head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    return RawAnswer{r.method == "HEAD" ? head : head + "24\r\n" + kObject + "\r\n0\r\n\r\n"};
  });
  HttpStore store(quick());
  auto info = store.stat(server.url() + "a.nc");
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_EQ(info->size, 36u);
}

TEST(HttpStore, TheEndOfServersThatDoNotTellIt) {
  RawServer server([](const SeenRequest& r, size_t) {
    if (r.header("range") == "bytes=36-") return RawAnswer{http_answer(416, "", "")};
    return good_range(r);
  });
  HttpStore store(quick());
  auto result = read_one(store, server.url() + "a", {36, kToEnd});
  ASSERT_TRUE(result) << result.error().to_string();
  EXPECT_TRUE(result->empty());
}

TEST(HttpStore, OtherSchemesAndBadUrlsAreRefused) {
  HttpStore store(quick());
  for (std::string url : {"file:///etc/passwd", "http://", "ftp://127.0.0.1/x"}) {
    auto result = read_one(store, url, {0, 4});
    ASSERT_FALSE(result) << url;
    EXPECT_NE(result.error().code, Code::kInternal);
  }
}

TEST(HttpStore, KeepsConnectionsAndBoundsThem) {
  std::atomic<int> active{0}, most{0};
  RawServer server([&](const SeenRequest& r, size_t) {
    int now = ++active;
    int seen = most;
    while (now > seen && !most.compare_exchange_weak(seen, now)) {
    }
    std::this_thread::sleep_for(std::chrono::milliseconds(5));
    --active;
    return good_range(r);
  });
  HttpOptions options = quick();
  options.parallelism_per_host = 4;
  HttpStore store(options);
  std::vector<ReadRequest> batch(60, {server.url() + "a", {4, 8}});
  for (auto& answer : store.read(batch)) EXPECT_TRUE(answer);
  EXPECT_LE(most, 4);
  EXPECT_GE(most, 2);
}

TEST(HttpStore, UsesHttp2OverTls) {
  auto nginx = Nginx::start();
  if (!nginx || !nginx->https_url()) GTEST_SKIP() << "nginx or openssl is not installed";
  std::ofstream(nginx->directory() / "a.bin") << kObject;
  HttpOptions options = quick();
  HttpStore distrustful(options);
  auto refused = read_one(distrustful, *nginx->https_url() + "a.bin", {4, 8});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, Code::kPermissionDenied) << refused.error().to_string();

  options.ca_file = nginx->certificate();
  options.stall_timeout_s = 5;
  HttpStore store(options);
  std::vector<ReadRequest> batch(50, {*nginx->https_url() + "a.bin", {4, 8}});
  for (auto& answer : store.read(batch)) {
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_EQ(as_text(answer->span()), kObject.substr(4, 8));
  }
  EXPECT_NE(nginx->access_log().find("HTTP/2.0 GET /a.bin 206"), std::string::npos);
}

TEST(HttpMessage, RetryAfter) {
  EXPECT_EQ(parse_retry_after("120", 0), 120);
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480 - 30), 30);
  EXPECT_EQ(parse_retry_after("Wed, 21 Oct 2015 07:28:00 GMT", 1445412480 + 30), 0);
  EXPECT_FALSE(parse_retry_after("", 0));
  EXPECT_FALSE(parse_retry_after("soon", 0));
  EXPECT_FALSE(parse_retry_after("-5", 0));
}

TEST(HttpMessage, ContentRange) {
  auto range = parse_content_range("bytes 4-11/36");
  ASSERT_TRUE(range);
  EXPECT_EQ(*range->first, 4u);
  EXPECT_EQ(range->last, 11u);
  EXPECT_EQ(*range->size, 36u);
  range = parse_content_range("Bytes 0-0/*");
  ASSERT_TRUE(range);
  EXPECT_FALSE(range->size);
  range = parse_content_range("bytes */0");
  ASSERT_TRUE(range);
  EXPECT_FALSE(range->first);
  for (const char* bad : {"", "bytes", "bytes 4-11", "bytes 4/36", "bytes */*", "bytes -4/36",
                          "bytes 4-36/36", "bytes 99999999999999999999-1/2", "bytes 1-2/3x"}) {
    EXPECT_FALSE(parse_content_range(bad)) << bad;
  }
}

}  // namespace
}  // namespace upwell::io
