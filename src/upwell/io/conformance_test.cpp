// The conformance suite on every store.

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <fstream>

#include "io/byte_store_conformance.hpp"
#include "io/fault_store.hpp"
#include "io/file_store.hpp"
#include "io/http_store.hpp"
#include "io/memory_store.hpp"
#include "io/moved_store.hpp"
#include "io/s3_store.hpp"
#include "io/test_servers.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

class MemoryFixture : public ConformanceFixture {
 public:
  ByteStore& store() override { return *memory_; }
  std::string put(const std::string& name, const std::string& content) override {
    memory_->put("memory://test/" + name, content);
    return directory() + name;
  }
  std::string directory() override { return "memory://test/"; }

 protected:
  std::shared_ptr<MemoryStore> memory_ = std::make_shared<MemoryStore>();
};

/// Named by a place where nothing is.
class MovedFixture : public MemoryFixture {
 public:
  ByteStore& store() override { return moved_; }
  std::string directory() override { return "elsewhere://test/"; }

 private:
  MovedStore moved_{
      std::make_shared<MemoryStore>(), memory_, {{"elsewhere://test/", "memory://test/"}}};
};

class FaultFixture : public MemoryFixture {
 public:
  ByteStore& store() override { return fault_; }

 private:
  FaultStore fault_{memory_};
};

/// Writes beside and renames, with a time of modification that never repeats.
void replace_file(const std::filesystem::path& path, const std::string& content) {
  static std::atomic<int> revision{0};
  std::filesystem::path temporary = path.string() + ".new";
  std::ofstream(temporary, std::ios::binary) << content;
  timespec times[2] = {{1'600'000'000 + ++revision, 0}, {1'600'000'000 + revision, 0}};
  ::utimensat(AT_FDCWD, temporary.c_str(), times, 0);
  std::filesystem::rename(temporary, path);
}

class FileFixture : public ConformanceFixture {
 public:
  explicit FileFixture(bool urls) : urls_(urls) {}
  ByteStore& store() override { return store_; }
  std::string put(const std::string& name, const std::string& content) override {
    replace_file(home_.path() / name, content);
    return directory() + name;
  }
  std::string directory() override {
    return (urls_ ? "file://" : "") + home_.path().string() + "/";
  }

 private:
  bool urls_;
  TemporaryDirectory home_;
  FileStore store_;
};

class HttpFixture : public ConformanceFixture {
 public:
  HttpFixture(std::unique_ptr<Nginx> nginx, std::string directory)
      : nginx_(std::move(nginx)), directory_(std::move(directory)), store_(options(*nginx_)) {}
  ByteStore& store() override { return store_; }
  std::string put(const std::string& name, const std::string& content) override {
    replace_file(nginx_->directory() / name, content);
    return directory_ + name;
  }
  std::string directory() override { return directory_; }
  bool lists() const override { return false; }
  bool writes() const override { return false; }

 private:
  static HttpOptions options(const Nginx& nginx) {
    HttpOptions options;
    options.ca_file = nginx.https_url() ? nginx.certificate() : "";
    return options;
  }
  std::unique_ptr<Nginx> nginx_;
  std::string directory_;
  HttpStore store_;
};

/// `path` below the server: "", "moved/" (through a redirect), "nohead/" (HEAD is refused).
std::unique_ptr<ConformanceFixture> nginx_fixture(const std::string& path, bool tls) {
  auto nginx = Nginx::start();
  if (!nginx || (tls && !nginx->https_url())) return nullptr;
  std::string url = (tls ? *nginx->https_url() : nginx->url()) + path;
  return std::make_unique<HttpFixture>(std::move(nginx), url);
}

