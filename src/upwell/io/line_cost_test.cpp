// The cost model: what is learned from answers, and what requests come of it.

#include "io/line_cost.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "io/http_store.hpp"
#include "io/ranges.hpp"
#include "io/session.hpp"
#include "io/test_servers.hpp"

namespace upwell::io {
namespace {

constexpr double kUsualLatency = 0.03, kUsualRate = 50e6;

TEST(SlowStart, DoublesInEachTurn) {
  EXPECT_EQ(slow_start_turns(0), 0);
  EXPECT_EQ(slow_start_turns(kFirstFlight), 0);
  EXPECT_NEAR(slow_start_turns(3 * kFirstFlight), 1, 1e-9);  // 1 + 2 flights
  EXPECT_NEAR(slow_start_turns(7 * kFirstFlight), 2, 1e-9);  // 1 + 2 + 4
}

TEST(LineEstimate, FollowsALowQuantileOfTheLatency) {
  LineEstimate line(kUsualLatency, kUsualLatency, kUsualRate);
  EXPECT_EQ(line.latency_s(), kUsualLatency);
  line.add({.first_byte_s = 0.002, .bytes = 500});
  EXPECT_EQ(line.latency_s(), 0.002);
  // A server that is busy now and then does not make the line longer.
  for (int i = 0; i < 40; ++i) line.add({.first_byte_s = i % 3 == 0 ? 0.002 : 0.5, .bytes = 500});
  EXPECT_EQ(line.latency_s(), 0.002);
  // Another line does.
  for (int i = 0; i < 16; ++i) line.add({.first_byte_s = 0.1, .bytes = 500});
  EXPECT_EQ(line.latency_s(), 0.1);
  // Large answers may wait for a disk first; nothing comes of nothing.
  line.add({.first_byte_s = 0.001, .body_s = 0, .bytes = 10 << 20, .arrived = 10 << 20});
  for (int i = 0; i < 16; ++i) line.add({});
  EXPECT_EQ(line.latency_s(), 0.1);
}

TEST(LineEstimate, TellsTheWayFromTheServer) {
  LineEstimate line(kUsualLatency, kUsualLatency, kUsualRate);
  line.add({.first_byte_s = 0.5, .handshake_s = 0.001, .bytes = 500});
  line.add({.first_byte_s = 0.5, .bytes = 500});
  EXPECT_EQ(line.latency_s(), 0.5);
  EXPECT_EQ(line.round_trip_s(), 0.001);
}

TEST(LineEstimate, FollowsTheRateOfLargeAnswers) {
  LineEstimate line(kUsualLatency, kUsualLatency, kUsualRate);
  for (int i = 0; i < 16; ++i) line.add({.first_byte_s = 0.04, .handshake_s = 0.04, .bytes = 500});
  EXPECT_EQ(line.bytes_per_s(), kUsualRate) << "small answers tell nothing of it";
  // Ten megabytes in a second, of which slow start took most of the first 0.4.
  const uint64_t size = 10'000'000;
  const double seconds = slow_start_turns(size) * 0.04 + size / 12.5e6;
  for (int i = 0; i < 30; ++i)
    line.add({.first_byte_s = 0.04, .body_s = seconds, .bytes = size, .arrived = size});
  EXPECT_NEAR(line.bytes_per_s(), 12.5e6, 0.1e6);
  // Four at once share the line: each is a fourth of it.
  for (int i = 0; i < 30; ++i)
    line.add({.first_byte_s = 0.04, .body_s = seconds, .bytes = size, .arrived = 4 * size});
  EXPECT_NEAR(line.bytes_per_s(), 50e6, 0.5e6);
  // What did come in a time is believed at once.
  line.add({.first_byte_s = 0.04, .body_s = 0.1, .bytes = size, .arrived = size});
  EXPECT_GE(line.bytes_per_s(), 100e6);
  // An answer whose time slow start explains says nothing against a good line.
  line.add({.first_byte_s = 0.04, .body_s = 0.16, .bytes = 262'144, .arrived = 262'144});
  EXPECT_GE(line.bytes_per_s(), 100e6);
  // Nonsense stays within limits.
  line.add({.first_byte_s = 0.04, .body_s = 1e-9, .bytes = size, .arrived = size});
  EXPECT_LE(line.bytes_per_s(), 2e9);
  for (int i = 0; i < 100; ++i)
    line.add({.first_byte_s = 1e9, .body_s = 1e9, .bytes = size, .arrived = size});
  EXPECT_GE(line.bytes_per_s(), 1e6);
}

TEST(LineBook, KnowsEachHostByItself) {
  const StoreTraits usual{.latency_s = kUsualLatency,
                          .bytes_per_s = kUsualRate,
                          .max_request = 8 << 20,
                          .parallelism = 48};
  LineBook book;
  book.add("https://near", usual, {.first_byte_s = 0.0005, .bytes = 100});
  book.add("https://far", usual, {.first_byte_s = 0.2, .bytes = 100});
  EXPECT_EQ(book.traits("https://near", usual).latency_s, 0.0005);
  EXPECT_EQ(book.traits("https://far", usual).latency_s, 0.2);
  EXPECT_EQ(book.traits("https://other", usual).latency_s, kUsualLatency);
  // The widest gap is what passes in one latency, within limits.
  EXPECT_EQ(book.traits("https://near", usual).coalesce_gap, 25'000u);
  EXPECT_EQ(book.traits("https://far", usual).coalesce_gap, 1u << 20);
  EXPECT_EQ(book.traits("https://near", usual).max_request, usual.max_request);
}

std::vector<ReadRequest> every(uint64_t step, size_t n, uint64_t length) {
  std::vector<ReadRequest> out;
  for (uint64_t i = 0; i < n; ++i) out.push_back({"https://h/a", {i * step, length}});
  return out;
}

struct Planned {
  size_t requests = 0;
  uint64_t bytes = 0;
};

Planned planned(const std::vector<ReadRequest>& wanted, const StoreTraits& line) {
  std::vector<size_t> which(wanted.size());
  for (size_t i = 0; i < which.size(); ++i) which[i] = i;
  Planned out;
  for (const Fetch& f : coalesce(wanted, which, line)) {
    ++out.requests;
    out.bytes += f.request.range.length;
  }
  return out;
}

TEST(LineCost, FarLinesGetFewerRequestsAndNearOnesFewerBytes) {
  const StoreTraits usual{.latency_s = kUsualLatency,
                          .bytes_per_s = kUsualRate,
                          .max_request = 8 << 20,
                          .parallelism = 48};
  LineBook book;
  book.add("near", usual, {.first_byte_s = 0.001, .bytes = 100});
  book.add("far", usual, {.first_byte_s = 0.2, .bytes = 100});
  const auto wanted = every(20'000, 500, 1000);
  const Planned near = planned(wanted, book.traits("near", usual));
  const Planned far = planned(wanted, book.traits("far", usual));
  EXPECT_EQ(near.requests, 500u);
  EXPECT_EQ(near.bytes, 500'000u);
  EXPECT_LE(far.requests, 48u);
  EXPECT_GT(far.bytes, near.bytes);
}

TEST(Parts, LargeRangesTakeSeveralConnections) {
  const StoreTraits far{.latency_s = 0.04,
                        .round_trip_s = 0.04,
                        .bytes_per_s = 50e6,
                        .max_request = 8 << 20,
                        .parallelism = 48,
                        .ready = 24};
  // Alone, two megabytes take seven turns of slow start.
  const std::vector<ReadRequest> one{{"u", {1000, 2 << 20}}};
  const uint64_t part = part_size(one, far);
  ASSERT_LT(part, 2U << 20);
  EXPECT_LT(batch_seconds((2 << 20) / part, 2 << 20, part, far),
            0.6 * batch_seconds(1, 2 << 20, 2 << 20, far));
  EXPECT_GE(part, (2U << 20) / 24) << "as many as there are connections for";
  // Where there is one for each part, no answer waits for an acknowledgement.
  EXPECT_EQ(part_size(every(1'000'000, 3, 80'000), far), kFirstFlight);
  // As many as can be in flight are not cut further, nor is what is near, or small.
  EXPECT_EQ(part_size(every(100'000, 480, 40'000), far), kToEnd);
  EXPECT_EQ(part_size(every(100'000, 3, 10'000), far), kToEnd);
  StoreTraits near = far;
  // A near server that takes its time is not made faster by more requests.
  near.round_trip_s = 50e-6;
  EXPECT_EQ(part_size(one, near), kToEnd);
  near.round_trip_s = 0;
  EXPECT_EQ(part_size(one, near), kToEnd);
  // A claim is no reason to make requests without number.
  const std::vector<ReadRequest> absurd{{"u", {0, kToEnd / 2}}, {"u", {}}};
  EXPECT_EQ(part_size(absurd, far), kToEnd);
  const auto uncut = in_parts(absurd, 32 << 10);
  ASSERT_EQ(uncut.size(), 2u);
  EXPECT_EQ(uncut[0].range, absurd[0].range);
  EXPECT_EQ(uncut[1].range, absurd[1].range);
}

TEST(Parts, JoinedAreWhatWasAskedFor) {
  std::mt19937 random(7);
  for (int round = 0; round < 200; ++round) {
    std::vector<ReadRequest> wanted;
    for (size_t i = 0; i < 1 + random() % 5; ++i)
      wanted.push_back({"u", {random() % 1000, random() % 4000}});
    const uint64_t part = 1 + random() % 1500;
    const auto parts = in_parts(wanted, part);
    std::vector<Result<SharedBytes>> answers;
    for (const ReadRequest& r : parts) {
      ASSERT_LE(r.range.length, std::max<uint64_t>(part, 0));
      Bytes bytes;
      for (uint64_t k = 0; k < r.range.length; ++k)
        bytes.push_back(static_cast<uint8_t>((r.range.offset + k) * 31 >> 3));
      answers.push_back(SharedBytes(std::move(bytes)));
    }
    const auto whole = joined(wanted, part, std::move(answers));
    ASSERT_EQ(whole.size(), wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      ASSERT_EQ(whole[i]->size(), wanted[i].range.length);
      for (uint64_t k = 0; k < whole[i]->size(); ++k)
        ASSERT_EQ(whole[i]->span()[k],
                  static_cast<uint8_t>((wanted[i].range.offset + k) * 31 >> 3));
    }
  }
}

TEST(Parts, OneThatFailsFailsItsWholeAlone) {
  const std::vector<ReadRequest> wanted{{"u", {0, 20}}, {"u", {100, 20}}};
  std::vector<Result<SharedBytes>> answers;
  answers.push_back(SharedBytes(Bytes(10)));
  answers.push_back(fail(Code::kUnavailable, "cut"));
  answers.push_back(SharedBytes(Bytes(10)));
  answers.push_back(SharedBytes(Bytes(10)));
  const auto whole = joined(wanted, 10, std::move(answers));
  ASSERT_FALSE(whole[0]);
  EXPECT_EQ(whole[0].error().code, Code::kUnavailable);
  ASSERT_TRUE(whole[1]);
  EXPECT_EQ(whole[1]->size(), 20u);
}

/// What 200 ranges of a 12 MB object take from a server that answers after a while.
struct Measured {
  size_t requests = 0;
  uint64_t bytes = 0;
};

Measured measured(std::chrono::milliseconds wait, const std::string& object) {
  RawServer server([&](const SeenRequest& r, size_t) {
    std::this_thread::sleep_for(wait);
    const std::string range = r.header("range");
    const size_t first = std::stoul(range.substr(6));
    const size_t last = std::stoul(range.substr(range.find('-') + 1));
    return RawAnswer{
        http_answer(206,
                    "ETag: \"1\"\r\nContent-Range: bytes " + std::to_string(first) + "-" +
                        std::to_string(last) + "/" + std::to_string(object.size()) + "\r\n",
                    object.substr(first, last - first + 1)),
        0, true};
  });
  SessionOptions options;
  options.parallelism_per_host = 8;
  Session session(options);
  const std::string url = server.url() + "a.nc";
  EXPECT_TRUE(session.front(url, 100));
  for (uint64_t i = 0; i < 8; ++i) EXPECT_TRUE(session.read_one(url, {5'000'000 + i * 50'000, 10}));
  const Counters before = session.counters();
  std::vector<ReadRequest> wanted;
  for (uint64_t i = 0; i < 200; ++i) wanted.push_back({url, {i * 60'000 + 200, 1000}});
  auto answers = session.read(wanted);
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (!answers[i]) {
      ADD_FAILURE() << answers[i].error().to_string();
      continue;
    }
    EXPECT_EQ(as_text(answers[i]->span()), object.substr(wanted[i].range.offset, 1000));
  }
  const Counters after = session.counters();
  return {after.requests - before.requests, after.bytes_fetched - before.bytes_fetched};
}

TEST(LineCost, IsMeasuredOnTheServer) {
  std::string object;
  object.resize(12'100'000);
  uint32_t x = 1;
  for (char& c : object) c = static_cast<char>((x = x * 1664525u + 1013904223u) >> 24);
  const Measured near = measured(std::chrono::milliseconds(0), object);
  const Measured far = measured(std::chrono::milliseconds(80), object);
  EXPECT_LT(far.requests, near.requests);
  EXPECT_LT(near.bytes, far.bytes);
  EXPECT_LE(far.requests, 60u);
}

}  // namespace
}  // namespace upwell::io
