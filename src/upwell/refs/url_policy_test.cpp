#include "refs/url_policy.hpp"

#include <gtest/gtest.h>

namespace upwell::refs {
namespace {

TEST(UrlPolicy, ASetFromTheNetworkNamesNoInternalHost) {
  const UrlPolicy remote = UrlPolicy::for_set("https://data.example.org/sets/a.json", false);
  for (const char* url :
       {"http://169.254.169.254/latest/meta-data", "http://localhost/x", "http://LOCALHOST.:80/x",
        "http://127.1/x", "http://2130706433/x", "http://0x7f000001/x", "http://0177.0.0.1/x",
        "http://10.1.2.3/x", "http://user@192.168.0.1:8080/x", "http://172.31.0.1/x",
        "http://[::1]/x", "http://[fe80::1%25eth0]/x", "http://[fd00::1]/x",
        "http://[::ffff:10.0.0.1]/x", "file:///etc/passwd", "/etc/passwd"}) {
    auto resolved = remote.resolve(url);
    ASSERT_FALSE(resolved) << url;
    EXPECT_EQ(resolved.error().code, Code::kPermissionDenied) << url;
  }
  for (const char* url :
       {"https://other.example.org/g.nc", "http://8.8.8.8/g.nc", "http://[2001:db8::1]/g.nc",
        "s3://bucket/g.nc", "http://172.32.0.1/g.nc", "http://localhost.example.org/g.nc"}) {
    EXPECT_TRUE(remote.resolve(url)) << url;
  }
}

TEST(UrlPolicy, ASetNamesItsOwnHostAndALocalOneWhatItLikes) {
  const UrlPolicy own = UrlPolicy::for_set("http://127.0.0.1:9000/a.json", false);
  EXPECT_TRUE(own.resolve("http://127.0.0.1:8000/g.nc"));
  EXPECT_FALSE(own.resolve("http://10.0.0.1/g.nc"));
  const UrlPolicy local = UrlPolicy::for_set("/data/a.json", false);
  EXPECT_TRUE(local.resolve("http://10.0.0.1/g.nc"));
  EXPECT_TRUE(local.resolve("/archive/g.nc"));
}

}  // namespace
}  // namespace upwell::refs
