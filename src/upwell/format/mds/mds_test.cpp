#include "format/mds/mds.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cube/read.hpp"
#include "format/mds/names.hpp"
#include "io/memory_store.hpp"

namespace upwell::format::mds {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

constexpr const char* kMonth =
    " simulation = { 'it''s a run' };\n"
    " nDims = [   2 ];\n"
    " dimList = [\n"
    "    90,    1,   90,\n"
    "  1170,    1, 1170\n"
    " ];\n"
    " dataprec = [ 'float32' ];\n"
    " nrecords = [      1 ];\n"
    " timeStepNumber = [        732 ];\n"
    " timeInterval = [  3.600000000000E+03  2.635200000000D+06 ];\n"
    " missingValue = [ -9.99000000000000E+02 ];\n"
    " nFlds = [    1 ];\n"
    " fldList = {\n"
    " 'SSH     '\n"
    " };\n"
    "/* a title\n over two lines */ map2glob = [ 3,4 ];\n";

TEST(MetaText, EveryItemIsRead) {
  auto meta = parse_meta(kMonth);
  ASSERT_TRUE(meta) << meta.error().to_string();
  ASSERT_EQ(meta->dimensions.size(), 2U);
  EXPECT_EQ(meta->dimensions[0].size, 90U);
  EXPECT_EQ(meta->dimensions[1].extent(), 1170U);
  EXPECT_EQ(meta->item_size, 4U);
  EXPECT_EQ(meta->records, 1U);
  EXPECT_EQ(meta->step, 732);
  EXPECT_THAT(meta->interval, ElementsAre(3600, 2635200));
  EXPECT_EQ(meta->missing, -999);
  EXPECT_THAT(meta->fields, ElementsAre("SSH"));
  EXPECT_EQ(meta->data_bytes(), 421200U);
  ASSERT_EQ(meta->others.size(), 2U);
  EXPECT_THAT(meta->others[0].texts, ElementsAre("it's a run"));
  EXPECT_EQ(meta->others[1].key, "map2glob");
  EXPECT_THAT(meta->others[1].numbers, ElementsAre(3, 4));
  EXPECT_EQ(meta->lines.at("map2glob"), 17U);
}

TEST(MetaText, BlanksCommasAndOrderAreFree) {
  auto meta = parse_meta(
      "nrecords=[2];format=['float64'];dimList=[3,1,3,,1 1\t1,];nDims=[2];\r\n"
      "fldList={'A''B' \"C\"};timeInterval=[+.5];");
  ASSERT_TRUE(meta) << meta.error().to_string();
  EXPECT_EQ(meta->data_bytes(), 2 * 3 * 8U);
  EXPECT_THAT(meta->fields, ElementsAre("A'B", "C"));
  EXPECT_THAT(meta->interval, ElementsAre(0.5));
  EXPECT_FALSE(meta->step);
}

struct Broken {
  const char* from;
  const char* to;
  const char* says;
};

TEST(MetaText, AnErrorNamesTheLine) {
  const std::vector<Broken> all = {
      {"nDims = [   2 ]", "nDims = [ x ]", "line 2: nDims: 'x' is not an integer"},
      {"nDims = [   2 ]", "nDims = [ 2 3 ]", "line 2: nDims: 1 values are expected"},
      {"nDims = [   2 ]", "nDims = [ 3 ]", "line 3: dimList: 9 values are expected"},
      {"nDims = [   2 ]", "nDims = 2", "line 2: nDims: '{' is expected, there is '2;'"},
      {" nDims = [   2 ];\n", "", "nDims is missing"},
      {"1170,    1, 1170", "1170,    1, 1171", "line 5: dimList: elements 1 to 1171"},
      {"1170,    1, 1170", "1170,    0, 1170", "line 5: dimList: 0 cannot be"},
      {"90,    1,   90,\n  1170,    1, 1170",
       "1099511627776, 1, 1099511627776, 1099511627776, 1, 1099511627776",
       "line 3: dimList: more bytes"},
      {" ];\n dataprec", " };\n dataprec", "line 6: dimList: ']' is expected"},
      {" ];\n dataprec", " ]\n dataprec", "line 7: dimList: ';' is expected"},
      {"'float32'", "'int16'", "line 7: dataprec: 'int16' is neither float32 nor"},
      {"'float32'", "'float32", "line 7: dataprec: a text without its end"},
      {"'float32'", "float32", "line 7: dataprec: a text in quotes is expected"},
      {"nrecords = [      1 ]", "nrecords = [ 0 ]", "line 8: nrecords: 0 is less than 1"},
      {"[        732 ]", "[ -1 ]", "line 9: timeStepNumber: -1 is less than 0"},
      {"2.635200000000D+06", "************", "line 10: timeInterval: '************' is"},
      {"2.635200000000D+06", "1.0", "line 10: timeInterval: it begins at 3600 s, after"},
      {"-9.99000000000000E+02", "nan", "line 11: missingValue: 'nan' is not a number"},
      {"nFlds = [    1 ]", "nFlds = [ 2 ]", "line 12: nFlds is 2, but fldList names 1"},
      {"'SSH     '", "'SSH' 'SSH  '", "line 14: fldList: SSH is there twice"},
      {"'SSH     '", "'../x'", "line 14: fldList: '../x' cannot be the name"},
      {"nrecords", "nDims", "line 8: nDims: is there twice, first in line 2"},
      {" */ map2glob", " map2glob", "line 16: a comment without its end"},
      {"map2glob = [ 3,4 ];", "map2glob = [ 3,4", "line 17: map2glob: ']' is missing"},
      {"map2glob = [ 3,4 ];", "\x01", "line 17: a name is expected, not '?'"}};
  for (const Broken& one : all) {
    SCOPED_TRACE(one.says);
    std::string text = kMonth;
    const size_t at = text.find(one.from);
    ASSERT_NE(at, std::string::npos);
    text.replace(at, std::string_view(one.from).size(), one.to);
    auto meta = parse_meta(text);
    ASSERT_FALSE(meta) << text;
    EXPECT_EQ(meta.error().code, Code::kInvalidData);
    EXPECT_THAT(meta.error().to_string(), HasSubstr(one.says));
  }
}

TEST(MdsNames, StepsAreTenDigits) {
  EXPECT_EQ(split_file_name("s3://b/a.b/SSH_mon.0000000732.data").prefix, "SSH_mon");
  EXPECT_EQ(split_file_name("/x/SSH_mon.0000000732.meta?x=/y").step, 732);
  EXPECT_EQ(split_file_name("/x/T.732.data").prefix, "T.732");
  EXPECT_FALSE(split_file_name("/x/XC.data").step);
  EXPECT_EQ(meta_url("https://h/a.data?q=1.data"), "https://h/a.meta?q=1.data");
  EXPECT_EQ(data_url("/x/a.meta"), "/x/a.data");
  EXPECT_EQ(meta_url("/x/a.nc"), "");
  EXPECT_EQ(whole_name("/x/T.0000000012.001.002.data"), "T.0000000012");
  EXPECT_EQ(split_file_name("/x/T.0000000012.001.002.data").step, 12);
  EXPECT_EQ(split_file_name("/x/XC.001.001.meta").prefix, "XC");
  EXPECT_EQ(whole_name("/x/T.0000000012.data"), "");
  EXPECT_EQ(whole_url("/x/XC.003.001.data"), "/x/XC.data");
  EXPECT_EQ(whole_url("/x/XC.data"), "");
  EXPECT_EQ(place_of("UVELMASS").x, "i_g");
  EXPECT_EQ(place_of("EVEL").x, "i");
  EXPECT_EQ(place_of("GM_PsiY").y, "j_g");
  EXPECT_EQ(place_of("GM_PsiY").z, "k_l");
  EXPECT_EQ(place_of("RF").z, "k_p1");
}

/// A pair in memory; values count from 0.
struct Pair {
  std::shared_ptr<io::MemoryStore> store = std::make_shared<io::MemoryStore>();
  io::Session session;
  std::string url;

