#pragma once
// What every byte store must do. A store's test gives a fixture and instantiates the suite:
//
//   INSTANTIATE_TEST_SUITE_P(Memory, ByteStoreConformance, ::testing::Values(make_fixture));
//
// Include it in one test file per program and store only: it defines tests.

#include <gtest/gtest.h>

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "io/byte_store.hpp"

namespace upwell::io {

/// A store under test and a way to put objects where it finds them.
class ConformanceFixture {
 public:
  virtual ~ConformanceFixture() = default;
  virtual ByteStore& store() = 0;
  /// Puts an object and returns its URL. Putting again replaces it; the state differs even if the
  /// bytes do not.
  virtual std::string put(const std::string& name, const std::string& content) = 0;
  /// URL of the directory that holds the objects, ending in '/'.
  virtual std::string directory() = 0;
  virtual bool lists() const { return true; }
  virtual bool writes() const { return true; }
};

/// Null with a reason on stderr: the suite is skipped.
using FixtureMaker = std::function<std::unique_ptr<ConformanceFixture>()>;

class ByteStoreConformance : public ::testing::TestWithParam<FixtureMaker> {
 protected:
  void SetUp() override {
    fixture_ = GetParam()();
    if (!fixture_) GTEST_SKIP() << "what this store needs is not installed";
  }
  ByteStore& store() { return fixture_->store(); }
  static std::string pattern(size_t n, unsigned seed = 1) {
    std::string text(n, '\0');
    uint32_t x = seed;
    for (char& c : text) {
      x = x * 1664525u + 1013904223u;
      c = static_cast<char>(x >> 24);
    }
    return text;
  }
  Result<SharedBytes> read_one(const std::string& url, Range range) {
    ReadRequest request{url, range};
    auto answers = store().read({&request, 1});
    EXPECT_EQ(answers.size(), 1u);
    return std::move(answers.front());
  }
  void expect_text(const Result<SharedBytes>& answer, std::string_view expected) {
    ASSERT_TRUE(answer) << answer.error().to_string();
    EXPECT_TRUE(as_text(answer->span()) == expected) << answer->size() << " bytes";
  }
  void expect_code(const Result<SharedBytes>& answer, Code code) {
    ASSERT_FALSE(answer);
    EXPECT_EQ(to_string(answer.error().code), to_string(code)) << answer.error().to_string();
    EXPECT_FALSE(answer.error().message.empty());
  }

  std::unique_ptr<ConformanceFixture> fixture_;
};

TEST_P(ByteStoreConformance, StatTellsTheSizeAndAnIdentity) {
  std::string url = fixture_->put("a.bin", pattern(1000));
  auto info = store().stat(url);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_EQ(info->size, 1000u);
  EXPECT_TRUE(!info->etag.empty() || info->mtime_ns);
  auto again = store().stat(url);
  ASSERT_TRUE(again);
  EXPECT_EQ(*info, *again);
  auto known = store().known(url);
  ASSERT_TRUE(known);
  EXPECT_EQ(*known, *info);
}

TEST_P(ByteStoreConformance, TheFrontComesWithTheState) {
  const std::string content = pattern(1000);
  const std::string url = fixture_->put("a.bin", content);
  auto front = store().front(url, 100);
  ASSERT_TRUE(front) << front.error().to_string();
  auto info = store().stat(url);
  ASSERT_TRUE(info);
  EXPECT_EQ(front->info, *info);
  EXPECT_EQ(as_text(front->bytes.span()).substr(0, 100), content.substr(0, 100));
  auto all = store().front(url, 5000);
  ASSERT_TRUE(all) << all.error().to_string();
  EXPECT_EQ(as_text(all->bytes.span()), content);
  auto none = store().front(fixture_->put("empty.bin", ""), 100);
  ASSERT_TRUE(none) << none.error().to_string();
  EXPECT_EQ(none->info.size, 0u);
  EXPECT_TRUE(none->bytes.empty());
  auto missing = store().front(fixture_->directory() + "missing.bin", 100);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().code, Code::kNotFound);
  fixture_->put("a.bin", content + "more");
  auto changed = store().front(url, 100);
  ASSERT_FALSE(changed);
  EXPECT_EQ(changed.error().code, Code::kChanged);
}

