// Coalescing, caching, sharing and counting of the session, over stores that go wrong.

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <fstream>
#include <thread>

#include "io/block_cache.hpp"
#include "io/disk_cache.hpp"
#include "io/fault_store.hpp"
#include "io/memory_store.hpp"
#include "io/ranges.hpp"
#include "io/session.hpp"
#include "io/test_servers.hpp"

namespace upwell::io {
namespace {

namespace fs = std::filesystem;

constexpr StoreTraits kRemote{
    .coalesce_gap = 10, .max_request = 100, .parallelism = 4, .worth_caching = true};

std::string digits(size_t n) {
  std::string text;
  for (size_t i = 0; i < n; ++i) text += static_cast<char>('a' + (i * 7 + i / 26) % 26);
  return text;
}

/// A session over one object of 10000 bytes that is as costly to read as a remote one.
struct RemoteLike {
  explicit RemoteLike(SessionOptions options = {}) : session(std::move(options)) {
    memory->put(url, content);
    store = std::make_shared<FaultStore>(memory);
    store->set_traits(kRemote);
    session.mount("memory", store);
  }
  void expect(Range range) {
    auto answer = session.read_one(url, range);
    ASSERT_TRUE(answer) << answer.error().to_string();
    uint64_t length = std::min<uint64_t>(range.length, content.size() - range.offset);
    EXPECT_EQ(as_text(answer->span()), content.substr(range.offset, length));
  }
  size_t reads() const { return store->seen().size(); }