  Pair(const std::string& name, const std::string& meta, size_t values, size_t item = 4)
      : url("memory://" + name + ".data") {
    session.mount("memory", store);
    store->put("memory://" + name + ".meta", meta);
    Bytes bytes(values * item);
    for (size_t i = 0; i < values; ++i) {
      const double wide = static_cast<double>(i);
      const auto narrow = static_cast<float>(wide);
      Values one = make_number(wide);
      if (item == 4)
        one.data.assign(reinterpret_cast<const uint8_t*>(&narrow),
                        reinterpret_cast<const uint8_t*>(&narrow) + 4);
      std::reverse_copy(one.data.begin(), one.data.end(),
                        bytes.begin() + static_cast<ptrdiff_t>(i * item));
    }
    store->put(url, std::move(bytes));
  }
  Result<Dataset> open(const ScanOptions& options = {}) { return scan(session, url, options); }
  std::vector<double> read(const Dataset& dataset, const char* name) {
    const Array* array = dataset.root.find_array(name);
    std::vector<double> out;
    if (!array) return out;
    auto values = read_raw(session, dataset, *array);
    for (size_t i = 0; values && i < values->count(); ++i) out.push_back(values->number(i));
    return out;
  }
};

std::string meta_of(std::initializer_list<uint64_t> extents, const std::string& more,
                    const char* precision = "float32") {
  std::string text = "nDims = [ " + std::to_string(extents.size()) + " ]; dimList = [";
  for (const uint64_t n : extents)
    text += " " + std::to_string(n) + ", 1, " + std::to_string(n) + ",";
  return text + " ];\ndataprec = [ '" + precision + "' ];\n" + more;
}

/// Where the compact form of one level has a value of a tile.
double compact_place(uint64_t nx, uint64_t tile, uint64_t j, uint64_t i) {
  if (tile < 7) return static_cast<double>(tile * nx * nx + j * nx + i);
  const uint64_t face = tile < 10 ? 7 : 10;
  return static_cast<double>(face * nx * nx + j * 3 * nx + (tile - face) * nx + i);
}

class LlcTiles : public testing::TestWithParam<std::tuple<uint64_t, bool>> {};

TEST_P(LlcTiles, EveryValueIsInItsPlace) {
  const auto [nx, one_layout] = GetParam();
  const uint64_t levels = nx > 100 ? 1 : 2;
  Pair pair("T.0000000012", meta_of({nx, 13 * nx, levels}, "nrecords = [ 1 ];"),
            levels * 13 * nx * nx);
  ScanOptions options;
  options.one_layout = one_layout;
  auto dataset = pair.open(options);
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  const Array* array = dataset->root.find_array("T");
  ASSERT_NE(array, nullptr);
  EXPECT_THAT(array->shape, ElementsAre(1, levels, 13, nx, nx));
  EXPECT_THAT(array->dimensions, ElementsAre("timeStepNumber", "k", "tile", "j", "i"));
  EXPECT_EQ(array->segments.size(), one_layout ? 1U : 2U);
  std::vector<double> wanted;
  for (uint64_t k = 0; k < levels; ++k)
    for (uint64_t tile = 0; tile < 13; ++tile)
      for (uint64_t j = 0; j < nx; ++j)
        for (uint64_t i = 0; i < nx; ++i)
          wanted.push_back(static_cast<double>(k * 13 * nx * nx) + compact_place(nx, tile, j, i));
  EXPECT_EQ(pair.read(*dataset, "T"), wanted);
}

// 600: a face of it is cut into several chunks.
INSTANTIATE_TEST_SUITE_P(All, LlcTiles,
                         testing::Combine(testing::Values(2, 5, 600), testing::Bool()));

TEST(Mds, CompactWhereThatIsAskedFor) {
  Pair pair("T", meta_of({2, 26}, "nrecords = [ 1 ];"), 52);
  ScanOptions options;
  options.mds.tiles = false;
  auto dataset = pair.open(options);
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_THAT(dataset->root.find_array("T")->shape, ElementsAre(26, 2));
  EXPECT_THAT(dataset->root.find_array("T")->dimensions, ElementsAre("j", "i"));
}

TEST(Mds, EachFieldIsAnArray) {
  Pair pair("diag.0000000007",
            meta_of({3, 2, 2}, "nrecords = [ 2 ]; nFlds = [ 2 ]; fldList = { 'UVEL' 'WVEL' };",
                    "float64"),
            24, 8);
  auto dataset = pair.open();
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_THAT(dataset->root.find_array("UVEL")->dimensions,
              ElementsAre("timeStepNumber", "k", "j", "i_g"));
  EXPECT_THAT(dataset->root.find_array("WVEL")->dimensions,
              ElementsAre("timeStepNumber", "k_l", "j", "i"));
  EXPECT_THAT(pair.read(*dataset, "WVEL"),
              ElementsAre(12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23));
  EXPECT_THAT(pair.read(*dataset, "timeStepNumber"), ElementsAre(7));
  EXPECT_EQ(dataset->granules->size(), 1U);
  EXPECT_EQ(dataset->granules->at(0).url, pair.url);
}

TEST(Mds, RecordsWithoutNamesAreAnAxis) {
  Pair pair("forcing", meta_of({3, 1}, "nrecords = [ 2 ];"), 6);
  auto dataset = pair.open();
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_THAT(dataset->root.find_array("forcing")->dimensions, ElementsAre("record", "j", "i"));
  EXPECT_THAT(pair.read(*dataset, "forcing"), ElementsAre(0, 1, 2, 3, 4, 5));
}

TEST(Mds, APickupCountsLevelsAsRecords) {
  Pair pair("pickup.0000000004",
            meta_of({2, 1}, "nrecords = [ 7 ]; fldList = { 'Theta' 'EtaN' 'Uvel' };"), 14);
  auto dataset = pair.open();
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_THAT(dataset->root.find_array("Theta")->shape, ElementsAre(1, 3, 1, 2));
  EXPECT_THAT(pair.read(*dataset, "EtaN"), ElementsAre(6, 7));
  EXPECT_THAT(pair.read(*dataset, "Uvel"), ElementsAre(8, 9, 10, 11, 12, 13));
}

TEST(Mds, AProfileHasItsLevelsAlone) {
  Pair pair("RF", meta_of({1, 1, 4}, "nrecords = [ 1 ];"), 4);
  auto dataset = pair.open();
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_THAT(dataset->root.find_array("RF")->dimensions, ElementsAre("k_p1"));
  EXPECT_THAT(pair.read(*dataset, "RF"), ElementsAre(0, 1, 2, 3));
}

constexpr const char* kStepped =
    "nrecords = [ 1 ]; timeStepNumber = [ 24 ];\ntimeInterval = [ 43200 86400 ];\n";

TEST(MdsTime, WithoutADateStepsAreCounted) {
  Pair pair("T.0000000024", meta_of({2, 1}, kStepped), 2);
  auto dataset = pair.open();
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_THAT(pair.read(*dataset, "timeStepNumber"), ElementsAre(24));
  EXPECT_THAT(pair.read(*dataset, "timeInterval"), ElementsAre(43200, 86400));
  EXPECT_EQ(dataset->root.find_array("time"), nullptr);
}

TEST(MdsTime, WithADateItIsACfTimeWithBounds) {
  Pair pair("T.0000000024", meta_of({2, 1}, kStepped), 2);
  ScanOptions options;
  options.mds.reference = "1992-01-01T12:00:00";
  options.mds.delta_t = 3600;
  auto dataset = pair.open(options);
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_THAT(pair.read(*dataset, "time"), ElementsAre(86400));
  EXPECT_THAT(pair.read(*dataset, "time_bnds"), ElementsAre(43200, 86400));
  const Array* time = dataset->root.find_array("time");
  EXPECT_EQ(text_attribute(time->attributes, "units"), "seconds since 1992-01-01T12:00:00");
  EXPECT_EQ(text_attribute(time->attributes, "bounds"), "time_bnds");
  EXPECT_THAT(dataset->root.find_array("T")->dimensions, ElementsAre("time", "j", "i"));
}

TEST(MdsTime, TheModelsOwnDateGivesTheReference) {
  Pair pair("T.0000000024",
            meta_of({2, 1}, std::string(kStepped) + "timeStepDate = [ '1992-01-02T12:00:00' ];"),
            2);
  auto dataset = pair.open();
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_EQ(text_attribute(dataset->root.find_array("time")->attributes, "units"),
            "seconds since 1992-01-01T12:00:00");
  ScanOptions options;
  options.mds.reference = "1992-01-02";
  dataset = pair.open(options);
  ASSERT_FALSE(dataset);
  EXPECT_THAT(dataset.error().to_string(), HasSubstr("line 5: timeStepDate is 1992-01-02T12"));
}

TEST(MdsTime, WhatDisagreesIsAnError) {
  ScanOptions options;
  options.mds.delta_t = 1800;
  Pair pair("T.0000000024", meta_of({2, 1}, kStepped), 2);
  auto dataset = pair.open(options);
  ASSERT_FALSE(dataset);
  EXPECT_THAT(dataset.error().to_string(),
              HasSubstr("line 4: timeInterval ends at 86400 s, but step 24 of 1800 s each"));
  Pair other("T.0000000025", meta_of({2, 1}, kStepped), 2);
  dataset = other.open();
  ASSERT_FALSE(dataset);
  EXPECT_EQ(dataset.error().to_string(),
            "granule memory://T.0000000025.data: memory://T.0000000025.meta: "
            "line 3: timeStepNumber is 24, but the file's name says 25");
  Pair bare("T.0000000024", meta_of({2, 1}, "nrecords = [ 1 ];"), 2);
  options.mds = {};
  options.mds.reference = "1992-01-01";
  dataset = bare.open(options);
  ASSERT_FALSE(dataset);
  EXPECT_EQ(dataset.error().code, Code::kInvalidArgument);
  options.mds.delta_t = 1;
  options.mds.reference = "soon";
  dataset = bare.open(options);
  ASSERT_FALSE(dataset);
  EXPECT_EQ(dataset.error().code, Code::kInvalidArgument);
  EXPECT_THAT(dataset.error().to_string(), HasSubstr("--mds-reference 'soon'"));
}

TEST(Mds, TheSizeMustBeExact) {
  for (const size_t values : {5, 7, 0}) {
    Pair pair("T", meta_of({3, 2}, "nrecords = [ 1 ];"), values);
    auto dataset = pair.open();
    ASSERT_FALSE(dataset);
    EXPECT_EQ(dataset.error().code, Code::kInvalidData);
    EXPECT_THAT(dataset.error().to_string(),
                HasSubstr("T.data has " + std::to_string(4 * values) +
                          " bytes, but the .meta says 24: 1 record of 3 x 2 float32"));
  }
}

TEST(Mds, HalfAPairIsAnError) {
  Pair pair("T", meta_of({3, 2}, "nrecords = [ 1 ];"), 6);
  ASSERT_TRUE(pair.store->remove(pair.url));
  pair.store->forget(pair.url);
  auto dataset = scan(pair.session, "memory://T.meta");
  ASSERT_FALSE(dataset);
  EXPECT_THAT(dataset.error().to_string(), HasSubstr("a lone .meta: T.data is not there"));
  pair.store->put("memory://S.data", Bytes(24, 1));
  dataset = scan(pair.session, "memory://S.data");
  ASSERT_FALSE(dataset);
  EXPECT_THAT(dataset.error().to_string(),
              HasSubstr("what describes it is not there: memory://S.meta"));
}

/// Four pieces of a field of 6 x 4 with two levels and two records, beside each other in memory.
struct Pieces {
  std::shared_ptr<io::MemoryStore> store = std::make_shared<io::MemoryStore>();
  io::Session session;

