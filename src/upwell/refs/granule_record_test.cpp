#include "refs/granule_record.hpp"

#include <gtest/gtest.h>

#include "io/memory_store.hpp"

namespace upwell::refs {
namespace {

TEST(GranuleRecord, ComesBackAsWritten) {
  StoreRecord record;
  record.concat = "time";
  record.coordinate = "/time";
  record.loaded = {"/time", "/lat"};
  record.granules = {{"https://h/a \"b\".nc", {12, "\"e\"", 5}, 3},
                     {"s3://b/c.nc", {0, "", {}}, 0}};
  const std::string document =
      R"({"version":1,"refs":{"a/0":["upwell",1,2]},"upwell":)" + record_json(record) + "}";
  auto back = read_record(document);
  ASSERT_TRUE(back && *back) << (back ? "none" : back.error().to_string());
  EXPECT_EQ((*back)->concat, "time");
  EXPECT_EQ((*back)->loaded, record.loaded);
  ASSERT_EQ((*back)->granules.size(), 2u);
  EXPECT_EQ((*back)->granules[0].url, record.granules[0].url);
  EXPECT_EQ((*back)->granules[0].info, record.granules[0].info);
  EXPECT_EQ((*back)->granules[0].length, 3u);
  EXPECT_FALSE((*back)->granules[1].info.mtime_ns);
  EXPECT_EQ(record_json(**back), record_json(record));
}

TEST(GranuleRecord, KeepsHowMitgcmsFilesWereRead) {
  StoreRecord record;
  record.mds = format::MdsOptions{3600, "1992-01-01T12:00:00", false};
  auto back = read_record("{\"upwell\":" + record_json(record) + "}");
  ASSERT_TRUE(back && *back && (*back)->mds) << (back ? "none" : back.error().to_string());
  EXPECT_EQ((*back)->mds->delta_t, 3600);
  EXPECT_EQ((*back)->mds->reference, "1992-01-01T12:00:00");
  EXPECT_FALSE((*back)->mds->tiles);
  EXPECT_EQ(record_json(**back), record_json(record));
  record.mds = format::MdsOptions{};
  EXPECT_EQ(record_json(record).substr(record_json(record).size() - 9), "\"mds\":{}}");

  EXPECT_EQ(mds_of_set(**back, {})->delta_t, 3600);
  EXPECT_TRUE(mds_of_set(**back, {3600, "1992-01-01 12:00", true}));
  EXPECT_FALSE(mds_of_set(**back, {1800, "", true}));
  EXPECT_FALSE(mds_of_set(**back, {{}, "1992-01-01", true}));
  EXPECT_FALSE(mds_of_set(record, {{}, "1992-01-01", true}));  // made without
  EXPECT_FALSE(mds_of_set(record, {{}, "", false}));
  EXPECT_EQ(mds_of_set(StoreRecord{}, {{}, "1992-01-01", false})->reference, "1992-01-01");
  for (const char* mds : {"1", R"({"delta_t":"1"})", R"({"reference":1})", R"({"compact":1})"})
    EXPECT_FALSE(read_record(
        std::string(R"({"upwell":{"version":1,"loaded":[],"granules":[],"mds":)") + mds + "}}"))
        << mds;
}

TEST(GranuleRecord, KeepsWhatACatalogueTold) {
  StoreRecord record;
  record.catalogue = CatalogueState{"2026-11-27T16:00:00Z",
                                    {{"s3://a/", "https://h/a/"}, {"s3://b/", "https://h/b/"}},
                                    "load: lat"};
  auto back = read_record("{\"upwell\":" + record_json(record) + "}");
  ASSERT_TRUE(back && *back && (*back)->catalogue) << (back ? "none" : back.error().to_string());
  EXPECT_EQ((*back)->catalogue->as_of, record.catalogue->as_of);
  EXPECT_EQ((*back)->catalogue->places, record.catalogue->places);
  EXPECT_EQ((*back)->catalogue->instructions, "load: lat");
  EXPECT_EQ(record_json(**back), record_json(record));
  for (const char* wrong : {R"({})", R"({"as_of":"x"})", R"({"as_of":"","places":[]})",
                            R"({"as_of":"x","places":[["a"]]})", R"({"as_of":"x","places":[1]})"})
    EXPECT_FALSE(read_record(
        std::string(R"({"upwell":{"version":1,"loaded":[],"granules":[],"catalogue":)") + wrong +
        "}}"))
        << wrong;
}

TEST(GranuleRecord, SetsOfOtherProgramsHaveNone) {
  auto none = read_record(R"({"version":1,"refs":{"upwell/0":"x"}})");
  ASSERT_TRUE(none);
  EXPECT_FALSE(*none);
}

TEST(GranuleRecord, WhatIsNoRecordIsAnError) {
  for (const char* value :
       {"1", "[]", "{}", R"({"version":1})", R"({"version":1,"loaded":[],"granules":[1]})",
        R"({"version":1,"loaded":[1],"granules":[]})",
        R"({"version":1,"loaded":[],"granules":[{"url":"a","length":-1}]})",
        R"({"version":1,"loaded":[],"granules":[{"length":1}]})", R"({"version":2})", "{"})
    EXPECT_FALSE(read_record(std::string(R"({"upwell":)") + value + "}")) << value;
}

/// A set of 17 MB: of such only the ends are read, where they suffice.
std::string large_set(const StoreRecord& record, const std::string& behind) {
  return R"({"version":1,"locations":[["s3://b/","https://h/b/"]],"refs":{"pad":")" +
         std::string(17 << 20, 'x') + R"("},"upwell":)" + record_json(record) + behind + "}";
}

