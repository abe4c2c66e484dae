#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "access/stac_geometry.hpp"
#include "access/stac_records.hpp"
#include "access/umm_files.hpp"
#include "access/umm_page.hpp"

namespace upwell::access {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;
using testing::HasSubstr;

std::vector<Granule> granules_in(const std::string& page) {
  std::vector<Granule> found;
  auto summary = read_granule_page(to_bytes(page), [&](Granule g, std::string_view) -> Result<> {
    found.push_back(std::move(g));
    return {};
  });
  EXPECT_TRUE(summary) << summary.error().to_string();
  return found;
}

std::string page_of(const json& umm) {
  return json{{"hits", 1},
              {"took", 3},
              {"items",
               {{{"meta",
                  {{"concept-id", "G1-PROV"},
                   {"revision-id", 4},
                   {"collection-concept-id", "C1-PROV"},
                   {"provider-id", "PROV"}}},
                 {"umm", umm}}}}}
      .dump();
}

json link(const std::string& url, const std::string& type = "GET DATA") {
  return {{"URL", url}, {"Type", type}};
}

Granule granule_with(json umm) {
  umm["GranuleUR"] = "g";
  auto found = granules_in(page_of(umm));
  return found.empty() ? Granule{} : found[0];
}

std::vector<std::string> chosen(const Granule& g, const FileChoice& choice = {}) {
  std::vector<std::string> names;
  for (const GranuleFile* file : data_files(g, choice)) names.push_back(file->name);
  return names;
}

TEST(UmmPage, HitsAndItems) {
  size_t n = 0;
  auto summary = read_granule_page(to_bytes(std::string(R"({"hits":7,"took":1,"items":[
        {"meta":{"concept-id":"G1-P"},"umm":{"GranuleUR":"a\u00e9"}},
        {"meta":{"concept-id":"G2-P"},"umm":{"GranuleUR":"b"}} ]})")),
                                   [&](const Granule& g, std::string_view text) -> Result<> {
                                     EXPECT_EQ(g.name, n == 0 ? "a\xc3\xa9" : "b");
                                     EXPECT_EQ(text.front(), '{');
                                     EXPECT_EQ(text.back(), '}');
                                     ++n;
                                     return {};
                                   });
  ASSERT_TRUE(summary);
  EXPECT_EQ(summary->hits, 7u);
  EXPECT_EQ(summary->items, 2u);
  EXPECT_EQ(n, 2u);
}

TEST(UmmPage, WhatIsNoPageIsAnError) {
  const auto none = [](const Granule&, std::string_view) { return Result<>(); };
  for (const char* page :
       {"", "[]", "{}", "{\"hits\":1}", "{\"items\":3}", "{\"items\":[1]}",
        "{\"items\":[{\"umm\":{}}]}", "{\"hits\":1,\"items\":[{\"meta\":{\"concept-id\":\"G1\"}",
        "<html>login</html>", "{\"items\":[{\"meta\":{\"concept-id\":\"G1\"},\"umm\":{,}}]}"}) {
    auto read = read_granule_page(to_bytes(std::string(page)), none);
    ASSERT_FALSE(read) << page;
    EXPECT_EQ(read.error().code, Code::kInvalidData) << page;
  }
}

TEST(UmmPage, ErrorsAsTheCatalogueSaysThem) {
  EXPECT_EQ(error_text(R"({"errors":["Parameter [x] was not recognized.","b"]})"),
            "Parameter [x] was not recognized.; b");
  EXPECT_EQ(error_text(R"({"errors":[{"path":["a"],"errors":["c"]}]})"), "c");
  EXPECT_EQ(
      error_text("<?xml version=\"1.0\"?><errors><error>no</error><error>way</error></errors>"),
      "no; way");
  EXPECT_EQ(error_text(R"({"code":"X","description":"bad bbox"})"), "bad bbox");
  EXPECT_EQ(error_text(R"({"errors":["Token [eyJ\/x] of [me:pw]"]})", {"me:pw", "pw", "eyJ/x"}),
            "Token [***] of [***]");
  const std::string far(1999, '.');  // where the text is cut
  EXPECT_EQ(error_text(R"({"message":")" + far + R"(eyJ"})", {"eyJ"}).find('e'), far.npos);
  EXPECT_EQ(error_text("<html>"), "");
  EXPECT_EQ(error_text("<error>never closed"), "");
}

