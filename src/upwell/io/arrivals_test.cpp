#include "io/arrivals.hpp"

#include <gtest/gtest.h>

#include <string>
#include <utility>

#include "io/memory_store.hpp"
#include "io/session.hpp"

namespace upwell::io {
namespace {

const std::string kLetters = "abcdefghijklmnopqrstuvwxyz";

SharedBytes part(size_t from, size_t to) {
  return SharedBytes(Bytes(kLetters.begin() + from, kLetters.begin() + to));
}

struct Told {
  std::vector<std::pair<size_t, std::string>> list;
  Arrived arrived = [this](size_t i, const SharedBytes& bytes) {
    list.emplace_back(i, as_text(bytes.span()));
  };
};

using Expected = std::vector<std::pair<size_t, std::string>>;

TEST(Arrivals, MembersAreToldOfOnceTheirPartsAreThere) {
  const std::vector<ReadRequest> asked{
      {"u", {0, 4}}, {"u", {2, 6}}, {"u", {10, 3}}, {"u", {20, 6}}, {"u", {13, kToEnd}}};
  const std::vector<Fetch> fetches{{{"u", {0, 13}}, {0, 1, 2}}, {{"u", {13, kToEnd}}, {4, 3}}};
  Told told;
  Arrivals arrivals(asked, fetches, told.arrived);
  arrivals.take(0, 5, part(5, 9));
  EXPECT_EQ(told.list, Expected{});
  arrivals.take(0, 0, part(0, 5));
  EXPECT_EQ(told.list, (Expected{{0, "abcd"}, {1, "cdefgh"}}));
  arrivals.take(0, 9, part(9, 13));
  EXPECT_EQ(told.list.back(), std::pair(size_t{2}, std::string("klm")));
  arrivals.take(1, 13, part(13, 26));
  EXPECT_EQ(told.list.back(), std::pair(size_t{3}, std::string("uvwxyz")));
  EXPECT_EQ(told.list.size(), 4u);  // not of what has no end
}

TEST(Arrivals, AMemberMayNeedManyParts) {
  const std::vector<ReadRequest> asked{{"u", {1, 24}}};
  const std::vector<Fetch> fetches{{{"u", {0, 26}}, {0}}};
  Told told;
  Arrivals arrivals(asked, fetches, told.arrived);
  for (const size_t at : {20, 0, 15, 5}) arrivals.take(0, at, part(at, at + 5));
  EXPECT_EQ(told.list, Expected{});
  arrivals.take(0, 10, part(10, 15));
  EXPECT_EQ(told.list, (Expected{{0, kLetters.substr(1, 24)}}));
}

/// A store far away: what lies near each other is asked for together, and large ranges in parts.
class FarStore : public MemoryStore {
 public:
  StoreTraits traits() const override {
    StoreTraits line;
    line.latency_s = line.round_trip_s = 0.1;
    line.bytes_per_s = 1e8;
    line.ready = 8;
    return line;
  }
  std::vector<Result<SharedBytes>> read_and_tell(std::span<const ReadRequest> requests,
                                                 const Arrived& arrived) override {
    auto answers = read(requests);
    asked = requests.size();
    if (breaks) answers.front() = fail(Code::kInvalidData, "broken");
    for (size_t i = requests.size(); i-- > 0;)
      if (answers[i] && i != silent) arrived(i, *answers[i]);
    return answers;
  }
  std::vector<Result<SharedBytes>> read(std::span<const ReadRequest> requests) override {
    for (const ReadRequest& request : requests) bytes += request.range.length;
    return MemoryStore::read(requests);
  }
  size_t asked = 0;
  size_t silent = 1;
  bool breaks = false;  // the first part of a batch
  uint64_t bytes = 0;
};

class CachedFarStore : public FarStore {
 public:
  StoreTraits traits() const override {
    StoreTraits line = FarStore::traits();
    line.worth_caching = true;
    return line;
  }
};

TEST(Arrivals, ASessionTellsOfWhatIsReadTogetherAndInParts) {
  std::string content(1 << 20, '\0');
  for (size_t i = 0; i < content.size(); ++i) content[i] = static_cast<char>(i * 7 + (i >> 8));
  auto store = std::make_shared<FarStore>();
  store->put("memory://o", Bytes(content.begin(), content.end()));
  Session session;
  session.mount("memory", store);
  std::vector<ReadRequest> requests;
  for (uint64_t at = 0; at < content.size(); at += 65536)
    requests.push_back({"memory://o", {at, 60000}});
  requests.push_back({"memory://o", {content.size(), 10}});
  Told told;
  const auto answers = session.read(requests, told.arrived);
  EXPECT_GT(store->asked, 2u);
  EXPECT_LT(store->asked, requests.size());
  EXPECT_GT(told.list.size(), requests.size() / 2);
  EXPECT_LT(told.list.size(), requests.size() - 1);
  std::vector<bool> once(requests.size());
  for (const auto& [i, text] : told.list) {
    EXPECT_FALSE(once[i]);
    once[i] = true;
    ASSERT_TRUE(answers[i]);
    EXPECT_TRUE(as_text(answers[i]->span()) == text) << i;
    EXPECT_TRUE(content.compare(requests[i].range.offset, 60000, text) == 0) << i;
  }
  EXPECT_FALSE(answers.back());
  told.list.clear();
  EXPECT_TRUE(session.read(std::span(requests).first(1), told.arrived).front());  // kept
  EXPECT_EQ(told.list.size(), 0u);
}

TEST(Arrivals, WhatHasComeIsNotReadAgainWhereItsNeighbourFails) {
  auto store = std::make_shared<CachedFarStore>();
  store->put("memory://o", Bytes(1 << 20, 'x'));
  store->breaks = true;
  store->silent = SIZE_MAX;
  Session session;
  session.mount("memory", store);
  std::vector<ReadRequest> requests;
  for (uint64_t at = 0; at < 1 << 20; at += 1 << 12)
    requests.push_back({"memory://o", {at, 1 << 12}});
  Told told;
  const auto answers = session.read(requests, told.arrived);
  EXPECT_GT(store->asked, 2u);
  EXPECT_GT(told.list.size(), requests.size() / 2);
  for (const auto& answer : answers) EXPECT_TRUE(answer);
  // Of each part no more than the member that goes on in the next.
  const uint64_t first = (1 << 20) / store->asked + 1;
  EXPECT_LE(store->bytes, (1 << 20) + first + (store->asked + 1) * (1 << 12));
}

}  // namespace
}  // namespace upwell::io
