#include <gtest/gtest.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <iterator>
#include <new>
#include <set>
#include <stdexcept>

#include "base/bytes.hpp"
#include "base/files.hpp"
#include "base/parallel.hpp"
#include "base/result.hpp"
#include "base/url_secrets.hpp"

namespace upwell {
namespace {

namespace fs = std::filesystem;

/// A directory of its own for each test, removed at the end.
class FilesTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "upwell-base-XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
  }
  void TearDown() override { fs::remove_all(directory_); }

  static std::string text_of(const fs::path& path) {
    std::ifstream file(path, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  size_t entries() const {
    return static_cast<size_t>(
        std::distance(fs::directory_iterator(directory_), fs::directory_iterator()));
  }

  fs::path directory_;
};

TEST(Error, SaysWhatWasBeingDoneOutermostFirst) {
  Error error{Code::kInvalidData, "checksum mismatch", {"chunk 0.1 of /sst", "granule a.nc"}, {}};
  EXPECT_EQ(error.to_string(), "granule a.nc: chunk 0.1 of /sst: checksum mismatch");
}

TEST(Error, MapsToExitAndHttpStatus) {
  EXPECT_EQ(exit_status(Code::kInvalidArgument), 64);
  EXPECT_EQ(exit_status(Code::kInvalidData), 65);
  EXPECT_EQ(exit_status(Code::kNotFound), 66);
  EXPECT_EQ(exit_status(Code::kInternal), 70);
  EXPECT_EQ(exit_status(Code::kCannotWrite), 73);
  EXPECT_EQ(exit_status(Code::kUnavailable), 75);
  EXPECT_EQ(exit_status(Code::kUnauthenticated), 77);
  EXPECT_EQ(exit_status(Code::kBadConfiguration), 78);
  // A source that is not there is a broken gateway to a client; 404 would mean "never written".
  EXPECT_EQ(http_status(Code::kNotFound), 502);
  EXPECT_EQ(http_status(Code::kUnavailable), 503);
}

Result<int> half(int v) {
  if (v % 2 != 0) return fail(Code::kInvalidArgument, "odd");
  return v / 2;
}

Result<int> quarter(int v) {
  UPWELL_TRY(int h, half(v));
  UPWELL_CHECK(half(h));
  return half(h);
}

TEST(Error, MacrosReturnTheFirstOne) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().message, "odd");
  EXPECT_EQ(quarter(3).error().code, Code::kInvalidArgument);
}

TEST(Bytes, LoadsInBothOrders) {
  const uint8_t bytes[] = {0x01, 0x02, 0x03, 0x04};
  EXPECT_EQ(load_le<uint32_t>(bytes), 0x04030201U);
  EXPECT_EQ(load_be<uint32_t>(bytes), 0x01020304U);
  EXPECT_EQ(load_be<int16_t>(bytes), 0x0102);
}

TEST(Bytes, SlicesKeepTheirOwnerAlive) {
  SharedBytes slice;
  {
    SharedBytes whole(to_bytes(std::string_view("upwelling")));
    slice = whole.slice(2, 4);
  }
  EXPECT_EQ(as_text(slice.span()), "well");
}

TEST_F(FilesTest, ALinkIsWrittenThrough) {
  fs::create_directory(directory_ / "elsewhere");
  fs::create_symlink("elsewhere/second", directory_ / "first");
  fs::create_symlink("../file", directory_ / "elsewhere/second");
  for (const std::string text : {"new", "replaced"}) {
    ASSERT_TRUE(write_file_atomically(directory_ / "first", as_bytes(text)));
    EXPECT_TRUE(fs::is_symlink(directory_ / "first"));
    EXPECT_TRUE(fs::is_symlink(directory_ / "elsewhere/second"));
    EXPECT_FALSE(fs::is_symlink(directory_ / "file"));
    EXPECT_EQ(text_of(directory_ / "file"), text);
  }
  EXPECT_EQ(entries(), 3U);
  fs::create_symlink("loop", directory_ / "loop");
  EXPECT_FALSE(write_file_atomically(directory_ / "loop", as_bytes("x")));
}