TEST(UmmFiles, HttpsAndS3OfOneNameAreOneFile) {
  const Granule g = granule_with(
      {{"RelatedUrls",
        {link("https://h/p/x.nc.md5", "EXTENDED METADATA"), link("https://h/p/x.nc"),
         link("s3://p/x.nc", "GET DATA VIA DIRECT ACCESS"),
         link("https://h/x.nc.dmrpp", "EXTENDED METADATA"),
         link("https://h/s3credentials", "VIEW RELATED INFORMATION")}},
       {"DataGranule",
        {{"ArchiveAndDistributionInformation",
          {{{"Name", "x.nc.md5"}, {"SizeInBytes", 63}},
           {{"Name", "x.nc"},
            {"Size", 9.25},
            {"SizeUnit", "MB"},
            {"SizeInBytes", 9695609},
            {"Checksum",
             {{"Value", "9002FEBF17632E5921EBA5B8F62237E6"}, {"Algorithm", "MD5"}}}}}}}}});
  ASSERT_EQ(g.files.size(), 2u);
  const GranuleFile& data = *data_files(g, {}).at(0);
  EXPECT_EQ(data.https, "https://h/p/x.nc");
  EXPECT_EQ(data.s3, "s3://p/x.nc");
  EXPECT_EQ(data.dmrpp, "https://h/x.nc.dmrpp");
  EXPECT_EQ(data.size, 9695609u);
  EXPECT_TRUE(data.size_is_exact);
  EXPECT_EQ(data.checksum, "9002febf17632e5921eba5b8f62237e6");
  EXPECT_EQ(g.s3_credentials, "https://h/s3credentials");
}

TEST(UmmFiles, TheDataAreChosenAmongSiblings) {
  const Granule g = granule_with(
      {{"RelatedUrls",
        {link("https://h/a.txt"), link("https://h/a.tif"), link("https://h/a.nc.md5"),
         link("https://h/a.nc"), link("https://h/browse/a.png", "GET RELATED VISUALIZATION"),
         link("ftp://h/a.h5"), link("https://h/dir/")}}});
  EXPECT_THAT(chosen(g), testing::ElementsAre("a.nc"));
  EXPECT_THAT(chosen(g, {.preference = {"tif"}}), testing::ElementsAre("a.tif"));
  EXPECT_THAT(chosen(g, {.preference = {"zarr"}}), testing::ElementsAre("a.nc"));
  EXPECT_THAT(chosen(g, {.pattern = "*.md5"}), testing::ElementsAre("a.nc.md5"));
}

TEST(UmmFiles, AllBandsAreData) {
  const Granule g = granule_with(
      {{"RelatedUrls",
        {link("https://h/a.B01.tif"), link("https://h/a.B02.tif"), link("https://h/a.jpg")}}});
  EXPECT_THAT(chosen(g), testing::ElementsAre("a.B01.tif", "a.B02.tif"));
  const Granule text = granule_with({{"RelatedUrls", {link("https://h/only.csv")}}});
  EXPECT_THAT(chosen(text), testing::ElementsAre("only.csv"));
  const Granule checksum = granule_with({{"RelatedUrls", {link("https://h/only.md5")}}});
  EXPECT_TRUE(chosen(checksum).empty());
}

TEST(UmmFiles, SizesThatSayNothing) {
  const auto sized = [](const json& entry) {
    const Granule g = granule_with(
        {{"RelatedUrls", {link("https://h/x.h5")}},
         {"DataGranule", {{"ArchiveAndDistributionInformation", json::array({entry})}}}});
    return data_files(g, {}).at(0)->size;
  };
  EXPECT_FALSE(sized({{"Name", "x.h5"}, {"Size", 589.28}, {"SizeUnit", "NA"}}));
  EXPECT_FALSE(sized({{"Name", "x.h5"}, {"Size", 589.28}}));
  EXPECT_FALSE(sized({{"Name", "x.h5"}, {"Size", 1e30}, {"SizeUnit", "PB"}}));
  EXPECT_FALSE(sized({{"Name", "x.h5"}, {"Size", -1}, {"SizeUnit", "KB"}}));
  EXPECT_EQ(sized({{"Name", "x.h5"}, {"Size", 2}, {"SizeUnit", "KB"}}), 2048u);
  EXPECT_EQ(sized({{"Name", "Not provided"}, {"SizeInBytes", 12}}), 12u);
}

TEST(Umm, WhatCannotBeShownSaysWhy) {
  const Granule g = granule_with({{"_errors", {"Could not parse the native metadata"}}});
  EXPECT_EQ(g.broken, "Could not parse the native metadata");
}

