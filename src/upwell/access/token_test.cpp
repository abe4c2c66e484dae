#include "access/token.hpp"

#include <gtest/gtest.h>

#include "access/cookies.hpp"
#include "access/earthdata_hosts.hpp"
#include "access/s3_keys.hpp"
#include "refs/base64.hpp"

namespace upwell::access {
namespace {

std::string jwt_of(const std::string& claims) {
  std::string payload = refs::base64_encode(as_bytes(claims));
  for (char& c : payload) c = c == '+' ? '-' : c == '/' ? '_' : c;
  while (payload.ends_with('=')) payload.pop_back();
  return "eyJhbGciOiJSUzI1NiJ9." + payload + ".c2lnbmF0dXJl";
}

TEST(Token, TellsItsEndAndItsUser) {
  const auto claims = token_claims(jwt_of(R"({"uid":"j\u00fcrg?>","exp":1795763400,"iat":1})"));
  ASSERT_TRUE(claims);
  EXPECT_EQ(claims->expires_unix_s, 1795763400);
  EXPECT_EQ(claims->user, "j\xc3\xbcrg?>");
}

TEST(Token, TellsNothingWhereNothingIsSaid) {
  for (const char* text :
       {R"({})", R"({"exp":"soon","uid":7})", R"({"exp":1e300})", R"({"exp":null})"}) {
    const auto claims = token_claims(jwt_of(text));
    ASSERT_TRUE(claims) << text;
    EXPECT_EQ(claims->expires_unix_s, std::nullopt) << text;
    EXPECT_EQ(claims->user, "") << text;
  }
}

TEST(Token, OtherTextIsNone) {
  for (const std::string& text :
       {std::string(), std::string("."), std::string(".."), std::string("abc"), std::string("a.b"),
        std::string("a.!!!.c"), jwt_of("[1]"), jwt_of("{"), std::string(1 << 20, '.')})
    EXPECT_FALSE(token_claims(text)) << text.substr(0, 40);
}

TEST(Cookies, GoBackToTheirOriginOnly) {
  CookieJar jar;
  jar.take("https://a",
           {"asf-urs=abc.def; Path=/; Secure; HttpOnly", "x=1; Domain=.nasa.gov", "=no", "no"});
  EXPECT_EQ(jar.header("https://a"), "asf-urs=abc.def; x=1");
  EXPECT_EQ(jar.header("https://b"), "");
  EXPECT_EQ(jar.header("http://a"), "");
  jar.take("https://a", {"x=; Max-Age=0", "asf-urs=new"});
  EXPECT_EQ(jar.header("https://a"), "asf-urs=new");
  jar.take("https://a", {"asf-urs=; Expires=Thu, 01 Jan 1970 00:00:00 GMT"});
  EXPECT_FALSE(jar.has("https://a"));
}

TEST(Cookies, AreBounded) {
  CookieJar jar;
  for (int i = 0; i < 1000; ++i) {
    jar.take("https://a", {"c" + std::to_string(i) + "=" + std::string(100, 'x')});
    jar.take("https://" + std::to_string(i), {"a=b"});
  }
  jar.take("https://a", {"big=" + std::string(100000, 'x')});
  EXPECT_LT(jar.header("https://a").size(), 2000u);
  EXPECT_FALSE(jar.has("https://999"));
}

TEST(EarthdataHosts, AreThoseOfNasaAndOfTheUser) {
  const EarthdataHosts hosts("urs.earthdata.nasa.gov",
                             {"data.example.org", ".example.net", "x.org:8443"}, false);
  for (const char* url :
       {"https://archive.podaac.earthdata.nasa.gov/a",
        "https://data.lpdaac.earthdatacloud.nasa.gov/a?b", "https://sentinel1.asf.alaska.edu/x",
        "https://DATA.example.org:444/x", "https://a.b.example.net/", "https://x.org:8443/",
        "https://me@archive.podaac.earthdata.nasa.gov/a"})
    EXPECT_TRUE(hosts.covers(url)) << url;
  for (const char* url :
       {"http://archive.podaac.earthdata.nasa.gov/a", "https://earthdata.nasa.gov.evil.org/a",
        "https://evilearthdata.nasa.gov/", "https://urs.earthdata.nasa.gov/a",
        "https://example.net/", "https://x.org/", "https://x.org:8444/",
        "https://169.254.169.254/latest", "https://127.0.0.1/",
        "https://evil.org/?archive.podaac.earthdata.nasa.gov",
        "https://evil.org#.earthdata.nasa.gov",
        "https://archive.podaac.earthdata.nasa.gov@evil.org/",
        "s3://podaac-ops-cumulus-protected/a",
        "https://archive.podaac.earthdata.nasa.gov/a?X-Amz-Signature=1",
        "https://evil.org\\.earthdata.nasa.gov/"})
    EXPECT_FALSE(hosts.covers(url)) << url;
}

TEST(EarthdataHosts, FollowALoginHostOfTheUsersOwn) {
  const EarthdataHosts hosts("urs.earthdata.localhost:4001", {}, false);
  EXPECT_TRUE(hosts.covers("https://archive.podaac.earthdata.localhost:4002/a"));
  EXPECT_FALSE(hosts.covers("https://urs.earthdata.localhost:4001/a"));
  EXPECT_TRUE(hosts.is_login("https://urs.earthdata.localhost:4001/a"));
  EXPECT_FALSE(hosts.is_login("https://urs.earthdata.localhost:4002/a"));
  EXPECT_FALSE(EarthdataHosts("login.example.org", {}, false).covers("https://data.example.org/"));
}

TEST(S3Keys, AreTakenWholeOrNotAtAll) {
  const auto keys = parse_s3_keys(as_bytes(
      R"({"accessKeyId":"A","secretAccessKey":"B","sessionToken":"C","expiration":"2026-11-27 07:10:00+00:00"})"));
  ASSERT_TRUE(keys) << keys.error().to_string();
  EXPECT_EQ(*keys, (io::S3Credentials{"A", "B", "C", 1795763400}));
  for (const char* text :
       {"", "<html>", "[]", R"({"accessKeyId":"A","secretAccessKey":"B"})",
        R"({"accessKeyId":"A","secretAccessKey":"B","sessionToken":"C"})",
        R"({"accessKeyId":1,"secretAccessKey":2,"sessionToken":3,"expiration":4})"})
    EXPECT_FALSE(parse_s3_keys(as_bytes(text))) << text;
}

}  // namespace
}  // namespace upwell::access