TEST_F(FilesTest, AFileAppearsWholeOrNotAtAll) {
  fs::path target = directory_ / "out.json";
  {
    auto file = AtomicFile::create(target);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(as_bytes("half")));
    EXPECT_FALSE(fs::exists(target));
  }
  EXPECT_EQ(entries(), 0U);  // given up: nothing is left
  ASSERT_TRUE(write_file_atomically(target, as_bytes("first")));
  ASSERT_TRUE(write_file_atomically(target, as_bytes("second")));
  EXPECT_EQ(text_of(target), "second");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FilesTest, ADirectoryReplacesAnOldOneInOneStep) {
  fs::path target = directory_ / "cube.parq";
  for (const char* text : {"old", "new"}) {
    auto made = AtomicDirectory::create(target.string() + "/");
    ASSERT_TRUE(made);
    ASSERT_TRUE(write_file_atomically(made->path() / "a", as_bytes(text)));
    ASSERT_TRUE(made->commit());
  }
  EXPECT_EQ(text_of(target / "a"), "new");
  EXPECT_EQ(entries(), 1U);
}

TEST_F(FilesTest, SaysWhereItCannotWrite) {
  auto result = write_file_atomically(directory_ / "not" / "there", as_bytes("x"));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().code, Code::kCannotWrite);
  EXPECT_NE(result.error().message.find("there"), std::string::npos);
}

TEST(Parallel, CallsEachIndexOnce) {
  std::vector<std::atomic<int>> calls(1000);
  auto count = [&](size_t i) -> Result<> {
    ++calls[i];
    return {};
  };
  ASSERT_TRUE(parallel_for(calls.size(), count));
  ASSERT_TRUE(blocking_for(calls.size(), 7, count));
  for (const auto& n : calls) EXPECT_EQ(n, 2);
}

TEST(Parallel, StopsAtTheFirstError) {
  std::atomic<size_t> calls{0};
  auto fail_early = [&](size_t i) -> Result<> {
    ++calls;
    if (i == 3) return fail(Code::kInvalidData, "three");
    return {};
  };
  auto result = blocking_for(100000, 2, fail_early);
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message, "three");
  EXPECT_LT(calls, 100000U);
}

TEST(UrlSecrets, AreTakenOutOfUrlsInTexts) {
  const auto shown = [](const char* text) { return without_url_secrets(text); };
  EXPECT_EQ(shown("granule https://me:pw@h:1/a?X-Amz-Signature=s: HTTP 403"),
            "granule https://h:1/a?...: HTTP 403");
  EXPECT_EQ(shown("http://a@h and 's3://u:p@b/k?sig=1&sv=2', 2 of them"),
            "http://h and 's3://b/k?...', 2 of them");
  EXPECT_EQ(shown("https://me:p@w@h?token=x"), "https://h?...");
  EXPECT_EQ(shown("(https://h/a?Signature=x)"), "(https://h/a?...)");
  for (const char* plain : {"", "https://", "https://h/approve_app?client_id=x&state=y", "me@h: no",
                            "https://h/a@b?version=2", "https://h: write to me@h", "a?token=1"})
    EXPECT_EQ(shown(plain), plain);
  EXPECT_EQ((Error{Code::kNotFound, "no", {"https://u:p@h/a"}, {}}.to_string()), "https://h/a: no");
}

