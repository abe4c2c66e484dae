#include "refs/locations.hpp"

#include <gtest/gtest.h>

#include "io/memory_store.hpp"

namespace upwell::refs {
namespace {

TEST(Locations, AreReadAndWritten) {
  const LocationPairs pairs{{"s3://b/a/", "https://h/a/"}, {"s3://b/\"q\"/", "https://h/q/"}};
  const std::string json = "{\"version\":1," + locations_member(pairs) + "\"refs\":{\"x\":1}}";
  auto read = read_locations(json);
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, pairs);
  read = read_locations("{" + locations_member(pairs) + "\n \"metadata\":{\"a\":1}}");
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(*read, pairs);
  EXPECT_EQ(locations_member({}), "");
  // A variable of that name is none.
  read = read_locations("{\"version\":1,\"refs\":{\"locations\":[1]}}");
  EXPECT_TRUE(read && read->empty());
}

TEST(Locations, WrongOnesAreErrors) {
  for (const char* text : {"1", "[1]", "[[\"s3://b/\"]]", "[[\"s3://b/\",\"/etc/\"]]",
                           "[[\"s3://b/\",\"file:///etc/\"]]", "[[\"s3://\",\"https://h/\"]]"}) {
    auto read = read_locations(std::string("{\"locations\":") + text + ",\"refs\":{}}");
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().code, Code::kInvalidData);
  }
}

class LocationChoiceTest : public ::testing::Test {
 protected:
  std::string place(const std::string& preferred, bool s3_there, bool https_there) {
    io::SessionOptions options;
    options.prefer_scheme = preferred;
    io::Session session(options);
    auto s3 = std::make_shared<io::MemoryStore>();
    auto https = std::make_shared<io::MemoryStore>();
    if (s3_there) s3->put("s3://b/a/g.nc", "x");
    if (https_there) https->put("https://h/a/g.nc", "x");
    session.mount("s3", s3);
    session.mount("https", https);
    LocationChoice choice(session, {{"s3://b/a/", "https://h/a/"}}, nullptr);
    EXPECT_EQ(choice.place("s3://b/elsewhere"), "s3://b/elsewhere");
    return choice.place("s3://b/a/g.nc");
  }
};

TEST_F(LocationChoiceTest, ThePreferredPlaceThatIsThereIsTaken) {
  const std::string s3 = "s3://b/a/g.nc";
  const std::string https = "https://h/a/g.nc";
  EXPECT_EQ(place("", true, true), s3);
  EXPECT_EQ(place("s3", true, true), s3);
  EXPECT_EQ(place("https", true, true), https);
  EXPECT_EQ(place("", false, true), https);
  EXPECT_EQ(place("s3", false, true), https);
  EXPECT_EQ(place("https", true, false), s3);
  EXPECT_EQ(place("https", false, false), https);
  EXPECT_EQ(place("", false, false), s3);
}

}  // namespace
}  // namespace upwell::refs
