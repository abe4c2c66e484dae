#include "refs/url_policy.hpp"

#include <gtest/gtest.h>

namespace upwell::refs {
namespace {

UrlPolicy policy(const std::string& base, io::ReachOptions options = {}) {
  return {base, std::make_shared<io::Reach>(base, std::move(options)), {}};
}

void expect_refused(const UrlPolicy& policy, const std::string& url, const std::string& part) {
  auto resolved = policy.resolve(url);
  ASSERT_FALSE(resolved) << url;
  EXPECT_EQ(resolved.error().code, Code::kPermissionDenied) << url;
  EXPECT_NE(resolved.error().message.find(part), std::string::npos) << resolved.error().message;
}

TEST(UrlPolicy, ASetFromTheNetworkNamesNoInternalHostAndNoFile) {
  const UrlPolicy remote = policy("https://data.example.org/sets/a.json");
  for (const char* url :
       {"http://169.254.169.254/latest/meta-data", "http://localhost/x", "http://LOCALHOST.:80/x",
        "http://127.1/x", "http://2130706433/x", "http://0x7f000001/x", "http://0177.0.0.1/x",
        "http://10.1.2.3/x", "http://user@192.168.0.1:8080/x", "http://172.31.0.1/x",
        "http://[::1]/x", "http://[fe80::1%25eth0]/x", "http://[fd00::1]/x",
        "http://[::ffff:10.0.0.1]/x"}) {
    expect_refused(remote, url, "--allow-host");
  }
  for (const char* url : {"file:///etc/passwd", "/etc/passwd", "//10.0.0.1/x", "gs://bucket/x"})
    expect_refused(remote, url, "from the network");
  for (const char* url :
       {"https://other.example.org/g.nc", "http://8.8.8.8/g.nc", "http://[2001:db8::1]/g.nc",
        "s3://bucket/g.nc", "http://172.32.0.1/g.nc", "http://localhost.example.org/g.nc"}) {
    EXPECT_TRUE(remote.resolve(url)) << url;
  }
  EXPECT_EQ(remote.resolve("../g.nc").value_or(""), "https://data.example.org/g.nc");
}

TEST(UrlPolicy, ASetNamesItsOwnHostAndWhatTheUserAllows) {
  const UrlPolicy own = policy("http://127.0.0.1:9000/a.json", {{"10.0.0.2"}, {}});
  EXPECT_TRUE(own.resolve("http://127.0.0.1:8000/g.nc"));
  EXPECT_TRUE(own.resolve("http://10.0.0.2/g.nc"));
  expect_refused(own, "http://10.0.0.1/g.nc", "--allow-host 10.0.0.1");
  // In a bucket there is no own host.
  expect_refused(policy("s3://bucket/a.json"), "http://10.0.0.1/g.nc", "--allow-host");
}

TEST(UrlPolicy, ALocalSetNamesFilesAndNetworksButNotTheMachineItself) {
  const UrlPolicy local = policy("/data/sets/a.json");
  for (const char* url : {"http://10.0.0.1/g.nc", "http://localhost:9000/g.nc", "/archive/g.nc",
                          "../g.nc", "file:///archive/g.nc"}) {
    EXPECT_TRUE(local.resolve(url)) << url;
  }
  expect_refused(local, "http://169.254.169.254/latest", "link-local");
  expect_refused(local, "http://[fd00:ec2::254]/latest", "link-local");
  expect_refused(local, "http://[::ffff:169.254.169.254]/latest", "link-local");
  for (const char* url : {"/etc/passwd", "file:///etc/passwd", "../../etc/passwd", "/data/../etc/x",
                          "file:///%65tc/passwd", "/proc/self/environ", "/home/me/.ssh/id_rsa",
                          "/data/sets/.git/config"}) {
    expect_refused(local, url, "--allow-root");
  }
}

}  // namespace
}  // namespace upwell::refs
