#include "io/kept_redirects.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "io/http_job.hpp"
#include "io/http_store.hpp"
#include "io/test_servers.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

ResponseHead head_with(const std::string& name, const std::string& value) {
  ResponseHead head;
  head.take_line("HTTP/1.1 303 See Other");
  head.take_line("Date: Fri, 27 Nov 2026 07:00:00 GMT");
  head.take_line(name + ": " + value);
  return head;
}

const std::string kSigned =
    "https://b.s3.amazonaws.com/k?X-Amz-Date=20261127T065500Z&X-Amz-Expires=";

TEST(KeptRedirects, LifeIsTheLeastOfWhatIsSaid) {
  EXPECT_EQ(redirect_life(head_with("Cache-Control", "private, Max-Age=3540"), "https://h/x", 0),
            3540);
  EXPECT_EQ(redirect_life(head_with("Expires", "Fri, 27 Nov 2026 07:10:00 GMT"), "https://h/x", 0),
            600);
  // Five of ten minutes are left, less the margin.
  EXPECT_EQ(redirect_life(head_with("X", "y"), kSigned + "600&X-Amz-Signature=1", 0), 270);
  EXPECT_EQ(redirect_life(head_with("Cache-Control", "max-age=3540"), kSigned + "600", 0), 270);
  EXPECT_EQ(redirect_life(head_with("X", "y"),
                          "https://d.cloudfront.net/k?Expires=1795763400&Signature=x", 0),
            570);
  EXPECT_EQ(redirect_life(head_with("Cache-Control", "max-age=99999999999"), "https://h/x", 0),
            604800);
}

TEST(KeptRedirects, OthersAreNotKept) {
  for (const char* value :
       {"no-store", "no-cache", "private", "max-age=0", "max-age=", "max-age=-1"})
    EXPECT_EQ(redirect_life(head_with("Cache-Control", value), "https://h/x", 0), std::nullopt)
        << value;
  EXPECT_EQ(redirect_life(head_with("Cache-Control", "no-store, max-age=60"), kSigned + "600", 0),
            std::nullopt);
  EXPECT_EQ(redirect_life(head_with("Expires", "0"), kSigned + "600", 0), std::nullopt);
  EXPECT_EQ(redirect_life(head_with("X", "y"), kSigned + "60", 0), std::nullopt);  // over
}

const std::string kBytes = "0123456789abcdefghijklmnopqrstuvwxyz";

RawAnswer range_of(const SeenRequest& request) {
  const std::string range = request.header("range");
  const size_t first = std::stoul(range.substr(6));
  const size_t last = std::stoul(range.substr(range.find('-') + 1));
  return {http_answer(206,
                      "Content-Range: bytes " + std::to_string(first) + "-" + std::to_string(last) +
                          "/36\r\nETag: \"1\"\r\n",
                      kBytes.substr(first, last - first + 1)),
          0, true};
}

TEST(SignedUrls, AreKnownByTheirSignature) {
  for (const char* query : {"X-Amz-Date=1&X-Amz-Signature=2", "Expires=1&Signature=2&Key-Pair-Id=3",
                            "X-Goog-Signature=1", "sv=2020&se=2030&sig=a%3D"})
    EXPECT_TRUE(is_signed_url("https://h/a?" + std::string(query))) << query;
  for (const char* query : {"", "sig=1", "sv=2", "a=Signature=1", "version=2"})
    EXPECT_FALSE(is_signed_url("https://h/Signature=1?" + std::string(query))) << query;
}

/// A gateway that sends to signed URLs of another server, which may refuse some.
struct Gateway {
  std::string life = "Cache-Control: private, max-age=600\r\n";
  std::atomic<size_t> signatures{0};
  std::atomic<size_t> refused{0};  // signatures up to this one are too old
  RawServer objects{[this](const SeenRequest& r, size_t) {
    const size_t number = std::stoul(r.target.substr(r.target.find("Signature=") + 10));
    if (number <= refused) return RawAnswer{http_answer(403, "", "Request has expired"), 0, true};
    return range_of(r);
  }};
  RawServer door{[this](const SeenRequest&, size_t) {
    const std::string number = std::to_string(++signatures);
    return RawAnswer{
        http_answer(303, life + "Location: " + objects.url() + "k?Signature=" + number + "\r\n",
                    ""),
        0, true};
  }};
  HttpStore store{[] {
    HttpOptions options;
    options.attempts = 2;
    options.backoff_base_s = 0.01;
    return options;
  }()};
  const std::string url = door.url() + "bucket/a.nc";

  void expect_ranges(size_t n) {
    std::vector<ReadRequest> requests;
    for (size_t i = 0; i < n; ++i) requests.push_back({url, {i % 30, 3}});
    auto answers = store.read(requests);
    for (size_t i = 0; i < n; ++i) {
      ASSERT_TRUE(answers[i]) << answers[i].error().to_string();
      EXPECT_EQ(as_text(answers[i]->span()), kBytes.substr(i % 30, 3));
    }
  }
};