json geometry(const Footprint& footprint) { return json::parse(geojson_geometry(footprint)); }

/// Twice the area of all outer rings, less the holes.
double area_of(const GeoShape& shape) {
  double sum = 0;
  for (const Polygon& polygon : shape.polygons)
    for (const auto& ring : polygon)
      for (size_t i = 0; i + 1 < ring.size(); ++i)
        sum += ring[i].longitude * ring[i + 1].latitude - ring[i + 1].longitude * ring[i].latitude;
  return sum / 2;
}

TEST(Geometry, RectanglesAcrossTheAntimeridianAreTwo) {
  Footprint footprint;
  footprint.rectangles = {{170, -10, -170, 10}};
  const GeoShape shape = shape_of(footprint);
  ASSERT_EQ(shape.polygons.size(), 2u);
  EXPECT_DOUBLE_EQ(area_of(shape), 400);
  EXPECT_EQ(shape.bounds->west, 170);
  EXPECT_EQ(shape.bounds->east, -170);
  EXPECT_EQ(geometry(footprint)["type"], "MultiPolygon");
}

TEST(Geometry, GlobalGridsOfTwoRectanglesGoAllAround) {
  Footprint footprint;
  footprint.rectangles = {{0.5, -89.5, 180, 89.5}, {-180, -89.5, -0.5, 89.5}};
  const GeoShape shape = shape_of(footprint);
  EXPECT_EQ(shape.bounds->west, -180);
  EXPECT_EQ(shape.bounds->east, 180);
}

TEST(Geometry, LongitudesTo360AreWrapped) {
  Footprint all, part;
  all.rectangles = {{0, -10, 360, 10}};
  EXPECT_EQ(shape_of(all).polygons.size(), 1u);
  EXPECT_EQ(shape_of(all).bounds->west, -180);
  part.rectangles = {{170, -10, 190, 10}};
  EXPECT_DOUBLE_EQ(area_of(shape_of(part)), 400);
  EXPECT_EQ(shape_of(part).bounds->east, -170);
  Footprint ring;
  ring.polygons = {{{{200, 0}, {220, 0}, {220, 10}, {200, 10}, {200, 0}}}};
  EXPECT_EQ(shape_of(ring).bounds->west, -160);
}

TEST(Geometry, PolygonsAreCutAndTurned) {
  Footprint footprint;  // clockwise, across 180
  footprint.polygons = {{{{170, 0}, {170, 10}, {-170, 10}, {-170, 0}, {170, 0}}}};
  const GeoShape shape = shape_of(footprint);
  ASSERT_EQ(shape.polygons.size(), 2u);
  EXPECT_DOUBLE_EQ(area_of(shape), 200);
  for (const Polygon& polygon : shape.polygons)
    for (const Position& p : polygon[0]) EXPECT_LE(std::abs(p.longitude), 180);
  EXPECT_EQ(shape.bounds->west, 170);
  EXPECT_EQ(shape.bounds->east, -170);
}

TEST(Geometry, HolesAreCutWithTheirRing) {
  Footprint footprint;
  footprint.polygons = {{{{160, -20}, {-160, -20}, {-160, 20}, {160, 20}, {160, -20}},
                         {{-175, -5}, {175, -5}, {175, 5}, {-175, 5}, {-175, -5}}}};
  const GeoShape shape = shape_of(footprint);
  ASSERT_EQ(shape.polygons.size(), 2u);
  EXPECT_EQ(shape.polygons[0].size(), 2u);
  EXPECT_EQ(shape.polygons[1].size(), 2u);
  EXPECT_DOUBLE_EQ(area_of(shape), 40 * 40 - 10 * 10);
}

TEST(Geometry, ARingAroundAPoleHoldsIt) {
  Footprint footprint;
  footprint.polygons = {{{{-90, 70}, {0, 70}, {90, 70}, {180, 70}, {-90, 70}}}};
  const GeoShape shape = shape_of(footprint);
  EXPECT_DOUBLE_EQ(area_of(shape), 360 * 20);
  EXPECT_EQ(shape.bounds->north, 90);
  EXPECT_EQ(shape.bounds->west, -180);
  Footprint south;
  south.polygons = {{{{-90, -70}, {180, -70}, {90, -70}, {0, -70}, {-90, -70}}}};
  EXPECT_EQ(shape_of(south).bounds->south, -90);
}