TEST(GranuleRecord, OfALargeSetTheEndsAreRead) {
  StoreRecord record;
  record.concat = "time";
  for (int i = 0; i < 1000; ++i)
    record.granules.push_back({"s3://b/" + std::to_string(i) + ".nc", {10, "\"e\"", {}}, 1});
  for (const bool at_end : {true, false}) {
    auto store = std::make_shared<io::MemoryStore>();
    store->put("memory://sets/x.json", large_set(record, at_end ? "" : R"(,"other":{"upwell":1})"));
    io::SessionOptions options;
    options.index_cache.clear();
    io::Session session(options);
    session.mount("memory", store);
    auto written = read_store_record(session, "memory://sets/x.json", true);
    ASSERT_TRUE(written && *written) << (written ? "none" : written.error().to_string());
    EXPECT_EQ(record_json(**written), record_json(record));
    const uint64_t asked = session.counters().bytes_asked;
    EXPECT_TRUE(at_end ? asked < 9 << 20 : asked > 17 << 20) << asked;
  }
}

TEST(GranuleRecord, ALargeSetThatWasCutIsAnError) {
  auto store = std::make_shared<io::MemoryStore>();
  const std::string whole = large_set({}, "");
  io::Session session;
  session.mount("memory", store);
  for (const size_t cut : {size_t{2}, size_t{60}, size_t{4 << 20}}) {
    const std::string name = "memory://sets/" + std::to_string(cut) + ".json";
    store->put(name, whole.substr(0, whole.size() - cut));
    EXPECT_FALSE(read_store_record(session, name, true)) << cut;
  }
}

TEST(GranuleRecord, ACopyThatKeptItsTimeIsTheSame) {
  constexpr int64_t kSecond = 1'000'000'000;
  const io::ObjectInfo file{10, "\"inode-1\"", 7 * kSecond + 5};
  const io::ObjectInfo kept = lasting_state("/data/a.nc", file);
  EXPECT_EQ(kept.etag, "");
  EXPECT_EQ(lasting_state("https://host/a.nc", file), file);
  EXPECT_EQ(compare_states(kept, kept), Sameness::kSame);
  EXPECT_EQ(compare_states(kept, {10, "", 7 * kSecond}), Sameness::kSame);
  EXPECT_EQ(compare_states(kept, {10, "", 7 * kSecond + 6}), Sameness::kChanged);
  EXPECT_EQ(compare_states(kept, {10, "", 8 * kSecond}), Sameness::kChanged);
  EXPECT_EQ(compare_states(kept, {11, "", 7 * kSecond + 5}), Sameness::kChanged);
}

TEST(GranuleRecord, StatesOfDifferentPlacesAreComparedAsFarAsTheyGo) {
  const io::ObjectInfo bucket{10, "\"e\"", 5'000'000'000};
  EXPECT_EQ(compare_states(bucket, {10, "\"e\"", 6'000'000'000}), Sameness::kSame);
  EXPECT_EQ(compare_states(bucket, {10, "\"f\"", 5'000'000'000}), Sameness::kChanged);
  EXPECT_EQ(compare_states(bucket, {10, "", 5'000'000'000}), Sameness::kSame);
  EXPECT_EQ(compare_states(bucket, {10, "", 6'000'000'000}), Sameness::kUnknown);
  EXPECT_EQ(compare_states({10, "", {}}, bucket), Sameness::kUnknown);
  EXPECT_EQ(compare_states({0, "", {}}, bucket), Sameness::kUnknown);
  EXPECT_EQ(compare_states({9, "", {}}, bucket), Sameness::kChanged);
}

}  // namespace
}  // namespace upwell::refs
