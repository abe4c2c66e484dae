// What is kept of scans: only what may be, only what is whole, and never another state's.

#include "io/index_cache.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <random>
#include <thread>

#include "io/fault_store.hpp"
#include "io/first_seen.hpp"
#include "io/http_message.hpp"
#include "io/memory_store.hpp"
#include "io/session.hpp"
#include "io/test_servers.hpp"

namespace upwell::io {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kNow = 1'800'000'000'000'000'000;

Extent extent(uint64_t offset, const std::string& text) {
  return {offset, SharedBytes(to_bytes(as_bytes(text)))};
}

std::string shown(const std::vector<Extent>& extents) {
  std::string out;
  for (const Extent& e : extents)
    out += std::to_string(e.offset) + ":" + std::string(as_text(e.bytes.span())) + " ";
  return out;
}

ObjectInfo state_of(uint64_t size, const std::string& etag = "\"1\"") {
  return {.size = size, .etag = etag, .mtime_ns = kNow, .settled = true};
}

std::vector<fs::path> kept_files(const fs::path& below) {
  std::vector<fs::path> out;
  for (const auto& entry : fs::recursive_directory_iterator(below))
    if (entry.is_regular_file() && entry.path().filename() != "usage") out.push_back(entry.path());
  return out;
}

TEST(Extents, AreUnited) {
  EXPECT_EQ(shown(united({})), "");
  EXPECT_EQ(shown(united({extent(10, "klm"), extent(0, "abc")})), "0:abc 10:klm ");
  EXPECT_EQ(shown(united({extent(3, "def"), extent(0, "abc"), extent(7, "h")})), "0:abcdef 7:h ");
  EXPECT_EQ(shown(united({extent(0, "abcdef"), extent(2, "cd"), extent(4, "efgh"), extent(9, "")})),
            "0:abcdefgh ");
  EXPECT_EQ(shown(united({extent(1, "bc"), extent(1, "bcde")})), "1:bcde ");
}

TEST(IndexDocument, ComesBackAsItWas) {
  const std::vector<Extent> extents{extent(0, "head"), extent(100, "tail")};
  const Bytes document = index_document(extents);
  auto back = parse_index_document(SharedBytes(Bytes(document)), 104);
  ASSERT_TRUE(back) << back.error().to_string();
  EXPECT_EQ(shown(*back), "0:head 100:tail ");
  EXPECT_FALSE(parse_index_document(SharedBytes(Bytes(document)), 103)) << "beyond the object";
  for (size_t n = 0; n < document.size(); ++n)
    EXPECT_FALSE(parse_index_document(
        SharedBytes(Bytes(document.begin(), document.begin() + static_cast<std::ptrdiff_t>(n))),
        104))
        << n;
  Bytes longer = document;
  longer.push_back(0);
  EXPECT_FALSE(parse_index_document(SharedBytes(std::move(longer)), 104));
  const std::vector<Extent> wrong{extent(100, "tail"), extent(0, "head")};
  EXPECT_FALSE(parse_index_document(SharedBytes(index_document(wrong)), 104));
}

TEST(IndexDocument, OfRandomBytesIsRefusedOrSound) {
  std::mt19937 random(3);
  const Bytes good = index_document({extent(0, "head"), extent(100, "tail"), extent(200, "end")});
  for (int round = 0; round < 20'000; ++round) {
    Bytes bytes = good;
    for (size_t k = 0; k < 1 + random() % 4; ++k)
      bytes[random() % bytes.size()] = static_cast<uint8_t>(random());
    auto extents = parse_index_document(SharedBytes(std::move(bytes)), 1000);
    if (!extents) continue;
    uint64_t end = 0;
    for (const Extent& e : *extents) {
      ASSERT_TRUE(end == 0 || e.offset > end);
      end = e.offset + e.bytes.size();
      ASSERT_LE(end, 1000u);
    }
  }
}

TEST(IndexCache, KeepsOnlyWhatMayBeKept) {
  auto may = [](const std::string& url, const ObjectInfo& state) {
    return IndexCache::may_keep(url, state);
  };
  EXPECT_TRUE(may("https://h/a.nc", state_of(100)));
  EXPECT_TRUE(may("s3://b/a@b.nc", state_of(100)));
  EXPECT_FALSE(may("https://me:word@h/a.nc", state_of(100)));
  EXPECT_FALSE(may("https://me@h", state_of(100)));
  EXPECT_FALSE(may("https://h/a.nc?X-Amz-Signature=1", state_of(100)));
  EXPECT_FALSE(may("/data/a.nc", state_of(100)));
  EXPECT_FALSE(may("https://h/a.nc", state_of(100, "W/\"1\"")));
  EXPECT_FALSE(may("https://h/a.nc", state_of(100, "")));
  EXPECT_FALSE(may("https://h/a.nc", state_of(0)));
  ObjectInfo fresh = state_of(100);
  fresh.settled = false;
  EXPECT_FALSE(may("https://h/a.nc", fresh)) << "its ETag may be of this very second";
}

TEST(IndexCache, AStateIsSettledByTheClockOfTheServerWhenItIsFirstSeen) {
  auto state = [](const std::vector<std::string>& lines) {
    ResponseHead head;
    head.take_line("HTTP/1.1 200 OK");
    head.take_line("ETag: \"1\"");
    for (const std::string& line : lines) head.take_line(line);
    return object_info(head, 100);
  };
  const std::string modified = "Last-Modified: Wed, 21 Oct 2015 07:28:00 GMT";
  const ObjectInfo fresh = state({modified, "Date: Wed, 21 Oct 2015 07:28:02 GMT"});
  const ObjectInfo later = state({modified, "Date: Wed, 21 Oct 2015 07:28:10 GMT"});
  EXPECT_FALSE(fresh.settled);
  EXPECT_TRUE(later.settled);
  EXPECT_TRUE(state({modified}).settled) << "by the clock of this machine";
  EXPECT_FALSE(state({"Date: Wed, 21 Oct 2015 07:28:10 GMT"}).settled);
  EXPECT_EQ(fresh, later) << "the same state";
  FirstSeen seen;
  ASSERT_TRUE(seen.check("u", fresh));
  ASSERT_TRUE(seen.check("u", later));
  EXPECT_FALSE(seen.find("u")->settled) << "what was read before may be of another state";
  seen.expect("recorded", fresh);
  ASSERT_TRUE(seen.check("recorded", later));
  EXPECT_TRUE(seen.find("recorded")->settled) << "nothing was read before";
}

TEST(IndexCache, GivesBackWhatIsOfTheSameState) {
  TemporaryDirectory home;
  const fs::path place = home.path() / "new/index";
  IndexCache cache(place, 1 << 20);
  const std::string url = "https://h/a.nc";
  cache.put("", url, state_of(1000), {extent(100, "tail"), extent(0, "head")});
  EXPECT_EQ(shown(cache.find("", url, state_of(1000))), "0:head 100:tail ");
  EXPECT_EQ(shown(IndexCache(place, 1 << 20).find("", url, state_of(1000))), "0:head 100:tail ");
  EXPECT_TRUE(cache.find("", url, state_of(1000, "\"2\"")).empty());
  EXPECT_TRUE(cache.find("", url, state_of(1001)).empty());
  EXPECT_TRUE(cache.find("", "https://h/b.nc", state_of(1000)).empty());
  EXPECT_TRUE(cache.find("elsewhere ", url, state_of(1000)).empty());
  // The next is in its place, also where another process has written it.
  IndexCache(place, 1 << 20)
      .put("", url, state_of(1000), {extent(0, "head"), extent(100, "tail and more")});
  EXPECT_EQ(kept_files(place).size(), 1u);
  EXPECT_EQ(shown(IndexCache(place, 1 << 20).find("", url, state_of(1000))),
            "0:head 100:tail and more ");
  struct stat s;
  ASSERT_EQ(::stat(place.c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777U, 0700U);
  ASSERT_EQ(::stat(kept_files(place)[0].c_str(), &s), 0);
  EXPECT_EQ(s.st_mode & 0777U, 0600U);
}

TEST(IndexCache, DamageIsAMiss) {
  TemporaryDirectory home;
  const std::string url = "https://h/a.nc";
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    IndexCache(home.path(), 1 << 20)
        .put("", url, state_of(1000), {extent(0, "head"), extent(100, "tail")});
    const auto files = kept_files(home.path());
    ASSERT_EQ(files.size(), 1u);
    const uint64_t size = fs::file_size(files[0]);
    if (round % 3 == 0) {
      fs::resize_file(files[0], random() % size);
    } else if (round % 3 == 1) {
      std::ofstream(files[0], std::ios::app) << "more";
    } else {
      std::fstream file(files[0], std::ios::in | std::ios::out | std::ios::binary);
      const auto at = static_cast<std::streamoff>(random() % size);
      file.seekg(at);
      const int old = file.get();
      file.seekp(at);
      file.put(static_cast<char>(old ^ (1 << random() % 8)));
    }
    EXPECT_TRUE(IndexCache(home.path(), 1 << 20).find("", url, state_of(1000)).empty()) << round;
  }
}

TEST(IndexCache, StaysUnderItsCapWithManyWriters) {
  TemporaryDirectory home;
  constexpr uint64_t kCap = 300'000;
  {
    std::vector<std::jthread> threads;
    for (int t = 0; t < 4; ++t) {
      threads.emplace_back([&, t] {
        IndexCache cache(home.path(), kCap);
        for (int k = 0; k < 40; ++k) {
          const std::string url = "https://h/" + std::to_string((k + t) % 50);
          cache.put("", url, state_of(100'000), {extent(7, std::string(10'000, 'x'))});
          auto back = cache.find("", url, state_of(100'000));
          for (const Extent& e : back) EXPECT_EQ(e.bytes.size(), 10'000u);
        }
      });
    }
  }
  uint64_t bytes = 0;
  for (const fs::path& file : kept_files(home.path())) bytes += fs::file_size(file);
  EXPECT_LE(bytes, kCap);
  EXPECT_GT(bytes, kCap / 4);
}

TEST(IndexCache, WhatIsKnownIsAHitForReads) {
  TemporaryDirectory home;
  auto memory = std::make_shared<MemoryStore>();
  memory->put("memory://h/a.nc", "0123456789");
  auto store = std::make_shared<FaultStore>(memory);
  store->set_traits({.parallelism = 4, .worth_caching = true});
  auto stated = store->stat("memory://h/a.nc");
  ASSERT_TRUE(stated);
  const ObjectInfo state = *stated;
  auto session_with = [&](const fs::path& directory) {
    auto session = std::make_unique<Session>(SessionOptions{.index_cache = directory});
    session->mount("memory", store);
    return session;
  };
  auto first = session_with(home.path());
  EXPECT_TRUE(first->known_index("memory://h/a.nc", state).empty());
  first->keep_index("memory://h/a.nc", state, {extent(0, "0123"), extent(6, "67")});
  auto second = session_with(home.path());
  EXPECT_EQ(shown(second->known_index("memory://h/a.nc", state)), "0:0123 6:67 ");
  ASSERT_TRUE(second->read_one("memory://h/a.nc", {1, 2}));
  EXPECT_EQ(store->seen().size(), 0u);
  second->read_without_index();
  EXPECT_TRUE(second->known_index("memory://h/a.nc", state).empty());
  auto none = session_with({});
  EXPECT_TRUE(none->known_index("memory://h/a.nc", state).empty());
  // A cache that cannot be written harms nothing.
  auto broken = session_with("/proc/none/of/this");
  broken->keep_index("memory://h/a.nc", state, {extent(0, "0123")});
  EXPECT_TRUE(broken->known_index("memory://h/a.nc", state).empty());
}

}  // namespace
}  // namespace upwell::io