TEST(Geometry, LinesAndPoints) {
  Footprint footprint;
  footprint.lines = {{{170, 0}, {-170, 10}}};
  EXPECT_EQ(geometry(footprint), json::parse(R"({"type":"MultiLineString","coordinates":
                            [[[170.0,0.0],[180.0,5.0]],[[-180.0,5.0],[-170.0,10.0]]]})"));
  Footprint points;
  points.points = {{1, 2}};
  EXPECT_EQ(geometry(points), json::parse(R"({"type":"Point","coordinates":[1.0,2.0]})"));
  EXPECT_TRUE(geometry({}).is_null());
}

TEST(Stac, ItemOfAGranule) {
  const Granule g = granule_with(
      {{"TemporalExtent", {{"SingleDateTime", "2013-12-24"}}},
       {"RelatedUrls", {link("https://h/x.nc"), link("s3://b/x.nc")}},
       {"DataGranule",
        {{"ArchiveAndDistributionInformation",
          {{{"Name", "x.nc"},
            {"SizeInBytes", 5},
            {"Checksum",
             {{"Value", "9002febf17632e5921eba5b8f62237e6"}, {"Algorithm", "MD5"}}}}}}}}});
  auto text = stac_item(g, "https://cmr/search");
  ASSERT_TRUE(text);
  const json item = json::parse(*text);
  EXPECT_EQ(item["type"], "Feature");
  EXPECT_TRUE(item["geometry"].is_null());
  EXPECT_FALSE(item.contains("bbox"));  // not without a geometry
  EXPECT_EQ(item["properties"]["datetime"], "2013-12-24T00:00:00Z");
  const json& asset = item["assets"]["x.nc"];
  EXPECT_EQ(asset["file:checksum"], "d501109002febf17632e5921eba5b8f62237e6");
  EXPECT_EQ(asset["alternate"]["s3"]["href"], "s3://b/x.nc");
  const Granule timeless = granule_with({{"RelatedUrls", {link("https://h/x.nc")}}});
  EXPECT_FALSE(stac_item(timeless, "https://cmr/search"));
}

TEST(Stac, ItemsComeBackAsTheyWent) {
  const Granule g = granule_with({{"TemporalExtent", {{"SingleDateTime", "2013-12-24T09:00:00Z"}}},
                                  {"RelatedUrls", {link("https://h/x.nc"), link("s3://b/x.nc")}}});
  const std::string page =
      R"({"type":"FeatureCollection","numberMatched":1,"features":[)" +
      *stac_item(g, "https://cmr/search") +
      R"(],"links":[{"rel":"next","href":"https://h/s","method":"POST","merge":true,
                     "body":{"token":"t"}}]})";
  Granule back;
  auto read = read_stac_page(to_bytes(page), [&](Granule granule, std::string_view) -> Result<> {
    back = std::move(granule);
    return {};
  });
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->summary.hits, 1u);
  EXPECT_EQ(read->next_url, "https://h/s");
  EXPECT_EQ(read->next_method, "POST");
  EXPECT_EQ(read->next_body, R"({"token":"t"})");
  EXPECT_TRUE(read->merge);
  EXPECT_EQ(back.name, "g");
  EXPECT_EQ(back.begin, "2013-12-24T09:00:00Z");
  ASSERT_EQ(data_files(back, {}).size(), 1u);
  EXPECT_EQ(back.files[0].s3, "s3://b/x.nc");
}

// --- Recorded answers ------------------------------------------------------------------------

/// Empty where the recordings are not there.
fs::path recordings() {
  const char* shared = std::getenv("UPWELL_SHARED");
  return shared && fs::exists(fs::path(shared) / "data/cmr") ? fs::path(shared) / "data/cmr" : "";
}

#define UPWELL_NEEDS_RECORDINGS() \
  if (recordings().empty()) GTEST_SKIP() << "set UPWELL_SHARED to the folder that holds data/cmr"

std::string file_text(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), std::istreambuf_iterator<char>()};
}