  std::string url = "memory://h/a.nc";
  std::string content = digits(10'000);
  std::shared_ptr<MemoryStore> memory = std::make_shared<MemoryStore>();
  std::shared_ptr<FaultStore> store;
  Session session;
};

std::vector<Range> merged_ranges(const std::vector<Range>& ranges, StoreTraits traits = kRemote) {
  std::vector<ReadRequest> requests;
  std::vector<size_t> which;
  for (const Range& r : ranges) {
    which.push_back(requests.size());
    requests.push_back({"u", r});
  }
  std::vector<Range> out;
  size_t members = 0;
  for (const Fetch& f : coalesce(requests, which, traits)) {
    out.push_back(f.request.range);
    members += f.members.size();
  }
  EXPECT_EQ(members, ranges.size());
  return out;
}

TEST(Coalesce, MergesNearOverlappingAndEqualRanges) {
  using R = std::vector<Range>;
  EXPECT_EQ(merged_ranges({{0, 5}, {15, 5}}), (R{{0, 20}}));
  EXPECT_EQ(merged_ranges({{0, 5}, {16, 5}}), (R{{0, 5}, {16, 5}}));
  EXPECT_EQ(merged_ranges({{3, 4}, {0, 5}, {3, 4}, {0, 5}}), (R{{0, 7}}));
  EXPECT_EQ(merged_ranges({{0, 50}, {10, 5}, {20, 30}}), (R{{0, 50}}));
  EXPECT_EQ(merged_ranges({{0, 60}, {60, 60}}), (R{{0, 60}, {60, 60}}));
  EXPECT_EQ(merged_ranges({{0, 60}, {60, 40}, {100, 1}}), (R{{0, 100}, {100, 1}}));
  EXPECT_EQ(merged_ranges({{0, 500}, {7, 3}}), (R{{0, 500}}));
  EXPECT_EQ(merged_ranges({{50, kToEnd}, {60, 5}, {45, 5}, {70, kToEnd}}),
            (R{{45, 5}, {50, kToEnd}}));
  EXPECT_TRUE(merged_ranges({}).empty());
}

TEST(Coalesce, MergesWhatASlowLineMakesWorthIt) {
  StoreTraits far{.coalesce_gap = 1 << 20,
                  .latency_s = 0.1,
                  .bytes_per_s = 10e6,
                  .max_request = 8 << 20,
                  .parallelism = 4};
  // Four at once cost one latency: nothing is gained by fewer.
  std::vector<Range> four, many;
  for (uint64_t i = 0; i < 4; ++i) four.push_back({i * 50000, 1000});
  for (uint64_t i = 0; i < 40; ++i) many.push_back({i * 50000, 1000});
  EXPECT_EQ(merged_ranges(four, far), four);
  // Forty would take ten turns, a second; all between them takes 0.2.
  EXPECT_EQ(merged_ranges(many, far).size(), 1U);
  far.bytes_per_s = 1e6;
  EXPECT_EQ(merged_ranges(many, far), many);
}

TEST(Coalesce, DoesNotMergeObjects) {
  std::vector<ReadRequest> requests{{"a", {0, 5}}, {"b", {5, 5}}, {"a", {5, 5}}};
  auto fetches = coalesce(requests, {0, 1, 2}, kRemote);
  ASSERT_EQ(fetches.size(), 2u);
  EXPECT_EQ(fetches[0].request.range, (Range{0, 10}));
  EXPECT_EQ(fetches[1].request.url, "b");
}

TEST(SessionRead, OneBatchIsFewRequestsAndIsCounted) {
  RemoteLike remote;
  std::vector<ReadRequest> batch{{remote.url, {100, 10}},
                                 {remote.url, {115, 10}},
                                 {remote.url, {100, 10}},
                                 {remote.url, {5000, 10}}};
  auto answers = remote.session.read(batch);
  for (size_t i = 0; i < batch.size(); ++i) {
    ASSERT_TRUE(answers[i]);
    EXPECT_EQ(as_text(answers[i]->span()), remote.content.substr(batch[i].range.offset, 10));
  }
  EXPECT_EQ(remote.reads(), 2u);
  Counters counters = remote.session.counters();
  EXPECT_EQ(counters.requests, 2u);
  EXPECT_EQ(counters.bytes_asked, 40u);
  EXPECT_EQ(counters.bytes_fetched, 35u);
  EXPECT_EQ(counters.cache_hits, 0u);
  EXPECT_EQ(answers[0]->data() + 15, answers[1]->data()) << "slices share one answer";
}

TEST(SessionRead, OneRangePastTheEndLeavesItsNeighbours) {
  RemoteLike remote;
  std::vector<ReadRequest> batch{{remote.url, {9980, 10}}, {remote.url, {9990, 20}}};
  auto answers = remote.session.read(batch);
  ASSERT_TRUE(answers[0]) << answers[0].error().to_string();
  ASSERT_FALSE(answers[1]);
  EXPECT_EQ(answers[1].error().code, Code::kInvalidData);
  auto absurd = remote.session.read_one(remote.url, {kToEnd - 2, 10});
  ASSERT_FALSE(absurd);
  EXPECT_EQ(absurd.error().code, Code::kInvalidData);
}

TEST(SessionRead, PartsOfWhatWasReadAreHits) {
  RemoteLike remote;
  remote.expect({1000, 90});
  remote.expect({1010, 20});
  remote.expect({1000, 90});
  EXPECT_EQ(remote.reads(), 1u);
  remote.expect({1010, 90});  // only a part is there: read again
  EXPECT_EQ(remote.reads(), 2u);
  remote.expect({});
  remote.expect({});
  remote.expect({9000, kToEnd});
  EXPECT_EQ(remote.reads(), 3u);
  EXPECT_EQ(remote.session.counters().cache_hits, 4u);
}

TEST(SessionRead, TheFrontIsReadOnceAndKept) {
  RemoteLike remote;
  auto front = remote.session.front(remote.url, 100);
  ASSERT_TRUE(front) << front.error().to_string();
  EXPECT_EQ(front->info.size, remote.content.size());
  EXPECT_EQ(as_text(front->bytes.span()), remote.content.substr(0, 100));
  EXPECT_EQ(remote.session.counters().rounds, 1u);
  remote.expect({10, 90});
  EXPECT_EQ(remote.reads(), 1u);
  // Later the state is asked for again, but not what is kept.
  ASSERT_TRUE(remote.session.front(remote.url, 100));
  EXPECT_EQ(remote.reads(), 1u);
  EXPECT_EQ(remote.session.counters().rounds, 2u);
  remote.session.forget(remote.url);
  remote.store->add({.kind = Fault::Kind::kShort, .url_part = "a.nc", .times = 1, .keep = 3});
  auto cut = remote.session.front(remote.url, 100);
  ASSERT_FALSE(cut);
  EXPECT_EQ(cut.error().code, Code::kInvalidData);
  remote.expect({0, 100});  // nothing of it was kept
}

TEST(SessionRead, RoundsAreBatches) {
  RemoteLike remote;
  std::vector<ReadRequest> batch{{remote.url, {100, 10}}, {remote.url, {5000, 10}}};
  for (auto& answer : remote.session.read(batch)) EXPECT_TRUE(answer);
  EXPECT_EQ(remote.session.counters().rounds, 1u);
  for (auto& answer : remote.session.read(batch)) EXPECT_TRUE(answer);
  EXPECT_EQ(remote.session.counters().rounds, 1u);
  remote.expect({7000, 10});
  EXPECT_EQ(remote.session.counters().rounds, 2u);
}

TEST(SessionRead, WrongLengthsOfAStoreAreErrors) {
  RemoteLike remote;
  remote.store->add({.kind = Fault::Kind::kShort, .url_part = "a.nc", .times = 1, .keep = 3});
  auto answer = remote.session.read_one(remote.url, {100, 50});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kInvalidData);
  EXPECT_NE(answer.error().message.find("short read: 3 of 50 bytes"), std::string::npos)
      << answer.error().message;
  remote.expect({100, 50});  // nothing of it was kept
}

TEST(SessionRead, ErrorsAreNotCached) {
  RemoteLike remote;
  remote.store->add({.url_part = "a.nc", .times = 1});
  EXPECT_FALSE(remote.session.read_one(remote.url, {0, 5}));
  remote.expect({0, 5});
}

TEST(SessionRead, AChangeDropsWhatWasCached) {
  RemoteLike remote;
  remote.expect({0, 50});
  remote.store->add({.kind = Fault::Kind::kChange, .url_part = "a.nc"});
  auto answer = remote.session.read_one(remote.url, {500, 50});
  ASSERT_FALSE(answer);
  EXPECT_EQ(answer.error().code, Code::kChanged);
  answer = remote.session.read_one(remote.url, {0, 50});
  ASSERT_FALSE(answer) << "old bytes after a change";
  remote.session.forget(remote.url);
  remote.expect({0, 50});
}

TEST(SessionRead, ReadersAtOnceShareOneRequest) {
  RemoteLike remote;
  remote.store->add({.kind = Fault::Kind::kDelay, .url_part = "a.nc", .delay_s = 0.1});
  {
    std::vector<std::jthread> threads;
    for (uint64_t t = 0; t < 8; ++t) threads.emplace_back([&] { remote.expect({0, 100}); });
  }
  EXPECT_EQ(remote.reads(), 1u);
  EXPECT_EQ(remote.session.counters().cache_hits, 7u);
}

TEST(SessionRead, ManyThreadsWithFaults) {
  RemoteLike remote(SessionOptions{.cache_bytes = 2000});
  remote.store->add({.url_part = "a.nc", .range = {3000, 100}});
  std::atomic<int> wrong{0};
  {
    std::vector<std::jthread> threads;
    for (uint64_t t = 0; t < 6; ++t) {
      threads.emplace_back([&, t] {
        for (uint64_t k = 0; k < 200; ++k) {
          Range range{(t * 131 + k * 37) % 9000, 1 + k % 150};
          bool faulty = range.offset < 3100 && range.offset + range.length > 3000;
          auto answer = remote.session.read_one(remote.url, range);
          if (answer.has_value() == faulty) ++wrong;
          if (answer &&
              as_text(answer->span()) != remote.content.substr(range.offset, range.length)) {
            ++wrong;
          }
        }
      });
    }
  }
  EXPECT_EQ(wrong, 0);
}

TEST(BlockCache, StaysUnderItsCapAndDropsTheOldest) {
  BlockCache cache(8000);
  for (uint64_t i = 0; i < 20; ++i) {
    cache.put("u" + std::to_string(i % 3), i * 1000, SharedBytes(Bytes(900)));
    EXPECT_LE(cache.size(), 8000u);
    cache.find("u0", {0, 10});  // in use
  }
  EXPECT_TRUE(cache.find("u0", {0, 900}));
  EXPECT_FALSE(cache.find("u1", {1000, 900}));
  EXPECT_TRUE(cache.find("u1", {19'000, 900}));
  EXPECT_FALSE(cache.find("u1", {19'000, 901}));
  cache.put("u0", 0, SharedBytes(Bytes(5000)));
  EXPECT_FALSE(cache.find("u0", {0, 5000})) << "one block must not fill the cache";
  for (const char* url : {"u0", "u1", "u2"}) cache.forget(url);
  EXPECT_EQ(cache.size(), 0u);
}

TEST(BlockCache, KeepsOneOfNestedBlocks) {
  BlockCache cache(80'000);
  cache.put("u", 100, SharedBytes(Bytes(100)));
  cache.put("u", 250, SharedBytes(Bytes(50)));
  cache.put("u", 120, SharedBytes(Bytes(10)));
  EXPECT_EQ(cache.size(), 150u);
  cache.put("u", 50, SharedBytes(Bytes(300)));
  EXPECT_EQ(cache.size(), 300u);
  EXPECT_TRUE(cache.find("u", {50, 300}));
  cache.put("u", 50, SharedBytes(Bytes(400)));
  EXPECT_EQ(cache.size(), 400u);
  EXPECT_TRUE(cache.find("u", {449, 1}));
}

uint64_t bytes_below(const fs::path& directory) {
  uint64_t total = 0;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    if (entry.is_regular_file()) total += (entry.file_size() + 4095) / 4096 * 4096;
  }
  return total;
}

std::vector<fs::path> block_files(const fs::path& directory) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(directory)) {
    bool block = entry.path().filename().string().find('-') != std::string::npos;
    if (entry.is_regular_file() && block) out.push_back(entry.path());
  }
  return out;
}

TEST(DiskCache, OutlivesASession) {
  TemporaryDirectory home;
  SessionOptions options{.disk_cache = home.path()};
  RemoteLike first(options);
  first.expect({0, 100});
  first.expect({3000, 100});
  RemoteLike second(options);
  second.expect({10, 50});
  second.expect({3000, 100});
  EXPECT_EQ(second.reads(), 0u);
  EXPECT_EQ(second.session.counters().cache_hits, 2u);
  EXPECT_EQ(second.session.counters().requests, 1u) << "one stat tells the state";
}

TEST(DiskCache, MemoryAndDiskShareOneCap) {
  constexpr uint64_t kCap = 400'000;
  TemporaryDirectory home;
  RemoteLike remote(SessionOptions{.cache_bytes = kCap, .disk_cache = home.path()});
  remote.content = std::string(4 * kCap, 'u');
  remote.memory->put(remote.url, remote.content);
  uint64_t on_disk = 0;
  for (uint64_t at = 0; at + 10'000 <= remote.content.size(); at += 10'000) {
    ASSERT_TRUE(remote.session.read_one(remote.url, {at, 10'000}));
    on_disk = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(home.path()))
      if (entry.is_regular_file()) on_disk += entry.file_size();
    ASSERT_LE(on_disk, kCap - kCap / 4);
  }
  EXPECT_GT(on_disk, kCap / 4);
  // The newest range is in memory, the first is nowhere any more.
  const uint64_t reads = remote.reads();
  ASSERT_TRUE(remote.session.read_one(remote.url, {remote.content.size() - 10'000, 10'000}));
  EXPECT_EQ(remote.reads(), reads);
  ASSERT_TRUE(remote.session.read_one(remote.url, {0, 10'000}));
  EXPECT_EQ(remote.reads(), reads + 1);
}

TEST(DiskCache, AnotherStateIsAMiss) {
  TemporaryDirectory home;
  SessionOptions options{.disk_cache = home.path()};
  RemoteLike first(options);
  first.expect({0, 100});
  RemoteLike second(options);
  second.content = std::string(10'000, 'x');
  second.memory->put(second.url, second.content);
  second.expect({0, 100});
  EXPECT_EQ(second.reads(), 1u);
}

TEST(DiskCache, DamageIsAMissAndIsRemoved) {
  for (int damage = 0; damage < 3; ++damage) {
    TemporaryDirectory home;
    SessionOptions options{.disk_cache = home.path()};
    RemoteLike first(options);
    first.expect({0, 100});
    auto files = block_files(home.path());
    ASSERT_EQ(files.size(), 1u);
    if (damage == 0) fs::resize_file(files[0], fs::file_size(files[0]) - 1);
    if (damage == 1) fs::resize_file(files[0], 0);
    if (damage == 2) {
      std::fstream file(files[0], std::ios::in | std::ios::out | std::ios::binary);
      file.seekp(-5, std::ios::end);
      file.put('\x01');
    }
    RemoteLike second(options);
    second.expect({0, 100});
    EXPECT_EQ(second.reads(), 1u);
    RemoteLike third(options);
    third.expect({0, 100});
    EXPECT_EQ(third.reads(), 0u) << "a good copy took its place";
  }
}

TEST(DiskCache, ManyWritersStayUnderTheCap) {
  TemporaryDirectory home;
  constexpr uint64_t kCap = 200'000;
  ObjectInfo state{.size = 1 << 20, .etag = "\"1\"", .mtime_ns = {}};
  Bytes block(5000);
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        DiskCache cache(home.path(), kCap);  // as another process would have
        for (uint64_t k = 0; k < 60; ++k) {
          std::string url = "u" + std::to_string(k % 7);
          cache.put(url, state, k * 5000 + static_cast<uint64_t>(t), block);
          auto got = cache.find(url, state, {k * 5000 + static_cast<uint64_t>(t), 5000});
          if (got) {
            EXPECT_EQ(got->size(), 5000u);
          }
        }
      });
    }
  }
  EXPECT_LE(bytes_below(home.path()), kCap + 4096) << "with the usage file";
  EXPECT_GE(bytes_below(home.path()), kCap / 2);
}

TEST(DiskCache, ObjectsWithoutAnIdentityAreNotKept) {
  TemporaryDirectory home;
  DiskCache cache(home.path(), 1 << 20);
  Bytes block(10);
  for (const ObjectInfo& state : {ObjectInfo{10, "", {}}, ObjectInfo{10, "W/\"1\"", {}}}) {
    cache.put("u", state, 0, block);
    EXPECT_FALSE(cache.find("u", state, {0, 10}));
  }
  EXPECT_TRUE(block_files(home.path()).empty());
}

TEST(DiskCache, AnUnwritableDirectoryDoesNotFailReads) {
  RemoteLike remote(SessionOptions{.disk_cache = "/proc/none/of/this"});
  remote.expect({0, 100});
  remote.expect({500, 100});
}

TEST(FaultStore, FollowsItsScript) {
  auto memory = std::make_shared<MemoryStore>();
  memory->put("memory://a", "0123456789");
  FaultStore store(memory);
  store.add({.url_part = "a",
             .range = {5, 2},
             .after = 1,
             .times = 2,
             .error = {Code::kPermissionDenied, "no", {}, {}}});
  ReadRequest hit{"memory://a", {4, 2}};
  ReadRequest miss{"memory://a", {0, 5}};
  auto code_of = [&](const ReadRequest& r) -> std::optional<Code> {
    auto answer = std::move(store.read({&r, 1}).front());
    if (answer) return {};
    return answer.error().code;
  };
  EXPECT_FALSE(code_of(miss));
  EXPECT_FALSE(code_of(hit));
  EXPECT_EQ(code_of(hit), Code::kPermissionDenied);
  EXPECT_FALSE(code_of(miss));
  EXPECT_EQ(code_of(hit), Code::kPermissionDenied);
  EXPECT_FALSE(code_of(hit));
  EXPECT_EQ(store.seen().size(), 6u);

  store.clear();
  store.add({.kind = Fault::Kind::kFlip, .url_part = "a", .keep = 1});
  auto answer = std::move(store.read({&miss, 1}).front());
  ASSERT_TRUE(answer);
  EXPECT_EQ(as_text(answer->span()), "00234");
  store.clear();
  store.add({.kind = Fault::Kind::kError, .url_part = "a", .reads = false, .stats = true});
  EXPECT_FALSE(store.stat("memory://a"));
  EXPECT_FALSE(code_of(miss));
}

}  // namespace
}  // namespace upwell::io