/// A directory of its own in the bucket that UPWELL_S3_TEST_URL names, as the environment says.
class S3Fixture : public ConformanceFixture {
 public:
  S3Fixture(const std::string& url, const S3Configuration& configuration)
      : store_({.http = {}, .configuration = configuration, .part_size = 5 << 20}),
        other_({.http = {}, .configuration = configuration}) {
    static std::atomic<int> number{0};
    directory_ = url + std::to_string(::getpid()) + "-" + std::to_string(number++) + "/";
  }
  ByteStore& store() override { return store_; }
  /// By another store: what the store under test writes itself is no change to it.
  std::string put(const std::string& name, const std::string& content) override {
    auto put = other_.put(directory_ + name, as_bytes(content));
    EXPECT_TRUE(put) << put.error().to_string();
    return directory_ + name;
  }
  std::string directory() override { return directory_; }

 private:
  S3Store store_, other_;
  std::string directory_;
};

std::unique_ptr<ConformanceFixture> s3_fixture() {
  const char* url = std::getenv("UPWELL_S3_TEST_URL");
  if (url == nullptr) return nullptr;
  auto configuration = s3_configuration({}, process_environment());
  EXPECT_TRUE(configuration) << configuration.error().to_string();
  if (!configuration) return nullptr;
  return std::make_unique<S3Fixture>(url, *configuration);
}

TEST(S3Live, ListsPageAfterPage) {
  auto fixture = s3_fixture();
  if (!fixture) GTEST_SKIP() << "no service: set UPWELL_S3_TEST_URL";
  constexpr size_t kObjects = 1100;  // a page has 1,000
  std::atomic<size_t> next{0};
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 8; ++t) {
      threads.emplace_back([&] {
        for (size_t i = next++; i < kObjects; i = next++)
          fixture->put("page +%41/" + std::to_string(10'000 + i), "x");
      });
    }
  }
  auto urls = fixture->store().list(fixture->directory());
  ASSERT_TRUE(urls) << urls.error().to_string();
  ASSERT_EQ(urls->size(), kObjects);
  for (size_t i = 0; i < kObjects; ++i)
    EXPECT_EQ((*urls)[i], fixture->directory() + "page +%41/" + std::to_string(10'000 + i));
  auto names = fixture->store().list_directory(fixture->directory());
  ASSERT_TRUE(names) << names.error().to_string();
  EXPECT_EQ(*names, std::vector<std::string>{"page +%41/"});
}

INSTANTIATE_TEST_SUITE_P(S3, ByteStoreConformance, ::testing::Values(FixtureMaker(s3_fixture)));
INSTANTIATE_TEST_SUITE_P(Memory, ByteStoreConformance, ::testing::Values(FixtureMaker([] {
                           return std::make_unique<MemoryFixture>();
                         })));
INSTANTIATE_TEST_SUITE_P(Moved, ByteStoreConformance, ::testing::Values(FixtureMaker{[] {
                           return std::make_unique<MovedFixture>();
                         }}));
INSTANTIATE_TEST_SUITE_P(FaultWithoutFaults, ByteStoreConformance,
                         ::testing::Values(FixtureMaker([] {
                           return std::make_unique<FaultFixture>();
                         })));
INSTANTIATE_TEST_SUITE_P(File, ByteStoreConformance, ::testing::Values(FixtureMaker([] {
                           return std::make_unique<FileFixture>(false);
                         })));
INSTANTIATE_TEST_SUITE_P(FileUrl, ByteStoreConformance, ::testing::Values(FixtureMaker([] {
                           return std::make_unique<FileFixture>(true);
                         })));
INSTANTIATE_TEST_SUITE_P(Http, ByteStoreConformance,
                         ::testing::Values(FixtureMaker([] { return nginx_fixture("", false); })));
INSTANTIATE_TEST_SUITE_P(HttpRedirected, ByteStoreConformance, ::testing::Values(FixtureMaker([] {
                           return nginx_fixture("moved/", false);
                         })));
INSTANTIATE_TEST_SUITE_P(HttpWithoutHead, ByteStoreConformance, ::testing::Values(FixtureMaker([] {
                           return nginx_fixture("nohead/", false);
                         })));
INSTANTIATE_TEST_SUITE_P(Http2OverTls, ByteStoreConformance,
                         ::testing::Values(FixtureMaker([] { return nginx_fixture("", true); })));

}  // namespace
}  // namespace upwell::io