TEST(Recorded, EveryPageIsReadItemByItem) {
  UPWELL_NEEDS_RECORDINGS();
  size_t pages = 0, granules = 0, without_data = 0;
  for (const auto& entry : fs::recursive_directory_iterator(recordings())) {
    if (!entry.path().string().ends_with(".body.json")) continue;
    const std::string text = file_text(entry.path());
    const json expected = json::parse(text, nullptr, false);
    if (!expected.is_object() || !expected.contains("items") || expected["items"].empty()) continue;
    if (expected["items"][0]["meta"].value("concept-type", "") != "granule") continue;
    ++pages;
    size_t n = 0;
    auto read =
        read_granule_page(to_bytes(text), [&](const Granule& g, std::string_view raw) -> Result<> {
          const json& item = expected["items"][n++];
          EXPECT_EQ(json::parse(raw), item);
          EXPECT_EQ(g.concept_id, item["meta"]["concept-id"].get<std::string>());
          EXPECT_EQ(g.name, item["umm"]["GranuleUR"].get<std::string>());
          EXPECT_FALSE(g.begin.empty()) << g.name;
          const auto files = data_files(g, {});
          without_data += files.empty();
          std::set<std::string> names;
          for (const GranuleFile* file : files) {
            EXPECT_FALSE(file->https.empty() && file->s3.empty());
            names.insert(file->name);
          }
          EXPECT_EQ(names.size(), files.size()) << g.name;
          auto stac = stac_item(g, "https://cmr.earthdata.nasa.gov/search");
          EXPECT_TRUE(stac && json::accept(*stac)) << g.name;
          ++granules;
          return {};
        });
    ASSERT_TRUE(read) << entry.path() << ": " << read.error().to_string();
    EXPECT_EQ(n, expected["items"].size());
  }
  EXPECT_GT(pages, 30u);
  EXPECT_GT(granules, 300u);
  EXPECT_EQ(without_data, 0u);
}

TEST(Stac, ChecksumsOfEveryKindAreKept) {
  const std::string sha384 = std::string(96, 'a'), blake3 = "1e20" + std::string(64, 'b');
  const auto asset = [](const std::string& name, const std::string& checksum) {
    return R"(")" + name + R"(":{"href":"https://h/)" + name + R"(","file:checksum":")" + checksum +
           R"("})";
  };
  const std::string page = R"({"features":[{"id":"i","properties":{},"assets":{)" +
                           asset("x.nc", "2030" + std::string(96, 'A')) + "," +
                           asset("y.nc", blake3) + "}}]}";
  Granule g;
  auto read = read_stac_page(to_bytes(page), [&](Granule granule, std::string_view) -> Result<> {
    g = std::move(granule);
    return {};
  });
  ASSERT_TRUE(read);
  ASSERT_EQ(g.files.size(), 2u);
  EXPECT_EQ(g.files[0].checksum_algorithm, "SHA-384");
  EXPECT_EQ(g.files[0].checksum, sha384);
  EXPECT_EQ(g.files[1].checksum_algorithm, "multihash");
  EXPECT_EQ(g.files[1].checksum, blake3);
}

TEST(Recorded, TellusGranulesAreTheirNetcdfFiles) {
  const fs::path page =
      recordings() / "earthaccess/TestResults.test_get_all_less_than_2k/01.body.json";
  UPWELL_NEEDS_RECORDINGS();
  const auto found = granules_in(file_text(page));
  ASSERT_EQ(found.size(), 163u);
  for (const Granule& g : found) {
    const auto files = data_files(g, {});
    ASSERT_EQ(files.size(), 1u) << g.name;
    EXPECT_TRUE(files[0]->name.ends_with(".nc")) << files[0]->name;
    EXPECT_EQ(files[0]->s3.substr(files[0]->s3.rfind('/')),
              files[0]->https.substr(files[0]->https.rfind('/')));
    EXPECT_TRUE(files[0]->size_is_exact);
    EXPECT_EQ(files[0]->checksum.size(), 32u);
    EXPECT_EQ(shape_of(g.footprint).bounds->west, -180);
  }
}

TEST(Recorded, MurHasPublishedStores) {
  const fs::path page =
      recordings() / "titiler-cmr/test_timeseries_statistics_image_size_limit/00.body.json";
  UPWELL_NEEDS_RECORDINGS();
  std::vector<Collection> found;
  auto read = read_collection_page(to_bytes(file_text(page)),
                                   [&](Collection c, std::string_view) -> Result<> {
                                     found.push_back(std::move(c));
                                     return {};
                                   });
  ASSERT_TRUE(read);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].short_name, "MUR-JPL-L4-GLOB-v4.1");
  EXPECT_EQ(found[0].concept_id, "C1996881146-POCLOUD");
  EXPECT_FALSE(found[0].published.empty());
  EXPECT_EQ(found[0].region, "us-west-2");
}

}  // namespace
}  // namespace upwell::access
