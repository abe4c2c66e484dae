#include "refs/zarr_metadata.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "refs/zarr_array_cache.hpp"

namespace upwell::refs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

std::string zarray(const std::string& dtype, const std::string& fill,
                   const std::string& more = R"("compressor":null,"filters":null)") {
  return R"({"zarr_format":2,"shape":[4,6],"chunks":[2,3],"order":"C","dtype":)" + dtype +
         R"(,"fill_value":)" + fill + "," + more + "}";
}

TEST(ZarrKeys, BothWays) {
  const Shape grid = {3, 4};
  EXPECT_EQ(chunk_key({'.', false}, {2, 1}), "2.1");
  EXPECT_EQ(chunk_key({'/', true}, {2, 1}), "c/2/1");
  EXPECT_EQ(chunk_position({'.', false}, grid, "2.1"), 9U);
  EXPECT_EQ(chunk_position({'/', true}, grid, "c/2/1"), 9U);
  EXPECT_EQ(chunk_position({'.', false}, {}, "0"), 0U);
  EXPECT_EQ(chunk_position({'/', true}, {}, "c"), 0U);
  for (const char* key : {"3.0", "2", "2.1.0", "2.", "-1.0", "2.x", "", "99999999999999999999.0"}) {
    EXPECT_EQ(chunk_position({'.', false}, grid, key), std::nullopt) << key;
  }
}

TEST(Zarr2, FillValuesOfEveryForm) {
  const auto fill = [](const std::string& dtype, const std::string& value) {
    auto array = parse_zarr2_array(zarray(dtype, value), "");
    EXPECT_TRUE(array) << dtype << value << (array ? "" : array.error().to_string());
    return array ? array->array.fill : std::nullopt;
  };
  EXPECT_EQ(fill("\"<i2\"", "null"), std::nullopt);
  EXPECT_THAT(*fill("\"<i2\"", "-2"), ElementsAre(0xFE, 0xFF));
  EXPECT_THAT(*fill("\">i2\"", "258"), ElementsAre(1, 2));
  EXPECT_THAT(*fill("\">f4\"", "1.5"), ElementsAre(0x3F, 0xC0, 0, 0));
  EXPECT_TRUE(std::isnan(load_le<float>(fill("\"<f4\"", "\"NaN\"")->data())));
  EXPECT_TRUE(std::isnan(load_le<double>(fill("\"<f8\"", "NaN")->data())));
  EXPECT_EQ(load_le<double>(fill("\"<f8\"", "\"-Infinity\"")->data()), -INFINITY);
  EXPECT_THAT(*fill("\"|S3\"", "\"YWI=\""), ElementsAre('a', 'b', 0));
  EXPECT_THAT(*fill("\"<U1\"", "\"a\""), ElementsAre('a', 0, 0, 0));
  EXPECT_THAT(*fill("\"|b1\"", "true"), ElementsAre(1));
  EXPECT_THAT(*fill(R"([["a","<i2"],["b","|u1"]])", "\"AQID\""), ElementsAre(1, 2, 3));
}

