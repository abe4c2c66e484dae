#include "io/reach.hpp"

#include <gtest/gtest.h>
#include <sys/socket.h>

#include <fstream>

#include "io/proxy.hpp"
#include "io/session.hpp"
#include "io/test_servers.hpp"

namespace upwell::io {
namespace {

AddressClass class_of(const char* text) {
  sockaddr_storage storage{};
  EXPECT_TRUE(parse_address(text, 80, storage)) << text;
  return address_class(reinterpret_cast<const sockaddr&>(storage));
}

TEST(AddressClass, FollowsTheRegistries) {
  for (const char* a : {"8.8.8.8", "172.32.0.1", "100.128.0.1", "2600::1", "::ffff:8.8.8.8",
                        "64:ff9b::808:808", "2002:808:808::1", "223.255.255.255"})
    EXPECT_EQ(class_of(a), AddressClass::kPublic) << a;
  for (const char* a :
       {"10.0.0.1", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1", "fd00::1",
        "fec0::1", "224.0.0.1", "255.255.255.255", "ff02::1", "::ffff:10.0.0.1", "64:ff9b::a00:1",
        "2002:a00:1::1", "2001::1", "64:ff9b:1::1"})
    EXPECT_EQ(class_of(a), AddressClass::kPrivate) << a;
  for (const char* a : {"127.0.0.1", "127.255.0.1", "0.0.0.0", "::1", "::", "::ffff:127.0.0.1"})
    EXPECT_EQ(class_of(a), AddressClass::kLoopback) << a;
  for (const char* a : {"169.254.169.254", "169.254.0.1", "fe80::1", "febf::1", "fd00:ec2::254",
                        "fd20:ce::254", "100.100.100.200", "168.63.129.16", "192.0.0.192",
                        "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"})
    EXPECT_EQ(class_of(a), AddressClass::kLinkLocal) << a;
}

TEST(Reach, OfItsOwnHostFollowsWhereThatWasFound) {
  const Reach set("http://intranet.example/a.json", {});
  const std::string url = "http://INTRANET.example:8080/g.nc";
  const unsigned in_private = 1U << static_cast<unsigned>(AddressClass::kPrivate);
  EXPECT_TRUE(set.check_address(url, AddressClass::kPrivate, "10.0.0.1", in_private));
  // The name has come to mean another place since.
  EXPECT_FALSE(set.check_address(url, AddressClass::kLinkLocal, "169.254.169.254", in_private));
  EXPECT_FALSE(set.check_address(url, AddressClass::kLoopback, "127.0.0.1", in_private));
  EXPECT_FALSE(set.check_address("http://other.example/g.nc", AddressClass::kPrivate, "10.0.0.1",
                                 in_private));
  EXPECT_TRUE(set.check_address("http://other.example/g.nc", AddressClass::kPublic, "8.8.8.8", 0));
}

/// Reads a file as a local set beside it would.
struct Files {
  Result<SharedBytes> read(const std::string& name, const ReachOptions& options = {}) {
    SessionOptions session_options;
    session_options.reach = options;
    Session session(session_options);
    const ReachPtr reach = session.reach_from((directory.path() / "sets" / "set.json").string());
    auto info = session.stat(name, reach);
    auto bytes = session.read_one(name, {}, reach);
    EXPECT_EQ(info.has_value(), bytes.has_value());
    return bytes;
  }
  std::string make(const std::string& name) {
    const auto path = directory.path() / name;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << "bytes";
    return path.string();
  }
  TemporaryDirectory directory;
};

TEST(Reach, FollowsSymbolicLinksBeforeItAsks) {
  Files files;
  const std::string plain = files.make("archive/g.nc");
  EXPECT_TRUE(files.read(plain));
  const std::string link = (files.directory.path() / "archive" / "link.nc").string();
  std::filesystem::create_symlink(plain, link);
  EXPECT_TRUE(files.read(link));
  for (const char* target : {"/etc/passwd", "/proc/self/environ"}) {
    std::filesystem::remove(link);
    std::filesystem::create_symlink(target, link);
    auto refused = files.read(link);
    ASSERT_FALSE(refused) << target;
    EXPECT_EQ(refused.error().code, Code::kPermissionDenied);
    EXPECT_NE(refused.error().message.find(link), std::string::npos);
    EXPECT_NE(refused.error().message.find("--allow-root"), std::string::npos);
  }
}

TEST(Reach, HiddenFilesAreForSetsThatLieBesideThem) {
  Files files;
  EXPECT_FALSE(files.read(files.make("home/.ssh/id")));
  EXPECT_FALSE(files.read(files.make("sets/.netrc")));
  const std::string beside = files.make(".work/data/g.nc");
  EXPECT_FALSE(files.read(beside));
  const Reach reach((files.directory.path() / ".work/sets/set.json").string(), {});
  EXPECT_TRUE(reach.check_url(beside));
}

TEST(Reach, RootsAllowAndLimit) {
  Files files;
  const std::string hidden = files.make(".work/g.nc");
  const std::string other = files.make("worked/g.nc");
  const auto real = files.directory.path() / ".work";
  const auto link = files.directory.path() / "work";
  std::filesystem::create_directory_symlink(real, link);
  for (const auto& root : {real, link, link / ""}) {
    EXPECT_TRUE(files.read(hidden, {{}, {root}})) << root;
    EXPECT_TRUE(files.read((link / "g.nc").string(), {{}, {root}})) << root;
    EXPECT_FALSE(files.read(other, {{}, {root}})) << root;
    EXPECT_FALSE(files.read("/etc/passwd", {{}, {root}})) << root;
  }
  EXPECT_TRUE(files.read("/etc/passwd", {{}, {"/etc"}}));
}

}  // namespace
}  // namespace upwell::io
