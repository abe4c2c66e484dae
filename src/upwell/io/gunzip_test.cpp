#include "io/gunzip.hpp"

#include <gtest/gtest.h>

#include "io/http_store.hpp"
#include "io/test_servers.hpp"

namespace upwell::io {
namespace {

const std::string kHello = "hello, hello, hello\n";
// printf 'hello, hello, hello\n' | gzip -n9
const std::string kHelloInGzip(
    "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\x03\xcb\x48\xcd\xc9\xc9\xd7\x51\xc8\x40\xa2\xb8\x00\xe7"
    "\x42"
    "\x6e\x52\x14\x00\x00\x00",
    30);

std::string unzipped(const std::string& zipped, uint64_t limit = 1000) {
  Bytes body = to_bytes(zipped);
  const auto done = gunzip(body, limit);
  return done ? std::string(as_text(body)) : done.error().to_string();
}

TEST(Gunzip, GivesWhatMembersHold) {
  EXPECT_EQ(unzipped(kHelloInGzip), kHello);
  EXPECT_EQ(unzipped(kHelloInGzip, kHello.size()), kHello);
  EXPECT_EQ(unzipped(kHelloInGzip + kHelloInGzip + kHelloInGzip), kHello + kHello + kHello)
      << "the size at the end is of the last alone";
}

TEST(Gunzip, TakesZerosForPadding) {
  EXPECT_EQ(unzipped(kHelloInGzip + std::string(1, '\0')), kHello);
  EXPECT_EQ(unzipped(kHelloInGzip + kHelloInGzip + std::string(512, '\0')), kHello + kHello);
  EXPECT_NE(unzipped(kHelloInGzip + std::string(512, '\0') + "x").find("broken"),
            std::string::npos);
  EXPECT_NE(unzipped(std::string(512, '\0')).find("broken"), std::string::npos);
}

TEST(Gunzip, RefusesWhatIsTooLongOrBroken) {
  EXPECT_NE(unzipped(kHelloInGzip, kHello.size() - 1).find("more than 19 bytes"),
            std::string::npos);
  EXPECT_NE(unzipped(kHelloInGzip + kHelloInGzip, 30).find("more than 30 bytes"),
            std::string::npos);
  EXPECT_EQ(unzipped(""), "");
  for (size_t size = 1; size < kHelloInGzip.size(); ++size)
    EXPECT_NE(unzipped(kHelloInGzip.substr(0, size)).find("broken"), std::string::npos) << size;
  EXPECT_NE(unzipped(kHelloInGzip + "something else, of some length").find("broken"),
            std::string::npos);
  std::string wrong_size = kHelloInGzip;
  wrong_size[27] = '\x7f';
  EXPECT_NE(unzipped(wrong_size, UINT64_MAX).find("broken"), std::string::npos);
}

HttpAnswer ask_for_gzip(const RawServer& server) {
  HttpOptions options;
  options.backoff_base_s = 0.001;
  HttpStore store(options);
  HttpRequest request;
  request.url = server.url() + "search";
  request.compressed = true;
  return std::move(store.call({request}).front());
}

TEST(Gunzip, CallsTakeAnswersInGzip) {
  const std::string encoded = http_answer(200, "Content-Encoding: gzip\r\n", kHelloInGzip);
  std::string broken = kHelloInGzip;
  broken[14] ^= 1;
  RawServer server([&](const SeenRequest& request, size_t n) {
    EXPECT_EQ(request.header("accept-encoding"), "gzip");
    if (n == 0) return RawAnswer{encoded.substr(0, encoded.size() - 5)};
    if (n == 1) return RawAnswer{http_answer(200, "Content-Encoding: gzip\r\n", broken)};
    if (n == 2) return RawAnswer{http_answer(503, "Content-Encoding: gzip\r\n", kHelloInGzip)};
    return RawAnswer{encoded};
  });
  const HttpAnswer answer = ask_for_gzip(server);
  ASSERT_FALSE(answer.error) << answer.error->to_string();
  EXPECT_EQ(as_text(answer.body), kHello);
  EXPECT_EQ(answer.attempts, 4);
}

TEST(Gunzip, CallsTakeAnswersThatAreNotEncoded) {
  RawServer server(
      [&](const SeenRequest&, size_t) { return RawAnswer{http_answer(200, "", kHello)}; });
  EXPECT_EQ(as_text(ask_for_gzip(server).body), kHello);
}

TEST(Gunzip, OtherEncodingsAreRefusedOnce) {
  RawServer server([&](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(200, "Content-Encoding: br\r\n", "something")};
  });
  const HttpAnswer answer = ask_for_gzip(server);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(answer.error->code, Code::kUnsupported);
  EXPECT_EQ(answer.attempts, 1);
}

TEST(Gunzip, AnswersWithoutABodyMayBeMarked) {
  RawServer server([&](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(200, "Content-Encoding: x-gzip\r\n", "")};
  });
  EXPECT_FALSE(ask_for_gzip(server).error);
}

TEST(Gunzip, WhatIsWrongIsToldInGzipToo) {
  RawServer server([&](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(400, "Content-Encoding: gzip\r\n", kHelloInGzip)};
  });
  const HttpAnswer answer = ask_for_gzip(server);
  ASSERT_TRUE(answer.error);
  EXPECT_EQ(as_text(answer.body), kHello);
}

}  // namespace
}  // namespace upwell::io