TEST(ZarrArrayCache, OnlyTheSameDocumentsGiveTheSameArray) {
  ZarrArrayCache cache;
  for (int round = 0; round < 2; ++round) {
    for (const char* dtype : {R"("<i2")", R"("<f4")"}) {
      for (const char* units : {"K", "m"}) {
        const std::string zattrs = std::string(R"({"units":")") + units + R"("})";
        for (int again = 0; again < 2; ++again) {
          auto array = cache.parse_zarr2("v", zarray(dtype, "0"), zattrs);
          ASSERT_TRUE(array);
          EXPECT_EQ(array->array.type.size, dtype[3] == '2' ? 2U : 4U);
          EXPECT_EQ(text_attribute(array->array.attributes, "units"), units);
        }
      }
    }
    EXPECT_FALSE(cache.parse_zarr2("v", "{}", ""));
  }
}

TEST(Zarr2, WrongFieldsAreNamed) {
  const auto error = [](const std::string& text) {
    auto array = parse_zarr2_array(text, "");
    return array ? std::string("fine") : array.error().to_string();
  };
  EXPECT_THAT(error(zarray("\"<i2\"", "70000")), HasSubstr("fill_value"));
  EXPECT_THAT(error(R"({"zarr_format":2,"shape":[4],"chunks":[0],"dtype":"|u1"})"),
              HasSubstr("chunks"));
  EXPECT_THAT(error(R"({"zarr_format":2,"shape":[-4],"chunks":[1],"dtype":"|u1"})"),
              HasSubstr("shape"));
  EXPECT_THAT(error(R"({"zarr_format":2,"shape":[4],"chunks":[2],"dtype":"|O","filters":null})"),
              HasSubstr("object codec"));
  EXPECT_THAT(error("{"), HasSubstr("JSON"));
  EXPECT_THAT(error(std::string(1000, '[')), HasSubstr("nested"));
}

TEST(Zarr2, WhatIsReadIsWrittenBack) {
  const std::string text = zarray(
      "\"<f4\"", "-999.0",
      R"("filters":[{"id":"shuffle","elementsize":4}],"compressor":{"id":"zlib","level":5})");
  const std::string attributes =
      R"({"units":"m","scale_factor":0.5,"flags":[1,2,3],"names":["a","b"],"deep":{"x":[1,null]},"_ARRAY_DIMENSIONS":["y","x"]})";
  auto array = parse_zarr2_array(text, attributes);
  ASSERT_TRUE(array) << array.error().to_string();
  EXPECT_EQ(array->layout->codecs.size(), 2U);
  EXPECT_EQ(array->layout->codecs[0].id, "shuffle");
  EXPECT_EQ(array->layout->codecs[1].config, R"({"level":5})");
  EXPECT_EQ(number_attribute(array->array.attributes, "_FillValue"), -999);
  Segment segment;
  segment.layout = array->layout;
  array->array.segments.push_back(segment);
  const ZarrView view = stored_view(array->array);
  EXPECT_EQ(
      zarr2_array_json(array->array, view).value(),
      R"({"chunks":[2,3],"compressor":{"id":"zlib","level":5},"dtype":"<f4","fill_value":-999.0,)"
      R"("filters":[{"id":"shuffle","elementsize":4}],"order":"C","shape":[4,6],"zarr_format":2})");
  EXPECT_EQ(zarr2_attributes_json(array->array, view).value(), attributes);
}

TEST(Zarr2, AFillThatTheUserDidNotSetMasksNothing) {
  Array array;
  array.type = DataType::integer(2);
  array.shape = array.chunk_shape = {2};
  array.fill = Bytes{0, 0};
  Zarr2Fill fill = zarr2_fill(array, stored_view(array));
  EXPECT_EQ(fill.fill, std::nullopt);
  EXPECT_TRUE(fill.store_missing);
  array.attributes.push_back({"_FillValue", make_integer(-1), false});
  fill = zarr2_fill(array, stored_view(array));
  EXPECT_EQ(fill.fill, (Bytes{0xFF, 0xFF}));
  EXPECT_TRUE(fill.store_missing) << "gaps are 0, and would read as -1";
  array.fill = Bytes{0xFF, 0xFF};
  EXPECT_FALSE(zarr2_fill(array, stored_view(array)).store_missing);
}

TEST(Zarr2, AttributesAreStrictJson) {
  Group group;
  group.attributes.push_back({"nan", make_number(NAN), false});
  group.attributes.push_back({"latin", make_text("caf\xE9"), false});
  group.attributes.push_back({"empty", make_text(""), false});
  group.attributes.push_back({"none", {}, true});
  EXPECT_EQ(zarr2_attributes_json(group).value(),
            "{\"nan\":\"NaN\",\"latin\":\"caf\xC3\xA9\",\"empty\":\"\",\"none\":null}");
}

TEST(Zarr3, RoundTrip) {
  const std::string text =
      R"({"zarr_format":3,"node_type":"array","shape":[4,6],"data_type":"float32",)"
      R"("chunk_grid":{"name":"regular","configuration":{"chunk_shape":[2,3]}},)"
      R"("chunk_key_encoding":{"name":"default","configuration":{"separator":"/"}},)"
      R"("fill_value":"NaN","codecs":[{"name":"transpose","configuration":{"order":[1,0]}},)"
      R"({"name":"bytes","configuration":{"endian":"big"}},)"
      R"({"name":"numcodecs.zlib","configuration":{"level":5}},{"name":"crc32c"}],)"
      R"("attributes":{"units":"m","_FillValue":"AAAAAAAA+H8="},"dimension_names":["y","x"]})";
  auto node = parse_zarr3(text);
  ASSERT_TRUE(node) << node.error().to_string();
  ASSERT_TRUE(node->array);
  ZarrArray& array = *node->array;
  EXPECT_TRUE(array.layout->fortran_order);
  EXPECT_EQ(array.layout->type.order, ByteOrder::kBig);
  EXPECT_EQ(array.layout->codecs[0].id, "zlib");
  EXPECT_TRUE(std::isnan(*number_attribute(array.array.attributes, "_FillValue")));
  Segment segment;
  segment.layout = array.layout;
  array.array.segments.push_back(segment);
  ZarrView view = stored_view(array.array);
  view.keys = array.keys;
  EXPECT_EQ(zarr3_array_json(array.array, view).value(), text);
}

TEST(Zarr3, ConfigurationsOfBloscMayBeAnything) {
  const auto written = [](const std::string& config) {
    Array array;
    array.type = DataType::floating(4);
    array.shape = array.chunk_shape = {2};
    ZarrView view = stored_view(array);
    view.codecs = {{"blosc", config}};
    return zarr3_array_json(array, view);
  };
  const auto words = written(R"({"clevel":5,"cname":"lz4","shuffle":"bitshuffle"})");
  ASSERT_TRUE(words) << words.error().to_string();
  EXPECT_NE(words->find(R"("shuffle":"bitshuffle")"), words->npos);
  for (const char* config : {R"({"cname":3})", R"({"clevel":"x"})", R"({"blocksize":[]})",
                             R"({"shuffle":1.5})", R"({"shuffle":null})"}) {
    const auto wrong = written(config);
    ASSERT_FALSE(wrong) << config;
    EXPECT_EQ(wrong.error().code, Code::kInvalidData) << config;
  }
}

TEST(Zarr3, WhatIsNotReadIsRefused) {
  const auto code = [](const std::string& codecs) {
    auto node =
        parse_zarr3(R"({"zarr_format":3,"node_type":"array","shape":[4,6],"data_type":"int16",)"
                    R"("chunk_grid":{"name":"regular","configuration":{"chunk_shape":[2,3]}},)"
                    R"("chunk_key_encoding":"default","fill_value":0,"codecs":)" +
                    codecs + "}");
    return node ? Code::kInternal : node.error().code;
  };
  EXPECT_EQ(code(R"([{"name":"zfpy"}])"), Code::kUnsupported);
  EXPECT_EQ(code(R"([{"name":"sharding_indexed"}])"), Code::kInvalidData);
  EXPECT_EQ(code(R"([{"name":"transpose","configuration":{"order":[0]}}])"), Code::kInvalidData);
  EXPECT_EQ(code("5"), Code::kInvalidData);
}

TEST(Zarr2, ConsolidatedHoldsEveryDocument) {
  Group root;
  Group child;
  child.name = "g";
  root.groups.push_back(child);
  const auto documents = zarr2_documents(root);
  ASSERT_TRUE(documents);
  EXPECT_EQ(
      zarr2_consolidated_json(*documents).value(),
      R"({"metadata":{".zgroup":{"zarr_format":2},".zattrs":{},"g/.zgroup":{"zarr_format":2},)"
      R"("g/.zattrs":{}},"zarr_consolidated_format":1})");
}

}  // namespace
}  // namespace upwell::refs