TEST(UrlSecrets, AreTakenOutWhateverPeopleType) {
  const auto shown = [](const char* text) { return without_url_secrets(text); };
  EXPECT_EQ(shown("https://u:pa'W|<W>@h:1/x.nc: no"), "https://h:1/x.nc: no");
  EXPECT_EQ(shown("'https://h/x?a='1'&token=W': no"), "'https://h/x?...': no");
  EXPECT_EQ(shown("https://u:p/W@h/x"), "https://h/x");
  EXPECT_EQ(shown("https://u:p?W@h/x?token=W, no"), "https://h/x?..., no");
  EXPECT_EQ(shown("https://me@org:p#W@W@h/x"), "https://h/x");
  EXPECT_EQ(shown("https://h/x#access_token=W"), "https://h/x#...");
  EXPECT_EQ(shown("https://h/login?code=W&state=1"), "https://h/login?...");
  EXPECT_EQ(shown("https://h/x?to=https://u:W@g/"), "https://h/x?to=https://g/");
  EXPECT_EQ(shown("https://h/x?to=https%3A%2F%2Fg%3FTOKEN%253DW"), "https://h/x?...");
  EXPECT_EQ(shown("https://u:W@h/,https://g?sig=W \"https://v:W@f\""),
            "https://h/,https://g?... \"https://f\"");
  for (const char* plain : {"https://h:80/a@b?c=d@e", "https://[::1]/a@b", "https://[::1]:80/a@b",
                            "https://h:/a@b", "https://h: a/b@c", "://://", "https://[/a@b:c"})
    EXPECT_EQ(shown(plain), plain);
}

TEST(UrlSecrets, AreKnownByTheNamesOfParameters) {
  for (const char* query :
       {"token=1", "access_token=1", "apikey=1", "api-key=1", "key=1", "X-Amz-Security-Token=1",
        "sig=1", "x-amz-signature=1", "signature=1", "a=1&Signature=2", "a;PASSWORD=1", "%74oken=1",
        "AWSAccessKeyId=1", "client_secret=1", "X-Amz-Credential=1"}) {
    EXPECT_TRUE(query_holds_secret("https://h/a?" + std::string(query))) << query;
    EXPECT_TRUE(query_holds_secret("https://h/a#" + std::string(query))) << query;
    EXPECT_FALSE(query_holds_secret("https://h/" + std::string(query))) << query;
  }
  for (const char* query : {"", "service=WCS&format=nc", "version=1", "sst[0:1],token",
                            "name=token", "cycle=5&pass=12", "keyword=sst", "station=monkey",
                            "design=1", "sigma=2", "code=KJFK", "author=me", "%", "%3"})
    EXPECT_FALSE(query_holds_secret("https://h/a?" + std::string(query))) << query;
}

// Others write what is shown. A scan to the end of the text at every "://" takes hours here.
TEST(UrlSecrets, AreTakenOutInLinearTime) {
  for (const std::string piece :
       {"://", "://a:b/", "://a@b:c?", "://h?a=b%", "https://h.example.org/a/b.nc?version=1 ",
        "https://u:W@h/a?token=W\n", "://%25", "'\"://"}) {
    std::string text;
    while (text.size() < (size_t{4} << 20)) text += piece;
    const auto start = std::chrono::steady_clock::now();
    const std::string shown = without_url_secrets(std::move(text));
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    EXPECT_LT(took.count(), 2) << piece;
    EXPECT_EQ(shown.find('W'), std::string::npos) << piece;
  }
}

TEST(Parallel, WhatIsThrownIsAnError) {
  for (const size_t n : {size_t{1}, size_t{100}}) {
    auto too_long = [&](size_t i) -> Result<> {
      if (i + 1 == n) throw std::length_error("too long");
      return {};
    };
    auto no_memory = [&](size_t i) -> Result<> {
      if (i + 1 == n) throw std::bad_alloc();
      return {};
    };
    for (const auto& result : {blocking_for(n, 4, too_long), parallel_for(n, too_long)}) {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, Code::kInternal);
      EXPECT_EQ(result.error().message, "too long");
    }
    for (const auto& result : {blocking_for(n, 4, no_memory), parallel_for(n, no_memory)}) {
      ASSERT_FALSE(result);
      EXPECT_EQ(result.error().code, Code::kResourceExhausted);
    }
  }
}

}  // namespace
}  // namespace upwell
