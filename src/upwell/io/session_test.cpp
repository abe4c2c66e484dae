#include "io/session.hpp"

#include <gtest/gtest.h>

#include "io/memory_store.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

TEST(Url, Scheme) {
  EXPECT_EQ(scheme_of("https://x/y"), "https");
  EXPECT_EQ(scheme_of("HTTP://x/y"), "http");
  EXPECT_EQ(scheme_of("s3://b/k"), "s3");
  EXPECT_EQ(scheme_of("file:///a"), "file");
  EXPECT_EQ(scheme_of("/a/b:c"), "file");
  EXPECT_EQ(scheme_of("a:b"), "file");
  EXPECT_EQ(scheme_of(""), "file");
}

TEST(Url, ResolvesAgainstPathsAndUrls) {
  EXPECT_EQ(resolve_url("/data/refs.json", "a.nc"), "/data/a.nc");
  EXPECT_EQ(resolve_url("/data/refs.json", "../b/a.nc"), "/b/a.nc");
  EXPECT_EQ(resolve_url("/data/refs.json", "/c/a.nc"), "/c/a.nc");
  EXPECT_EQ(resolve_url("refs.json", "a.nc"), "a.nc");
  EXPECT_EQ(resolve_url("/data/refs.json", "s3://b/k"), "s3://b/k");
  EXPECT_EQ(resolve_url("https://h/p/q/refs.json?token=x/y", "a.nc"), "https://h/p/q/a.nc");
  EXPECT_EQ(resolve_url("https://h/p/q/refs.json", "../a.nc?v=1"), "https://h/p/a.nc?v=1");
  EXPECT_EQ(resolve_url("https://h/p/refs.json", "/etc/passwd"), "https://h/etc/passwd");
  EXPECT_EQ(resolve_url("https://h/p/refs.json", "../../../a"), "https://h/a");
  EXPECT_EQ(resolve_url("https://h/p/refs.json", "//g/a"), "https://g/a");
  EXPECT_EQ(resolve_url("https://h", "a"), "https://h/a");
  EXPECT_EQ(resolve_url("file:///d/refs.json", "./a%20b.nc"), "file:///d/a%20b.nc");
  EXPECT_EQ(resolve_url("https://h/p/", "a/"), "https://h/p/a/");
}

TEST(Url, NormalForm) {
  EXPECT_EQ(normal_url("/a/./b/../c"), "/a/c");
  EXPECT_TRUE(normal_url("x.nc").starts_with('/'));
  EXPECT_EQ(normal_url("https://h/a/../b"), "https://h/a/../b");
}

TEST(Url, SecretsAreNotShown) {
  for (const char* url :
       {"https://me:secret@h/p", "http://me@h", "s3://u:p@bucket/key", "https://u:p/w@h/x"})
    EXPECT_TRUE(has_user(url)) << url;
  for (const char* url :
       {"https://h/me@x", "https://h?a=b@c", "/data/me@x", "file:///me@x", "me@x"})
    EXPECT_FALSE(has_user(url)) << url;
  EXPECT_EQ(shown_url("https://me:secret@h/p?X-Amz-Signature=abc"), "https://h/p?...");
  EXPECT_EQ(shown_url("https://me:se/cr et\"@h/p#token=abc"), "https://h/p#...");
  EXPECT_EQ(origin_of("https://me@H.org:443/p@q"), "https://h.org");
  EXPECT_EQ(origin_of("http://h:8080"), "http://h:8080");
}

TEST(Url, PathsOfFileUrls) {
  EXPECT_EQ(file_path_of("file:///a%20b/c%"), "/a b/c%");
  EXPECT_EQ(file_path_of("file://localhost/a"), "/a");
  EXPECT_EQ(file_path_of("file:/a"), "/a");
  EXPECT_EQ(file_path_of("/a%20b"), "/a%20b");
  EXPECT_EQ(encoded_url("http://h/a b%20c/ü"), "http://h/a%20b%20c/%C3%BC");
}

TEST(Session, ReadsThroughMounts) {
  Session session;
  auto store = std::make_shared<MemoryStore>();
  session.mount("memory", store);
  store->put("memory://a", "0123456789");
  std::vector<ReadRequest> batch{{"memory://a", {2, 3}},
                                 {"memory://a", {5, kToEnd}},
                                 {"memory://a", {8, 5}},
                                 {"memory://none", {0, 1}},
                                 {"gopher://a", {0, 1}}};
  auto answers = session.read(batch);
  ASSERT_TRUE(answers[0]) << answers[0].error().to_string();
  EXPECT_EQ(as_text(answers[0]->span()), "234");
  ASSERT_TRUE(answers[1]);
  EXPECT_EQ(as_text(answers[1]->span()), "56789");
  ASSERT_FALSE(answers[2]);
  EXPECT_EQ(answers[2].error().code, Code::kInvalidData);
  ASSERT_FALSE(answers[3]);
  EXPECT_EQ(answers[3].error().code, Code::kNotFound);
  ASSERT_FALSE(answers[4]);
  EXPECT_EQ(answers[4].error().code, Code::kUnsupported);
}

}  // namespace
}  // namespace upwell::io