TEST(KeptRedirects, ThatAreForgottenTakeNoRoom) {
  constexpr int kMost = 16 << 10;
  KeptRedirects kept;
  const auto url = [](int i) { return "http://archive/" + std::to_string(i); };
  for (int i = 0; i < 3; ++i) {
    kept.keep(url(0), "there", 60);
    kept.forget(url(0), "there");
  }
  const auto follows = [&](int i) {
    HttpJob job;
    job.url = url(i);
    std::string target;
    return kept.turn(job, false, target) == KeptRedirects::Turn::kFollow;
  };
  EXPECT_FALSE(follows(0));
  for (int i = 0; i < kMost; ++i) kept.keep(url(i), "there", 60);
  EXPECT_TRUE(follows(0));
  kept.keep(url(0), "elsewhere", 60);  // the newest now
  kept.keep(url(kMost), "there", 60);
  EXPECT_TRUE(follows(0));
  EXPECT_FALSE(follows(1));
  EXPECT_TRUE(follows(kMost));
}

TEST(KeptRedirects, AreFollowedOnceForManyRanges) {
  Gateway g;
  g.expect_ranges(1);
  g.expect_ranges(40);
  ASSERT_TRUE(g.store.stat(g.url));
  EXPECT_EQ(g.door.seen().size(), 1u);
  EXPECT_EQ(g.objects.seen().size(), 42u);
}

TEST(KeptRedirects, OneRequestFindsTheWayForAll) {
  Gateway g;
  g.expect_ranges(1);  // from now on the server is known to redirect
  g.store.forget(g.url);
  const std::string other = g.door.url() + "bucket/b.nc";
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&] {
      std::vector<ReadRequest> requests;
      for (size_t i = 0; i < 30; ++i) requests.push_back({other, {i, 3}});
      for (const auto& answer : g.store.read(requests))
        EXPECT_TRUE(answer) << answer.error().to_string();
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(g.door.seen().size(), 2u);
}

TEST(KeptRedirects, AreFollowedAnewWhenTheyNoLongerHold) {
  Gateway g;
  g.expect_ranges(20);
  const size_t before = g.door.seen().size();
  g.refused = g.signatures.load();
  g.expect_ranges(20);
  EXPECT_EQ(g.door.seen().size(), before + 1);
}

TEST(KeptRedirects, ThatNeverHoldAreAnError) {
  Gateway g;
  g.refused = 1000;
  ReadRequest request{g.url, {0, 3}};
  auto answer = std::move(g.store.read({&request, 1}).front());
  ASSERT_FALSE(answer);
  EXPECT_EQ(to_string(answer.error().code), to_string(Code::kPermissionDenied));
  EXPECT_EQ(g.door.seen().size(), 2u);
}

TEST(KeptRedirects, SignaturesThatNeverHoldAreAnErrorForAllThatWait) {
  Gateway g;
  g.expect_ranges(1);
  g.life = "Cache-Control: no-store\r\n";
  g.refused = 1000;
  const std::vector<ReadRequest> requests(10, ReadRequest{g.door.url() + "b", {0, 3}});
  for (const auto& answer : g.store.read(requests)) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(to_string(answer.error().code), to_string(Code::kPermissionDenied));
  }
  EXPECT_EQ(g.door.seen().size(), 3u);
}

TEST(KeptRedirects, WithoutALifeAreFollowedEveryTime) {
  Gateway g;
  g.life = "Cache-Control: no-store\r\n";
  g.expect_ranges(5);
  EXPECT_EQ(g.door.seen().size(), 5u);
}

TEST(KeptRedirects, TransientFailuresOfTheLeaderAreRetriedForAll) {
  Gateway g;
  g.expect_ranges(1);
  std::atomic<size_t> asked{0};
  RawServer door([&](const SeenRequest&, size_t n) {
    ++asked;
    if (n == 1) return RawAnswer{http_answer(503, "", ""), 0, true};
    return RawAnswer{
        http_answer(303, g.life + "Location: " + g.objects.url() + "k?Signature=9\r\n", ""), 0,
        true};
  });
  std::vector<ReadRequest> first{{door.url() + "a", {0, 3}}};
  ASSERT_TRUE(g.store.read(first).front());
  std::vector<ReadRequest> requests(30, ReadRequest{door.url() + "b", {0, 3}});
  for (const auto& answer : g.store.read(requests))
    EXPECT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(asked, 3u);
}

TEST(KeptRedirects, AFailureOfTheLeaderIsThatOfAll) {
  Gateway g;
  RawServer door([&](const SeenRequest& r, size_t) {
    if (r.target == "/b") return RawAnswer{http_answer(404, "", ""), 0, true};
    return RawAnswer{
        http_answer(303, g.life + "Location: " + g.objects.url() + "k?Signature=9\r\n", ""), 0,
        true};
  });
  std::vector<ReadRequest> first{{door.url() + "a", {0, 3}}};
  ASSERT_TRUE(g.store.read(first).front());
  std::vector<ReadRequest> requests(30, ReadRequest{door.url() + "b", {0, 3}});
  for (const auto& answer : g.store.read(requests)) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kNotFound);
  }
  EXPECT_EQ(door.seen().size(), 2u);
}

}  // namespace
}  // namespace upwell::io