  Pieces() {
    session.mount("memory", store);
    for (uint64_t y = 0; y < 2; ++y)
      for (uint64_t x = 0; x < 2; ++x) put(x, y);
  }
  static std::string name(uint64_t x, uint64_t y) {
    return "memory://run/T.0000000012.00" + std::to_string(x + 1) + ".00" + std::to_string(y + 1);
  }
  void put(uint64_t x, uint64_t y, const std::string& more = "") {
    const auto range = [](uint64_t n, uint64_t size) {
      return std::to_string(2 * size) + ", " + std::to_string(n * size + 1) + ", " +
             std::to_string((n + 1) * size) + ", ";
    };
    store->put(name(x, y) + ".meta",
               "nDims = [ 3 ]; dimList = [" + range(x, 3) + range(y, 2) + "2, 1, 2 ];\n" +
                   "dataprec = [ 'float32' ]; nrecords = [ 2 ]; fldList = { 'A' 'B' };\n" + more);
    Bytes bytes;
    for (uint64_t level = 0; level < 4; ++level)
      for (uint64_t j = 0; j < 2; ++j)
        for (uint64_t i = 0; i < 3; ++i) {
          const auto value = static_cast<float>(level * 24 + (2 * y + j) * 6 + 3 * x + i);
          const auto* in = reinterpret_cast<const uint8_t*>(&value);
          bytes.insert(bytes.end(), {in[3], in[2], in[1], in[0]});
        }
    store->put(name(x, y) + ".data", std::move(bytes));
  }
  Result<Dataset> open(const ScanOptions& options = {}) {
    return scan(session, name(1, 0) + ".data", options);
  }
};

TEST(MdsPieces, OneFieldWhicheverIsNamed) {
  for (const bool one_layout : {false, true}) {
    Pieces pieces;
    ScanOptions options;
    options.one_layout = one_layout;
    options.subchunk_bytes = one_layout ? 0 : options.subchunk_bytes;
    auto dataset = pieces.open(options);
    ASSERT_TRUE(dataset) << dataset.error().to_string();
    EXPECT_EQ(dataset->granules->size(), 4U);
    const Array* array = dataset->root.find_array("B");
    ASSERT_NE(array, nullptr);
    EXPECT_THAT(array->shape, ElementsAre(1, 2, 4, 6));
    EXPECT_EQ(array->segments.size(), 4U);
    EXPECT_THAT(array->chunk_shape, ElementsAre(1, 2, 2, 3));
    auto values = read_raw(pieces.session, *dataset, *array);
    ASSERT_TRUE(values) << values.error().to_string();
    for (size_t n = 0; n < 48; ++n) EXPECT_EQ(values->number(n), 48 + static_cast<double>(n));
  }
}

TEST(MdsPieces, AllMustBeThereAndAgree) {
  const auto error = [](Pieces& pieces) {
    auto dataset = pieces.open();
    return dataset ? "" : dataset.error().to_string();
  };
  Pieces missing;
  ASSERT_TRUE(missing.store->remove(Pieces::name(0, 1) + ".meta"));
  EXPECT_THAT(error(missing), HasSubstr("3 pieces hold 36 of the 48 values of a record"));
  Pieces lone;
  ASSERT_TRUE(lone.store->remove(Pieces::name(0, 1) + ".data"));
  EXPECT_THAT(error(lone), HasSubstr("a lone .meta: memory://run/T.0000000012.001.002.data"));
  Pieces other;
  other.put(0, 1, "timeInterval = [ 7 ];");
  EXPECT_THAT(error(other),
              HasSubstr("T.0000000012.001.002.data: timeInterval is 7, in the first"));
  Pieces cut;
  cut.store->put(Pieces::name(1, 1) + ".data", Bytes(8));
  EXPECT_THAT(error(cut),
              HasSubstr("T.0000000012.002.002.data has 8 bytes, but the .meta says 96"));
  Pieces broken;
  broken.put(1, 1, "nDims");
  EXPECT_THAT(error(broken), HasSubstr("002.002.meta: line 3: nDims: '=' is expected"));
  Pieces twice;
  twice.store->put("memory://run/T.0000000012.003.001.meta",
                   "nDims = [ 3 ]; dimList = [ 6 1 3 4 1 2 2 1 2 ]; dataprec = [ 'float32' ]; "
                   "nrecords = [ 2 ]; fldList = { 'A' 'B' };");
  twice.store->put("memory://run/T.0000000012.003.001.data", Bytes(96));
  EXPECT_THAT(error(twice), HasSubstr("001.001.data and T.0000000012.003.001.data hold the same"));
  Pieces sphere;
  sphere.put(0, 0, "map2glob = [ 3, 6 ];");
  auto dataset = sphere.open();
  ASSERT_FALSE(dataset);
  EXPECT_EQ(dataset.error().code, Code::kUnsupported);
  EXPECT_THAT(dataset.error().to_string(), HasSubstr("line 3: map2glob = [ 3, 6 ]: pieces"));
}

TEST(Mds, AttributesAreKept) {
  Pair pair("T",
            meta_of({3, 2},
                    "nrecords = [ 1 ]; missingValue = [ -999 ]; timeStepNumber = [ 0 ];"
                    "simulation = { 'a run' }; map2glob = [ 3 4 ];"),
            6);
  auto dataset = pair.open();
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  const Attributes& root = dataset->root.attributes;
  EXPECT_EQ(text_attribute(root, "simulation"), "a run");
  EXPECT_EQ(number_attribute(root, "timeStepNumber"), 0);
  EXPECT_EQ(find_attribute(root, "map2glob")->value.count(), 2U);
  const Array* array = dataset->root.find_array("T");
  EXPECT_EQ(number_attribute(array->attributes, "missing_value"), -999);
  EXPECT_EQ(find_attribute(array->attributes, "missing_value")->value.type.size, 4U);
  ScanOptions options;
  options.drop = {"T"};
  dataset = pair.open(options);
  ASSERT_TRUE(dataset);
  EXPECT_THAT(dataset->dropped, ElementsAre("/T"));
  EXPECT_THAT(dataset->root.arrays, IsEmpty());
}

}  // namespace
}  // namespace upwell::format::mds
