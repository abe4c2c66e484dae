#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <stdexcept>

#include "access/cmr_parameters.hpp"
#include "access/cmr_search.hpp"
#include "access/cmr_values.hpp"
#include "access/search_seen.hpp"
#include "access/stac_search.hpp"
#include "io/test_servers.hpp"

namespace upwell::access {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;
using testing::Pair;

std::string value(const Result<std::string>& result) {
  return result ? *result : "error: " + result.error().message;
}

TEST(CmrValues, DatesAreCompleted) {
  EXPECT_EQ(value(cmr_temporal("2013-12-24,2013-12-25")),
            "2013-12-24T00:00:00Z,2013-12-25T23:59:59.999Z");
  EXPECT_EQ(value(cmr_temporal("2013")), "2013-01-01T00:00:00Z,2013-12-31T23:59:59.999Z");
  EXPECT_EQ(value(cmr_temporal("2012-02")), "2012-02-01T00:00:00Z,2012-02-29T23:59:59.999Z");
  EXPECT_EQ(value(cmr_temporal(",2014-01")), ",2014-01-31T23:59:59.999Z");
  EXPECT_EQ(value(cmr_temporal("2014-01,")), "2014-01-01T00:00:00Z,");
  EXPECT_EQ(value(cmr_temporal("2014-01-02T03:04:05Z,2014-01-02T03:04:05Z")),
            "2014-01-02T03:04:05Z,2014-01-02T03:04:05Z");
  EXPECT_EQ(value(cmr_temporal("2014/2015")), "2014-01-01T00:00:00Z,2015-12-31T23:59:59.999Z");
  EXPECT_EQ(value(cmr_temporal("2014-03/P1M")), "2014-03-01T00:00:00Z/P1M");
  EXPECT_EQ(value(cmr_temporal("2000,2010,60,90")),
            "2000-01-01T00:00:00Z,2010-12-31T23:59:59.999Z,60,90");
}

TEST(CmrValues, DatesThatAreWrongSaySo) {
  EXPECT_THAT(value(cmr_temporal("1-1-2022")), HasSubstr("write 2013, 2013-12"));
  EXPECT_THAT(value(cmr_temporal("2015,2014")), HasSubstr("write 2014,2015"));
  EXPECT_THAT(value(cmr_temporal(",")), HasSubstr("neither beginning nor end"));
  EXPECT_THAT(value(cmr_temporal("2014,2015,1")), HasSubstr("STARTDAY,ENDDAY"));
  EXPECT_THAT(value(cmr_temporal("2014,2015,0,400")), HasSubstr("day of the year"));
  EXPECT_THAT(value(cmr_temporal("2014-02-30")), HasSubstr("not a date"));
  EXPECT_THAT(value(cmr_temporal("P1M/P1M")), HasSubstr("two durations"));
}

std::string box(const std::string& text) {
  std::vector<std::string> warnings;
  const std::string checked = value(cmr_box(text, warnings));
  return warnings.empty() ? checked : checked + " warning: " + warnings[0];
}

TEST(CmrValues, Boxes) {
  EXPECT_EQ(box("-10,20,30.5,40"), "-10,20,30.5,40");
  EXPECT_EQ(box("170,-10,-170,10"), "170,-10,-170,10");
  EXPECT_THAT(box("10,0,-10,5"), HasSubstr("crosses the antimeridian and is 340 degrees wide"));
  EXPECT_THAT(box("30.59,-95.19,30.79,-94.99"), HasSubstr("perhaps -95.19,30.59,-94.99,30.79"));
  EXPECT_THAT(box("0,10,5,-10"), HasSubstr("perhaps 0,-10,5,10"));
  EXPECT_THAT(box("190,0,200,5"), HasSubstr("190 is -170"));
  EXPECT_THAT(box("1,2,3"), HasSubstr("has 3 numbers"));
  EXPECT_THAT(box("1,2,3,x"), HasSubstr("'x' is not a number"));
  EXPECT_THAT(box("1,2,3,nan"), HasSubstr("'nan' is not a number"));
}

TEST(CmrValues, Polygons) {
  EXPECT_EQ(value(cmr_polygon("0,0,10,0,10,10,0,0")), "0,0,10,0,10,10,0,0");
  EXPECT_THAT(value(cmr_polygon("0,0,10,0,10,10")), HasSubstr("first point: 0,0,10,0,10,10,0,0"));
  EXPECT_THAT(value(cmr_polygon("0,0,10,10,10,0,0,0")), HasSubstr("write 0,0,10,0,10,10,0,0"));
  EXPECT_EQ(value(cmr_polygon("170,0,-170,0,-170,10,170,0")), "170,0,-170,0,-170,10,170,0");
  EXPECT_EQ(value(cmr_polygon("0,70,90,70,180,70,-90,70,0,70")), "0,70,90,70,180,70,-90,70,0,70");
  EXPECT_THAT(value(cmr_polygon("0,0,1,1,2,2,0,0")), HasSubstr("no area"));
  EXPECT_THAT(value(cmr_polygon("0,0,1,1,0,0")), HasSubstr("fewer than three"));
  EXPECT_THAT(value(cmr_polygon("0,0,1")), HasSubstr("no pairs"));
  EXPECT_THAT(value(cmr_polygon("0,100,1,1,2,2,0,100")), HasSubstr("longitude comes first"));
}

TEST(CmrValues, Others) {
  EXPECT_EQ(value(cmr_range(",20", 0, 100, RangeForm::kInterval)), ",20");
  EXPECT_THAT(value(cmr_range("20", 0, 100, RangeForm::kInterval)), HasSubstr("write MIN,MAX"));
  EXPECT_THAT(value(cmr_range("80,20", 0, 100, RangeForm::kInterval)), HasSubstr("write 20,80"));
  EXPECT_THAT(value(cmr_range("0,120", 0, 100, RangeForm::kInterval)), HasSubstr("between"));
  EXPECT_EQ(value(cmr_range("12", 0, 1e9, RangeForm::kOneOrInterval)), "12");
  EXPECT_EQ(value(cmr_range("170,-170", -180, 180, RangeForm::kAround)), "170,-170");
  EXPECT_EQ(value(cmr_circle("1,2,1000")), "1,2,1000");
  EXPECT_THAT(value(cmr_circle("1,2,5")), HasSubstr("between 10 and 6000000"));
  EXPECT_EQ(value(cmr_day_night("DAY")), "day");
  EXPECT_THAT(value(cmr_integer("-1")), HasSubstr("whole number"));
  auto pass = cmr_pass("40:1L,2R");
  ASSERT_TRUE(pass);
  EXPECT_THAT(*pass, Pair("40", "1L,2R"));
  EXPECT_FALSE(cmr_pass("40:1X"));
  EXPECT_TRUE(is_concept_id("C1996881146-POCLOUD"));
  EXPECT_FALSE(is_concept_id("MUR-JPL"));
  EXPECT_FALSE(is_concept_id("C12"));
}

const CmrParameter& parameter(std::string_view option) {
  for (const CmrParameter& p : cmr_parameters())
    if (std::string_view(p.option).substr(0, option.size()) == option) return p;
  throw std::out_of_range(std::string(option));
}

TEST(CmrQuery, ParametersAsTheyAreSent) {
  CmrQuery query;
  ASSERT_TRUE(query.add(parameter("--short-name"), "MUR*"));
  ASSERT_TRUE(query.add(parameter("--granule-name"), "*2013*"));
  ASSERT_TRUE(query.add(parameter("--granule-name"), "x?"));
  ASSERT_TRUE(query.add(parameter("--cycle"), "7"));
  ASSERT_TRUE(query.add(parameter("--pass"), "40:1L"));
  ASSERT_TRUE(query.add(parameter("--pass"), "41"));
  ASSERT_TRUE(query.add_raw("options[temporal][exclude_boundary]=true"));
  ASSERT_TRUE(query.finish());
  EXPECT_THAT(query.select, ElementsAre(Pair("short_name", "MUR*"),
                                        Pair("options[short_name][pattern]", "true")));
  EXPECT_THAT(query.pairs,
              ElementsAre(Pair("readable_granule_name[]", "*2013*"),
                          Pair("options[readable_granule_name][pattern]", "true"),
                          Pair("readable_granule_name[]", "x?"), Pair("cycle[]", "7"),
                          Pair("passes[0][pass]", "40"), Pair("passes[0][tiles]", "1L"),
                          Pair("passes[1][pass]", "41"),
                          Pair("options[temporal][exclude_boundary]", "true")));
  EXPECT_EQ(encode_query({{"a[]", "x y,1:2&é"}}), "a%5B%5D=x%20y,1:2%26%C3%A9");
}

TEST(CmrQuery, WhatDoesNotGoTogether) {
  CmrQuery passes;
  ASSERT_TRUE(passes.add(parameter("--pass"), "40"));
  auto finished = passes.finish();
  ASSERT_FALSE(finished);
  EXPECT_THAT(finished.error().message, HasSubstr("exactly one --cycle"));
  CmrQuery patterns;
  for (int i = 0; i < 6; ++i)
    ASSERT_TRUE(patterns.add(parameter("--granule-ur"), "*" + std::to_string(i)));
  EXPECT_FALSE(patterns.finish());
  CmrQuery collections;
  collections.collections = true;
  EXPECT_FALSE(collections.add(parameter("--cloud-cover"), "0,10"));
  EXPECT_FALSE(collections.add(parameter("--concept-id"), "G1-P"));
  EXPECT_FALSE(collections.add_raw("page_size=7"));
  EXPECT_FALSE(collections.add_raw("nothing"));
}

TEST(SeenIds, EachOnce) {
  SeenIds seen;
  for (int round = 0; round < 2; ++round)
    for (int i = 0; i < 20000; ++i)
      EXPECT_EQ(seen.insert("G" + std::to_string(i) + "-P"), round == 0);
  EXPECT_EQ(seen.size(), 20000u);
}

// --- Against a server ------------------------------------------------------------------------

/// Items G<first>-P ... of a page, with times a day apart.
std::string page_json(uint64_t hits, int first, int count) {
  std::string items;
  for (int i = first; i < first + count; ++i)
    items += fmt::format(R"({}{{"meta":{{"concept-id":"G{}-P"}},"umm":{{"GranuleUR":"g{}"}}}})",
                         items.empty() ? "" : ",", i, i);
  return fmt::format(R"({{"hits":{},"took":1,"items":[{}]}})", hits, items);
}

io::RawAnswer answer(int status, const std::string& headers, const std::string& body) {
  return {.bytes = io::http_answer(status, headers, body), .stall_s = 0, .keep = false};
}

std::string cmr_headers(uint64_t hits, const std::string& after) {
  std::string headers = fmt::format("CMR-Hits: {}\r\n", hits);
  if (!after.empty()) headers += "CMR-Search-After: " + after + "\r\n";
  return headers;
}

struct Searched {
  Result<SearchOutcome> outcome;
  std::vector<std::string> names;
  std::vector<std::string> warnings;
};

Searched search(const io::RawServer& server, const SearchOptions& options, Pairs pairs = {},
                const std::string& token = {}) {
  Searched out;
  SearchClientOptions client_options;
  client_options.token_origin = server.url();
  client_options.token = [token] { return token; };
  client_options.warn = [&](const std::string& text) { out.warnings.push_back(text); };
  client_options.attempts = 3;
  SearchClient client(std::move(client_options));
  auto origin = cmr_origin(server.url());
  if (pairs.empty()) pairs = {{"collection_concept_id[]", "C1-P"}};
  CmrSearch cmr(client, *origin);
  out.outcome = cmr.granules(pairs, options, [&](const Granule& g, std::string_view) -> Result<> {
    out.names.push_back(g.name);
    return {};
  });
  return out;
}

TEST(CmrSearch, FollowsSearchAfterAndCountsEachOnce) {
  io::RawServer server([](const io::SeenRequest& request, size_t) {
    const std::string after = request.header("cmr-search-after");
    if (after.empty()) return answer(200, cmr_headers(5, "[2]"), page_json(5, 0, 2));
    if (after == "[2]") return answer(200, cmr_headers(5, "[4]"), page_json(5, 1, 2));  // 1 again
    if (after == "[4]") return answer(200, cmr_headers(5, "[6]"), page_json(5, 3, 2));
    return answer(200, cmr_headers(5, ""), page_json(5, 0, 0));
  });
  const Searched found = search(server, {.page_size = 2});
  ASSERT_TRUE(found.outcome) << found.outcome.error().to_string();
  EXPECT_THAT(found.names, ElementsAre("g0", "g1", "g2", "g3", "g4"));
  EXPECT_EQ(found.outcome->repeated, 1u);
  EXPECT_EQ(found.outcome->difference, "");
  for (const auto& request : server.seen())
    EXPECT_THAT(request.target, HasSubstr("page_size=2")) << request.target;
}

TEST(CmrSearch, MissingResultsAreSaid) {
  io::RawServer server([](const io::SeenRequest& request, size_t) {
    const bool first = request.header("cmr-search-after").empty();
    return first ? answer(200, cmr_headers(5, "[2]"), page_json(5, 0, 2))
                 : answer(200, cmr_headers(5, ""), page_json(5, 2, 1));
  });
  const Searched found = search(server, {.page_size = 2});
  ASSERT_TRUE(found.outcome);
  EXPECT_THAT(found.outcome->difference, HasSubstr("counts 5 results, 3 came"));
}

TEST(CmrSearch, ALimitEndsIt) {
  io::RawServer server([](const io::SeenRequest&, size_t) {
    return answer(200, cmr_headers(100, "[3]"), page_json(100, 0, 3));
  });
  const Searched found = search(server, {.page_size = 2000, .limit = 3});
  ASSERT_TRUE(found.outcome);
  EXPECT_EQ(found.names.size(), 3u);
  EXPECT_EQ(found.outcome->difference, "");
  EXPECT_EQ(server.seen().size(), 1u);
  EXPECT_THAT(server.seen()[0].target, HasSubstr("page_size=3"));
}

TEST(CmrSearch, PagesThatDoNotMoveOnEnd) {
  io::RawServer server([](const io::SeenRequest&, size_t) {
    return answer(200, cmr_headers(100, "[3]"), page_json(100, 0, 3));
  });
  const Searched found = search(server, {.page_size = 3});
  ASSERT_FALSE(found.outcome);
  EXPECT_THAT(found.outcome.error().message, HasSubstr("do not move on"));
}

TEST(CmrSearch, PagesThatOnlyRepeatEnd) {
  io::RawServer server([](const io::SeenRequest&, size_t n) {
    return answer(200, cmr_headers(100, fmt::format("[{}]", n)), page_json(100, 0, 3));
  });
  const Searched found = search(server, {.page_size = 3});
  ASSERT_FALSE(found.outcome);
  EXPECT_EQ(found.outcome.error().code, Code::kInvalidData);
  EXPECT_THAT(found.outcome.error().message, HasSubstr("two in a row brought nothing new"));
  EXPECT_LE(server.seen().size(), 4u);
}

TEST(CmrSearch, OnePageMayRepeat) {
  io::RawServer server([](const io::SeenRequest&, size_t n) {
    const int page = static_cast<int>(n);  // every second one is that before
    const std::string after = page < 5 ? fmt::format("[{}]", page + 1) : "";
    return answer(200, cmr_headers(9, after), page_json(9, page / 2 * 3, 3));
  });
  const Searched found = search(server, {.page_size = 3});
  ASSERT_TRUE(found.outcome) << found.outcome.error().to_string();
  EXPECT_EQ(found.names.size(), 9u);
  EXPECT_GE(found.outcome->repeated, 6u);
}

TEST(CmrSearch, ARefusedTokenIsLeftOut) {
  io::RawServer server([](const io::SeenRequest& request, size_t) {
    if (!request.header("authorization").empty())
      return answer(401, "", R"({"errors":["Token [Bearer eyJ] has expired."]})");
    return answer(200, cmr_headers(1, ""), page_json(1, 0, 1));
  });
  const Searched found = search(server, {}, {}, "eyJ");
  ASSERT_TRUE(found.outcome);
  EXPECT_EQ(found.names.size(), 1u);
  ASSERT_EQ(found.warnings.size(), 1u);
  EXPECT_THAT(found.warnings[0], HasSubstr("Token [Bearer ***] has expired"));
  EXPECT_EQ(server.seen()[0].header("authorization"), "bearer eyj");
}

TEST(CmrSearch, ErrorsAreWordedByCmr) {
  io::RawServer server([](const io::SeenRequest&, size_t) {
    return answer(400, "", R"({"errors":["Parameter [nonsense] was not recognized."]})");
  });
  const Searched found = search(server, {});
  ASSERT_FALSE(found.outcome);
  EXPECT_EQ(found.outcome.error().code, Code::kInvalidArgument);
  EXPECT_THAT(found.outcome.error().message, HasSubstr("Parameter [nonsense] was not recognized."));
}

TEST(CmrSearch, WaitsAsLongAsItIsTold) {
  io::RawServer server([](const io::SeenRequest&, size_t n) {
    if (n == 0) return answer(429, "Retry-After: 0\r\n", "");
    return answer(200, cmr_headers(1, ""), page_json(1, 0, 1));
  });
  const Searched found = search(server, {});
  ASSERT_TRUE(found.outcome);
  EXPECT_EQ(found.names.size(), 1u);
}

TEST(CmrSearch, LongQueriesAreForms) {
  io::RawServer server([](const io::SeenRequest&, size_t) {
    return answer(200, cmr_headers(1, ""), page_json(1, 0, 1));
  });
  Pairs pairs{{"collection_concept_id[]", "C1-P"}};
  for (int i = 0; i < 400; ++i) pairs.emplace_back("granule_ur[]", fmt::format("granule-{:06}", i));
  const Searched found = search(server, {}, pairs);
  ASSERT_TRUE(found.outcome);
  ASSERT_EQ(server.seen().size(), 1u);
  EXPECT_EQ(server.seen()[0].method, "POST");
  EXPECT_THAT(server.seen()[0].target, Not(HasSubstr("?")));
  EXPECT_THAT(server.seen()[0].header("content-type"), HasSubstr("x-www-form-urlencoded"));
}

/// "from" and "to" of the temporal parameter of a request.
bool asks_all(const std::string& target) {
  return target.find("temporal") == std::string::npos ||
         target.find("2000-01-01T00:00:00Z,2000-12-31T23:59:59.999Z") != std::string::npos;
}

TEST(CmrSearch, PartialAnswersAreSplitInTime) {
  for (const bool by_status : {false, true}) {
    io::RawServer server([by_status](const io::SeenRequest& request, size_t) {
      if (asks_all(request.target))
        return by_status ? answer(504, "", "")
                         : answer(200, cmr_headers(4, "[2]") + "CMR-Time-Out: true\r\n",
                                  page_json(4, 0, 1));
      // The granule in the middle overlaps both halves.
      const bool early = request.target.find("2000-01-01T00:00:00Z,") != std::string::npos;
      return early ? answer(200, cmr_headers(2, ""), page_json(2, 0, 2))
                   : answer(200, cmr_headers(3, ""), page_json(3, 1, 3));
    });
    const Searched found =
        search(server, {},
               {{"collection_concept_id[]", "C1-P"},
                {"temporal[]", "2000-01-01T00:00:00Z,2000-12-31T23:59:59.999Z"}});
    ASSERT_TRUE(found.outcome) << found.outcome.error().to_string();
    EXPECT_THAT(found.names, ElementsAre("g0", "g1", "g2", "g3"));
    EXPECT_EQ(found.outcome->splits, 1u);
    EXPECT_EQ(found.outcome->hits, 4u);
    EXPECT_EQ(found.outcome->difference, "");
    EXPECT_EQ(server.seen().size(), 4u);  // twice whole, then two halves
  }
}

TEST(CmrSearch, WhatCannotBeSplitIsAnError) {
  io::RawServer server(
      [](const io::SeenRequest&, size_t) { return answer(504, "", "<html>late</html>"); });
  const Searched found = search(server, {}, {{"concept_id[]", "G1-P"}});
  ASSERT_FALSE(found.outcome);
  EXPECT_EQ(found.outcome.error().code, Code::kDeadlineExceeded);
  EXPECT_THAT(found.outcome.error().to_string(), HasSubstr("narrow it"));
}

TEST(CmrSearch, OneCollectionOrAList) {
  io::RawServer server([](const io::SeenRequest& request, size_t) {
    const auto item = [](int n) {
      return fmt::format(R"({{"meta":{{"concept-id":"C{0}-P","granule-count":{0}}},)"
                         R"("umm":{{"ShortName":"S","Version":"{0}"}}}})",
                         n);
    };
    const int n = request.target.find("one") != std::string::npos   ? 1
                  : request.target.find("two") != std::string::npos ? 2
                                                                    : 0;
    std::string items = n > 0 ? item(1) : "";
    if (n > 1) items += "," + item(2);
    return answer(200, cmr_headers(static_cast<uint64_t>(n), ""),
                  fmt::format(R"({{"hits":{},"items":[{}]}})", n, items));
  });
  SearchClient client({});
  CmrSearch cmr(client, *cmr_origin(server.url()));
  CmrQuery query;
  EXPECT_EQ(cmr.granule_pairs(query).error().code, Code::kInvalidArgument);
  query.select = {{"short_name", "one"}};
  auto one = cmr.granule_pairs(query);
  ASSERT_TRUE(one) << one.error().to_string();
  EXPECT_THAT(*one, ElementsAre(Pair("collection_concept_id[]", "C1-P")));
  query.select = {{"short_name", "two"}};
  auto two = cmr.granule_pairs(query);
  ASSERT_FALSE(two);
  EXPECT_EQ(two.error().code, Code::kInvalidArgument);
  EXPECT_THAT(two.error().message, HasSubstr("S  version 2  C2-P  2 granules"));
  query.select = {{"short_name", "nothing"}};
  EXPECT_EQ(cmr.granule_pairs(query).error().code, Code::kNotFound);
}

TEST(CmrSearch, Hosts) {
  EXPECT_EQ(value(cmr_origin("cmr.uat.earthdata.nasa.gov")), "https://cmr.uat.earthdata.nasa.gov");
  EXPECT_EQ(value(cmr_origin("http://127.0.0.1:80/search/")), "http://127.0.0.1:80");
  EXPECT_FALSE(cmr_origin("ftp://x"));
  EXPECT_FALSE(cmr_origin(""));
}

TEST(StacSearch, FollowsItsLinks) {
  const auto page = [](int first, const std::string& link) {
    return fmt::format(
        R"({{"type":"FeatureCollection","numberMatched":3,"features":[)"
        R"({{"id":"i{}","collection":"c","properties":{{"datetime":"2020-01-01T00:00:00Z"}},)"
        R"("assets":{{"a":{{"href":"https://h/x.tif"}}}}}}],"links":[{}]}})",
        first, link);
  };
  io::RawServer server([&](const io::SeenRequest& request, size_t n) {
    if (request.method == "POST" && n == 0) return answer(405, "", "");
    if (n == 1) return answer(200, "", page(0, R"({"rel":"next","href":"/search?page=2"})"));
    if (n == 2)
      return answer(200, "",
                    page(1, R"({"rel":"next","href":"/search","method":"POST",)"
                            R"("body":{"token":"t"}})"));
    return answer(200, "", page(2, R"({"rel":"self","href":"/search"})"));
  });
  SearchClient client({});
  std::vector<std::string> names;
  auto outcome = search_stac(
      client, {.url = server.url(), .collections = {"c"}, .datetime = "2020-01-01T00:00:00Z/.."},
      {}, [&](const Granule& g, std::string_view) -> Result<> {
        names.push_back(g.name);
        return {};
      });
  ASSERT_TRUE(outcome) << outcome.error().to_string();
  EXPECT_THAT(names, ElementsAre("i0", "i1", "i2"));
  EXPECT_EQ(outcome->difference, "");
  EXPECT_THAT(server.seen()[1].target, HasSubstr("collections=c"));
  EXPECT_EQ(server.seen()[3].method, "POST");
}

TEST(StacSearch, StaysOnItsHost) {
  io::RawServer server([](const io::SeenRequest&, size_t) {
    return answer(200, "",
                  R"({"features":[{"id":"i","properties":{}}],)"
                  R"("links":[{"rel":"next","href":"http://169.254.169.254/x"}]})");
  });
  SearchClient client({});
  auto outcome = search_stac(client, {.url = server.url()}, {},
                             [](const Granule&, std::string_view) { return Result<>(); });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kPermissionDenied);
}

TEST(StacSearch, PagesThatOnlyRepeatEnd) {
  io::RawServer server([](const io::SeenRequest&, size_t n) {
    return answer(200, "",
                  fmt::format(R"({{"features":[{{"id":"i","properties":{{}}}}],)"
                              R"("links":[{{"rel":"next","href":"/search?page={}"}}]}})",
                              n));
  });
  SearchClient client({});
  auto outcome = search_stac(client, {.url = server.url()}, {},
                             [](const Granule&, std::string_view) { return Result<>(); });
  ASSERT_FALSE(outcome);
  EXPECT_EQ(outcome.error().code, Code::kInvalidData);
  EXPECT_THAT(outcome.error().message, HasSubstr("two in a row brought nothing new"));
  EXPECT_EQ(server.seen().size(), 3u);
}

TEST(StacSearch, Datetimes) {
  EXPECT_EQ(stac_datetime("a,b"), "a/b");
  EXPECT_EQ(stac_datetime(",b"), "../b");
  EXPECT_EQ(stac_datetime("a,"), "a/..");
}

}  // namespace
}  // namespace upwell::access
