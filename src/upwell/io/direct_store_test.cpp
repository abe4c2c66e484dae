#include "io/direct_store.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/fault_store.hpp"
#include "io/memory_store.hpp"

namespace upwell::io {
namespace {

const std::string kKey = "a/x.nc";

struct TwoPlaces {
  std::shared_ptr<MemoryStore> https = std::make_shared<MemoryStore>();
  std::shared_ptr<MemoryStore> s3 = std::make_shared<MemoryStore>();
  std::shared_ptr<FaultStore> seen_s3 = std::make_shared<FaultStore>(s3);
  std::shared_ptr<FaultStore> seen_https = std::make_shared<FaultStore>(https);
  std::vector<std::string> said;
  DirectStore store{
      seen_https, seen_s3, {{"https://h/b/", "s3://b/"}}, [this](const std::string& text) {
        said.push_back(text);
      }};

  TwoPlaces() {
    // As of one object, of one ETag (each store counts its own), though told apart here by its
    // text.
    https->put("https://h/b/" + kKey, std::string_view("behind  https"));
    s3->put("s3://b/" + kKey, std::string_view("in the bucket"));
    https->put("https://h/other/" + kKey, std::string_view("elsewhere"));
  }
  void refuse_after_one() {
    Fault refusal;
    refusal.after = 1;
    refusal.error = Error{Code::kPermissionDenied, "AccessDenied", {}, {}};
    seen_s3->add(refusal);
  }
  std::string read(const std::string& url) {
    const ReadRequest request{url, {0, 6}};
    auto answer = std::move(store.read({&request, 1}).front());
    return answer ? std::string(as_text(answer->span())) : answer.error().to_string();
  }
};

TEST(DirectStore, ReadsFromS3WhatLiesThere) {
  TwoPlaces places;
  EXPECT_EQ(places.read("https://h/b/" + kKey), "in the");
  EXPECT_EQ(places.store.stat("https://h/b/" + kKey)->size, 13u);
  EXPECT_EQ(places.read("https://h/other/" + kKey), "elsewh");
  EXPECT_TRUE(places.said.empty());
}

TEST(DirectStore, ARefusalSendsThisAndAllThatFollowsToHttps) {
  TwoPlaces places;
  places.refuse_after_one();
  EXPECT_EQ(places.read("https://h/b/" + kKey), "in the");
  EXPECT_EQ(places.read("https://h/b/" + kKey), "behind");
  EXPECT_EQ(places.read("https://h/b/" + kKey), "behind");
  EXPECT_EQ(places.store.stat("https://h/b/" + kKey)->size, 13u);
  EXPECT_EQ(places.seen_s3->seen().size(), 2u) << "S3 is not asked again";
  ASSERT_EQ(places.said.size(), 1u);
  EXPECT_NE(places.said[0].find("AccessDenied"), std::string::npos);
}

TEST(DirectStore, HttpsIsHeldToWhatS3Showed) {
  TwoPlaces places;
  places.https->put("https://h/b/" + kKey, std::string_view("of another revision"));
  places.refuse_after_one();
  EXPECT_EQ(places.read("https://h/b/" + kKey), "in the");
  EXPECT_NE(places.read("https://h/b/" + kKey).find("changed"), std::string::npos);
  const auto info = places.store.stat("https://h/b/" + kKey);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::kChanged);
}

TEST(DirectStore, ARevisionOfTheSameSizeIsNoticedByItsETag) {
  TwoPlaces places;
  places.https->put("https://h/b/" + kKey, std::string_view("another one!!"));
  places.refuse_after_one();
  EXPECT_EQ(places.read("https://h/b/" + kKey), "in the");
  EXPECT_THAT(places.read("https://h/b/" + kKey), testing::HasSubstr("ETag"));
}

TEST(DirectStore, WhatS3SaysOfTheObjectIsBelieved) {
  TwoPlaces places;
  Fault changed;
  changed.error = Error{Code::kChanged, "changed meanwhile", {}, {}};
  places.seen_s3->add(changed);
  EXPECT_NE(places.read("https://h/b/" + kKey).find("changed meanwhile"), std::string::npos);
  EXPECT_TRUE(places.said.empty());
  EXPECT_TRUE(places.seen_https->seen().empty());
}

}  // namespace
}  // namespace upwell::io
