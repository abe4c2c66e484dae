#include "io/http_login.hpp"

#include <gtest/gtest.h>

#include <mutex>

#include "io/http_store.hpp"
#include "io/test_servers.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

/// Everything of one origin needs the word that is in use.
struct HomeLogin : HttpLogin {
  std::string home;  // "http://127.0.0.1:port/"
  std::mutex mutex;
  std::string word = "secret";
  std::vector<std::string> words;  // that follow
  size_t renewals = 0;

  bool covers(const std::string& url) const override { return origin_of(url) + "/" == home; }
  bool is_prepared(const std::string& /*url*/) const override { return false; }
  void prepare(const std::string& /*url*/) override {}
  std::vector<std::string> headers(const std::string& url) override {
    std::lock_guard lock(mutex);
    if (!covers(url)) return {};
    return {"Authorization: Bearer " + word};
  }
  std::optional<Error> take(const std::string& url, const ResponseHead& head,
                            const std::string& /*redirect*/, ByteSpan /*body*/) override {
    if (!covers(url) || head.status != 401) return {};
    return Error{Code::kUnauthenticated, "who are you", {}, {}};
  }
  Result<> renew(const std::string& /*url*/, const std::vector<std::string>& /*sent*/) override {
    std::lock_guard lock(mutex);
    ++renewals;
    if (words.empty()) return fail(Code::kUnauthenticated, "there is no other word");
    word = words.front();
    words.erase(words.begin());
    return {};
  }
};

HttpOptions with_login(const std::shared_ptr<HttpLogin>& login) {
  HttpOptions options;
  options.login = login;
  return options;
}

/// Four bytes of any range, whoever asks.
RawAnswer four_bytes(const SeenRequest& request) {
  const std::string first = request.header("range").substr(6);
  const std::string start = first.substr(0, first.find('-'));
  return {http_answer(206,
                      "ETag: \"1\"\r\nContent-Range: bytes " + start + "-" +
                          std::to_string(std::stoul(start) + 3) + "/99\r\n",
                      "abcd"),
          0, true};
}

/// Of those who know the word.
RawServer::Script for_word(const std::string& word) {
  return [word](const SeenRequest& request, size_t) {
    if (request.header("authorization") == "bearer " + word) return four_bytes(request);
    return RawAnswer{http_answer(401, "", ""), 0, true};
  };
}

std::vector<Result<SharedBytes>> read_many(HttpStore& store, const std::string& url, size_t n) {
  std::vector<ReadRequest> requests;
  for (size_t i = 0; i < n; ++i) requests.push_back({url, {i * 4, 4}});
  return store.read(requests);
}

TEST(HttpLogin, CredentialsStayWithTheirOrigin) {
  auto login = std::make_shared<HomeLogin>();
  RawServer other([](const SeenRequest& r, size_t) { return four_bytes(r); });
  RawServer server([&](const SeenRequest&, size_t) {
    return RawAnswer{http_answer(307, "Location: " + other.url() + "data/a.nc\r\n", ""), 0, true};
  });
  login->home = server.url();
  HttpStore store(with_login(login));
  for (const std::string& url :
       {server.url() + "a.nc", "http://me:word@" + server.url().substr(7) + "b.nc"}) {
    ASSERT_TRUE(read_many(store, url, 1).front());
  }
  EXPECT_EQ(server.seen().at(0).header("authorization"), "bearer secret");
  ASSERT_EQ(other.seen().size(), 2u);
  for (const SeenRequest& r : other.seen()) EXPECT_EQ(r.header("authorization"), "");
}

TEST(HttpLogin, IsRenewedOnceForManyRequests) {
  auto login = std::make_shared<HomeLogin>();
  login->words = {"newer"};
  RawServer server(for_word("newer"));
  login->home = server.url();
  HttpStore store(with_login(login));
  for (const auto& answer : read_many(store, server.url() + "a", 20))
    EXPECT_TRUE(answer) << answer.error().to_string();
  EXPECT_EQ(login->renewals, 1u);
  EXPECT_EQ(server.seen().size(), 21u);  // one finds out for all
}

TEST(HttpLogin, SaysWhatToDoWhenNothingHelps) {
  auto login = std::make_shared<HomeLogin>();
  RawServer server(for_word("newer"));
  login->home = server.url();
  HttpStore store(with_login(login));
  for (const auto& answer : read_many(store, server.url() + "a", 20)) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(answer.error().code, Code::kUnauthenticated);
    EXPECT_NE(answer.error().message.find("there is no other word"), std::string::npos);
  }
  EXPECT_EQ(login->renewals, 1u);
  EXPECT_EQ(server.seen().size(), 1u);
}

TEST(HttpLogin, WrongWordsComeToAnEnd) {
  auto login = std::make_shared<HomeLogin>();
  login->words = {"a", "b", "c", "d", "e", "f"};
  RawServer server(for_word("none"));
  login->home = server.url();
  HttpStore store(with_login(login));
  EXPECT_FALSE(read_many(store, server.url() + "a", 1).front());
  EXPECT_EQ(login->renewals, 3u);
}

TEST(HttpLogin, HasNoSayElsewhere) {
  auto login = std::make_shared<HomeLogin>();
  login->words = {"newer"};
  RawServer server(for_word("newer"));
  login->home = "http://127.0.0.1:1/";
  HttpStore store(with_login(login));
  const auto answer = std::move(read_many(store, server.url() + "a", 1).front());
  ASSERT_FALSE(answer);
  EXPECT_NE(answer.error().message.find("HTTP 401"), std::string::npos);
  EXPECT_EQ(login->renewals, 0u);
}

}  // namespace
}  // namespace upwell::io
