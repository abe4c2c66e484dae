#include "cube/fetch.hpp"

#include <gtest/gtest.h>

#include <map>
#include <mutex>
#include <new>
#include <thread>

#include "base/parallel.hpp"
#include "io/memory_store.hpp"

namespace upwell {
namespace {

constexpr uint64_t kChunk = 1000;

/// Far away: answers are told of one by one, in an order of its own, some of them not.
class FarStore : public io::MemoryStore {
 public:
  io::StoreTraits traits() const override {
    io::StoreTraits line;
    line.latency_s = line.round_trip_s = 0.01;
    line.bytes_per_s = 1e7;
    line.coalesce_gap = 0;
    line.max_request = kChunk;
    return line;
  }
  std::vector<Result<SharedBytes>> read_and_tell(std::span<const io::ReadRequest> requests,
                                                 const io::Arrived& arrived) override {
    largest = std::max(largest, requests.size());
    auto answers = read(requests);
    for (size_t i = requests.size(); i-- > 0;)
      if (answers[i] && i % 5 != 0) arrived(i, *answers[i]);
    return answers;
  }
  size_t largest = 0;
};

/// One granule, of which byte i of chunk c is c + i; every seventh chunk was never written.
struct Far {
  std::shared_ptr<FarStore> store = std::make_shared<FarStore>();
  io::Session session;
  Dataset dataset;
  Array array;
  Segment segment;
  std::vector<ChunkTask> tasks;
  ReadOptions options;

  explicit Far(size_t chunks) {
    session.mount("memory", store);
    array.name = "v";
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = DataType::integer(1);
    layout->chunk_shape = {kChunk};
    segment.layout = layout;
    const uint32_t granule = dataset.granules->intern("memory://granule");
    Bytes object(chunks * kChunk);
    for (uint64_t c = 0; c < chunks; ++c) {
      for (uint64_t i = 0; i < kChunk; ++i) object[c * kChunk + i] = static_cast<uint8_t>(c + i);
      ChunkTask task;
      task.segment = &segment;
      task.chunk = {c};
      if (c % 7 != 0) {
        task.ref.state = ChunkRef::State::kStored;
        task.ref.granule = granule;
        task.ref.offset = c * kChunk;
        task.ref.length = kChunk;
      }
      tasks.push_back(task);
    }
    store->put("memory://granule", object);
  }

  Result<> fetch(const StoredChunkSink& sink, bool in_order = false) {
    auto range = [](const ChunkTask& t) { return io::Range{t.ref.offset, t.ref.length}; };
    return fetch_chunks(session, dataset, array, tasks, range, options, sink, in_order);
  }
};

void expect_chunk(const ChunkTask& task, ByteSpan stored) {
  const uint64_t c = task.chunk[0];
  ASSERT_EQ(stored.size(), c % 7 == 0 ? 0 : kChunk);
  for (uint64_t i = 0; i < stored.size(); ++i)
    ASSERT_EQ(stored[i], static_cast<uint8_t>(c + i)) << c << " at " << i;
}

TEST(Fetch, EveryChunkComesOnceInBatchesThatFitTheBudget) {
  Far far(500);
  far.options.memory_budget = 60 * kChunk;
  std::mutex mutex;
  std::map<uint64_t, int> seen;
  auto done = far.fetch([&](const ChunkTask& task, ByteSpan stored) -> Result<> {
    expect_chunk(task, stored);
    std::lock_guard lock(mutex);
    ++seen[task.chunk[0]];
    return {};
  });
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(seen.size(), 500u);
  for (const auto& [chunk, times] : seen) EXPECT_EQ(times, 1) << chunk;
  EXPECT_LE(far.store->largest, 20u);
}

TEST(Fetch, InOrderComesOneAfterTheOtherOnThisThread) {
  Far far(200);
  far.options.memory_budget = 20 * kChunk;
  uint64_t next = 0;
  auto done = far.fetch(
      [&](const ChunkTask& task, ByteSpan stored) -> Result<> {
        EXPECT_EQ(task.chunk[0], next++);
        expect_chunk(task, stored);
        return {};
      },
      /*in_order=*/true);
  ASSERT_TRUE(done) << done.error().to_string();
  EXPECT_EQ(next, 200u);
}

TEST(Fetch, AChunkLargerThanTheBudgetGoesAlone) {
  Far far(30);
  far.options.memory_budget = 10;
  auto done = far.fetch([](const ChunkTask& task, ByteSpan stored) -> Result<> {
    expect_chunk(task, stored);
    return {};
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(far.store->largest, 1u);
}

TEST(Fetch, AnErrorNamesChunkAndGranuleAndEndsTheRest) {
  for (const bool in_order : {false, true}) {
    Far far(300);
    far.options.memory_budget = 20 * kChunk;
    far.tasks[150].ref.offset = 1 << 20;  // beyond the end
    auto done = far.fetch([](const ChunkTask&, ByteSpan) -> Result<> { return {}; }, in_order);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::kInvalidData);
    const std::string text = done.error().to_string();
    EXPECT_NE(text.find("chunk 150 of v"), std::string::npos) << text;
    EXPECT_NE(text.find("memory://granule"), std::string::npos) << text;
  }
}

TEST(Fetch, WhatTheSinkThrowsIsAnErrorAndNothingWaitsForEver) {
  for (const bool in_order : {false, true}) {
    Far far(300);
    far.options.memory_budget = 10;
    auto done = far.fetch(
        [](const ChunkTask& task, ByteSpan) -> Result<> {
          if (task.chunk[0] == 9) throw std::bad_alloc();
          return {};
        },
        in_order);
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().code, Code::kResourceExhausted);
  }
}

TEST(Fetch, NoMoreCoresThanAreAllowed) {
  const CoreLimit limit(1);
  EXPECT_EQ(core_count(), 1u);
  Far far(50);
  std::mutex mutex;
  std::map<std::thread::id, int> threads;
  auto done = far.fetch([&](const ChunkTask&, ByteSpan) -> Result<> {
    std::lock_guard lock(mutex);
    ++threads[std::this_thread::get_id()];
    return {};
  });
  EXPECT_TRUE(done);
  EXPECT_EQ(threads.size(), 1u);
}

}  // namespace
}  // namespace upwell