TEST_P(ByteStoreConformance, ReadsExactRanges) {
  std::string content = pattern(300'000);
  std::string url = fixture_->put("a.bin", content);
  for (Range r : {Range{0, 1}, Range{0, 300'000}, Range{299'999, 1}, Range{17, 65'536}}) {
    expect_text(read_one(url, r), content.substr(r.offset, r.length));
  }
}

TEST_P(ByteStoreConformance, ReadsToTheEnd) {
  std::string content = pattern(5000);
  std::string url = fixture_->put("a.bin", content);
  expect_text(read_one(url, {}), content);
  expect_text(read_one(url, {4000, kToEnd}), content.substr(4000));
  expect_text(read_one(url, {5000, kToEnd}), "");
  expect_code(read_one(url, {5001, kToEnd}), Code::kInvalidData);
}

TEST_P(ByteStoreConformance, RangesPastTheEndAreErrors) {
  std::string url = fixture_->put("a.bin", pattern(100));
  expect_code(read_one(url, {90, 11}), Code::kInvalidData);
  expect_code(read_one(url, {100, 1}), Code::kInvalidData);
  expect_code(read_one(url, {1000, 10}), Code::kInvalidData);
  expect_code(read_one(url, {kToEnd - 5, 10}), Code::kInvalidData);
  expect_code(read_one(url, {10, kToEnd - 1}), Code::kInvalidData);
  auto answer = read_one(url, {90, 11});
  EXPECT_NE(answer.error().message.find("ends at 100"), std::string::npos)
      << answer.error().message;
}

TEST_P(ByteStoreConformance, EmptyRangesAndEmptyObjects) {
  std::string url = fixture_->put("a.bin", pattern(100));
  expect_text(read_one(url, {0, 0}), "");
  expect_text(read_one(url, {100, 0}), "");
  std::string empty = fixture_->put("empty.bin", "");
  expect_text(read_one(empty, {}), "");
  expect_text(read_one(empty, {0, 0}), "");
  expect_code(read_one(empty, {0, 1}), Code::kInvalidData);
  auto info = store().stat(empty);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_EQ(info->size, 0u);
}

TEST_P(ByteStoreConformance, MissingObjectsAreNotFound) {
  fixture_->put("a.bin", "x");
  std::string url = fixture_->directory() + "missing.bin";
  for (Range r : {Range{}, Range{0, 1}, Range{7, kToEnd}, Range{0, 0}}) {
    auto answer = read_one(url, r);
    expect_code(answer, Code::kNotFound);
    EXPECT_NE(answer.error().message.find("missing.bin"), std::string::npos);
  }
  auto info = store().stat(url);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::kNotFound);
}

TEST_P(ByteStoreConformance, ManyRangesOfManyObjectsInOneBatch) {
  std::vector<std::string> urls, contents;
  for (unsigned i = 0; i < 5; ++i) {
    contents.push_back(pattern(20'000 + i, i + 1));
    urls.push_back(fixture_->put("many-" + std::to_string(i), contents.back()));
  }
  std::vector<ReadRequest> batch;
  for (size_t k = 0; k < 200; ++k) {
    batch.push_back({urls[k % 5], {(k * 7919) % 19'000, 1 + k * 5}});
  }
  auto answers = store().read(batch);
  ASSERT_EQ(answers.size(), batch.size());
  for (size_t k = 0; k < batch.size(); ++k) {
    expect_text(
        answers[k],
        std::string_view(contents[k % 5]).substr(batch[k].range.offset, batch[k].range.length));
  }
  EXPECT_TRUE(store().read({}).empty());
}

TEST_P(ByteStoreConformance, TellsOnlyOfWhatItReturns) {
  const std::string text = pattern(100000);
  const std::string url = fixture_->put("told.bin", text);
  std::vector<ReadRequest> requests;
  for (uint64_t k = 0; k < 20; ++k) requests.push_back({url, {k * 5000, 4000 + k}});
  requests.push_back({url, {99990, 20}});
  requests.push_back({fixture_->directory() + "missing.bin", {0, 5}});
  requests.push_back({url, {500, 0}});
  std::mutex mutex;
  std::vector<std::vector<SharedBytes>> told(requests.size());
  const auto answers = store().read_and_tell(requests, [&](size_t i, const SharedBytes& bytes) {
    std::lock_guard lock(mutex);
    told.at(i).push_back(bytes);
  });
  ASSERT_EQ(answers.size(), requests.size());
  for (size_t i = 0; i < 20; ++i) {
    expect_text(answers[i], text.substr(i * 5000, 4000 + i));
    ASSERT_LE(told[i].size(), 1u);
    if (!told[i].empty()) expect_text(told[i].front(), text.substr(i * 5000, 4000 + i));
  }
  expect_code(answers[20], Code::kInvalidData);
  expect_code(answers[21], Code::kNotFound);
  EXPECT_TRUE(told[20].empty());
  EXPECT_TRUE(told[21].empty());
}

TEST_P(ByteStoreConformance, OneFailureLeavesTheOthers) {
  std::string content = pattern(1000);
  std::string url = fixture_->put("a.bin", content);
  std::vector<ReadRequest> batch{{url, {0, 10}},
                                 {fixture_->directory() + "missing", {0, 10}},
                                 {url, {995, 10}},
                                 {url, {990, 10}}};
  auto answers = store().read(batch);
  ASSERT_EQ(answers.size(), 4u);
  expect_text(answers[0], content.substr(0, 10));
  expect_code(answers[1], Code::kNotFound);
  expect_code(answers[2], Code::kInvalidData);
  expect_text(answers[3], content.substr(990));
}

TEST_P(ByteStoreConformance, ManyThreadsAtOnce) {
  std::string content = pattern(100'000);
  std::string url = fixture_->put("a.bin", content);
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        for (size_t k = 0; k < 10; ++k) {
          std::vector<ReadRequest> batch{{url, {t * 1000 + k, 500}}, {url, {k * 3000, 2000}}};
          auto answers = store().read(batch);
          for (size_t i = 0; i < batch.size(); ++i) {
            auto [offset, length] = batch[i].range;
            if (!answers[i] || as_text(answers[i]->span()) != content.substr(offset, length)) {
              ++wrong;
            }
          }
          if (!store().stat(url)) ++wrong;
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST_P(ByteStoreConformance, ChangedObjectsAreNoticed) {
  std::string url = fixture_->put("a.bin", pattern(1000));
  expect_text(read_one(url, {0, 10}), pattern(1000).substr(0, 10));
  fixture_->put("a.bin", pattern(1200, 7));
  expect_code(read_one(url, {0, 10}), Code::kChanged);
  auto info = store().stat(url);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::kChanged);
  // Until the caller takes it as it is.
  store().forget(url);
  expect_text(read_one(url, {0, 10}), pattern(1200, 7).substr(0, 10));
}

TEST_P(ByteStoreConformance, AChangeOfTheSameSizeIsNoticed) {
  std::string url = fixture_->put("a.bin", pattern(1000));
  ASSERT_TRUE(store().stat(url));
  fixture_->put("a.bin", pattern(1000, 7));
  expect_code(read_one(url, {0, 10}), Code::kChanged);
}

TEST_P(ByteStoreConformance, ListsSorted) {
  std::string b = fixture_->put("b", "1");
  std::string a = fixture_->put("a", "1");
  std::string c = fixture_->put("c", "1");
  auto urls = store().list(fixture_->directory());
  if (!fixture_->lists()) {
    ASSERT_FALSE(urls);
    EXPECT_EQ(urls.error().code, Code::kUnsupported);
    return;
  }
  ASSERT_TRUE(urls) << urls.error().to_string();
  EXPECT_EQ(*urls, (std::vector<std::string>{a, b, c}));
}

TEST_P(ByteStoreConformance, NamesWithSpacesAndOtherLetters) {
  std::string url = fixture_->put("sea level \xc3\xa9.bin", "0123");
  expect_text(read_one(url, {1, 2}), "12");
}

// Writing.

TEST_P(ByteStoreConformance, WritesWholeObjects) {
  std::string url = fixture_->directory() + "written/sub dir/x=1 +&%41.bin";
  std::string content = pattern(200'000);
  auto put = store().put(url, as_bytes(content));
  if (!fixture_->writes()) {
    ASSERT_FALSE(put);
    EXPECT_EQ(put.error().code, Code::kUnsupported);
    return;
  }
  ASSERT_TRUE(put) << put.error().to_string();
  EXPECT_EQ(put->size, content.size());
  expect_text(read_one(url, {}), content);
  auto info = store().stat(url);
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_EQ(info->etag, put->etag);
  // One's own writes are no changes to wonder at.
  ASSERT_TRUE(store().put(url, as_bytes("second")));
  expect_text(read_one(url, {}), "second");
  ASSERT_TRUE(store().put(url, {}));
  expect_text(read_one(url, {}), "");
}

TEST_P(ByteStoreConformance, ConditionsOfPutHold) {
  if (!fixture_->writes()) GTEST_SKIP() << "this store does not write";
  std::string url = fixture_->directory() + "pointer";
  auto changed = store().put(url, as_bytes("x"), PutCondition::unchanged("\"abc\""));
  ASSERT_FALSE(changed);
  EXPECT_EQ(to_string(changed.error().code), to_string(Code::kChanged));
  auto first = store().put(url, as_bytes("first"), PutCondition::absent());
  ASSERT_TRUE(first) << first.error().to_string();
  auto again = store().put(url, as_bytes("again"), PutCondition::absent());
  ASSERT_FALSE(again);
  EXPECT_EQ(to_string(again.error().code), to_string(Code::kAlreadyExists));
  expect_text(read_one(url, {}), "first");
  auto second = store().put(url, as_bytes("second"), PutCondition::unchanged(first->etag));
  ASSERT_TRUE(second) << second.error().to_string();
  changed = store().put(url, as_bytes("third"), PutCondition::unchanged(first->etag));
  ASSERT_FALSE(changed);
  EXPECT_EQ(to_string(changed.error().code), to_string(Code::kChanged));
  expect_text(read_one(url, {}), "second");
}

TEST_P(ByteStoreConformance, OneOfManyConditionalWritersWins) {
  if (!fixture_->writes()) GTEST_SKIP() << "this store does not write";
  std::string url = fixture_->directory() + "contested";
  for (size_t round = 0; round < 3; ++round) {
    auto state = store().stat(url);
    std::atomic<int> won{0}, lost{0};
    {
      std::vector<std::jthread> threads;
      for (size_t t = 0; t < 6; ++t) {
        threads.emplace_back([&, t] {
          auto condition = state ? PutCondition::unchanged(state->etag) : PutCondition::absent();
          auto put = store().put(url, as_bytes(pattern(100 + round * 10 + t)), condition);
          if (put) ++won;
          Code code = put ? Code::kInternal : put.error().code;
          if (code == Code::kChanged || code == Code::kAlreadyExists) ++lost;
        });
      }
    }
    EXPECT_EQ(won, 1);
    EXPECT_EQ(lost, 5);
  }
}

TEST_P(ByteStoreConformance, ALargeObjectIsWrittenInPieces) {
  if (!fixture_->writes()) GTEST_SKIP() << "this store does not write";
  std::string url = fixture_->directory() + "large.bin";
  std::string content = pattern(18'000'000);
  auto writer = store().create(url);
  ASSERT_TRUE(writer) << writer.error().to_string();
  for (size_t at = 0; at < content.size(); at += 1'234'567) {
    ASSERT_TRUE((*writer)->write(as_bytes(std::string_view(content).substr(at, 1'234'567))));
  }
  auto info = (*writer)->commit(PutCondition::absent());
  ASSERT_TRUE(info) << info.error().to_string();
  EXPECT_EQ(info->size, content.size());
  expect_text(read_one(url, {}), content);
}

TEST_P(ByteStoreConformance, NothingIsLeftOfWhatIsNotCommitted) {
  if (!fixture_->writes()) GTEST_SKIP() << "this store does not write";
  std::string url = fixture_->directory() + "given-up.bin";
  {
    auto writer = store().create(url);
    ASSERT_TRUE(writer) << writer.error().to_string();
    ASSERT_TRUE((*writer)->write(as_bytes(pattern(9'000'000))));
  }
  auto info = store().stat(url);
  ASSERT_FALSE(info);
  EXPECT_EQ(info.error().code, Code::kNotFound);
  auto urls = store().list(fixture_->directory());
  ASSERT_TRUE(urls) << urls.error().to_string();
  EXPECT_TRUE(urls->empty()) << urls->front();
}

TEST_P(ByteStoreConformance, RemovesObjects) {
  if (!fixture_->writes()) GTEST_SKIP() << "this store does not write";
  std::string url = fixture_->put("a.bin", "x");
  expect_text(read_one(url, {}), "x");
  auto removed = store().remove(url);
  ASSERT_TRUE(removed) << removed.error().to_string();
  expect_code(read_one(url, {}), Code::kNotFound);
  ASSERT_TRUE(store().remove(url));
}

}  // namespace upwell::io
