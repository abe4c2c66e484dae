#include "refs/kerchunk_json_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cube/read.hpp"
#include "io/memory_store.hpp"
#include "refs/kerchunk_templates.hpp"
#include "refs/open.hpp"

namespace upwell::refs {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

constexpr const char* kZarray =
    R"({\"zarr_format\":2,\"shape\":[4],\"chunks\":[2],\"dtype\":\"<i2\",\"compressor\":null,)"
    R"(\"filters\":null,\"fill_value\":-1,\"order\":\"C\"})";

std::string version0(const std::string& chunks) {
  return std::string(R"({".zgroup":"{\"zarr_format\":2}","g/v/.zarray":")") + kZarray +
         R"(","g/v/.zattrs":{"_ARRAY_DIMENSIONS":["x"],"units":"m"})" + chunks + "}";
}

Result<Dataset> parse(const std::string& text, const std::string& base = "memory://d/set.json") {
  return read_kerchunk_json(
      as_bytes(text),
      {{base, std::make_shared<io::Reach>(base, io::ReachOptions{}), {}}, {}, 1000});
}

TEST(KerchunkJson, Version0WithInlineAndRanges) {
  auto store = std::make_shared<io::MemoryStore>();
  io::Session session;
  session.mount("memory", store);
  store->put("memory://d/data.bin", std::string_view("xx\x01\x00\x02\x00", 6));
  store->put("memory://d/set.json",
             version0(R"(,"g/v/0":["data.bin",2,4],"g/v/1":"base64:AwAEAA==")"));
  auto dataset = open_source(session, "memory://d/set.json");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  const Array* v = dataset->root.find_array("g/v");
  ASSERT_NE(v, nullptr);
  EXPECT_THAT(v->dimensions, ElementsAre("x"));
  EXPECT_EQ(text_attribute(v->attributes, "units"), "m");
  EXPECT_EQ(number_attribute(v->attributes, "_FillValue"), -1);
  EXPECT_EQ(dataset->root.find_group("g")->dimensions.at(0).size, 4U);
  auto values = read_raw(session, *dataset, *v);
  ASSERT_TRUE(values) << values.error().to_string();
  EXPECT_EQ(values->integer(0), 1);
  EXPECT_EQ(values->integer(3), 4);
}

TEST(KerchunkJson, MissingChunksAndKeysOutsideOfTheGrid) {
  auto dataset = parse(version0(R"(,"g/v/7":["data.bin"],"g/v/1":["data.bin"],"README":"hi")"));
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  const auto& chunks = *dataset->root.find_array("g/v")->segments[0].chunks;
  EXPECT_EQ(chunks.at(0)->state, ChunkRef::State::kMissing);
  EXPECT_EQ(chunks.at(1)->length, io::kToEnd);
}

TEST(KerchunkJson, Version1TemplatesAndGen) {
  const std::string text = std::string(R"({"version":1,"templates":{"u":"s3://b/file",)") +
                           R"("f":"s3://b/{{c}}"},"gen":[{"key":"v/{{i}}","url":"{{u}}{{i}}.nc",)" +
                           R"("offset":"{{(i + 1) * 1000}}","length":"{{ 10 - i }}",)" +
                           R"("dimensions":{"i":{"stop":1}}}],"refs":{"v/.zarray":")" + kZarray +
                           R"(","v/1":["{{f(c='text')}}",5,4]}})";
  auto dataset = parse(text);
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  const auto& chunks = *dataset->root.find_array("v")->segments[0].chunks;
  const ChunkRef first = *chunks.at(0);
  EXPECT_EQ(dataset->granules->at(first.granule).url, "s3://b/file0.nc");
  EXPECT_EQ(first.offset, 1000U);
  EXPECT_EQ(first.length, 10U);
  EXPECT_EQ(dataset->granules->at(chunks.at(1)->granule).url, "s3://b/text");
}

TEST(KerchunkJson, ReferencesFromTheNetworkNameNoLocalFiles) {
  for (const char* url : {"file:///etc/passwd", "/etc/passwd", "memory://x"}) {
    auto dataset = parse(version0(std::string(R"(,"g/v/0":[")") + url + R"(",0,4])"),
                         "https://example.org/set.json");
    ASSERT_FALSE(dataset) << url;
    EXPECT_EQ(dataset.error().code, Code::kPermissionDenied) << url;
  }
  auto dataset = parse(version0(R"(,"g/v/0":["data/a.nc",0,4])"), "https://example.org/s/set.json");
  ASSERT_TRUE(dataset);
  EXPECT_EQ(dataset->granules->at(0).url, "https://example.org/s/data/a.nc");
}

TEST(KerchunkJson, BadReferencesNameTheirKey) {
  for (const char* value : {"[\"u\",1]", "[\"u\",-1,4]", "[1,2,3]", "5", "\"base64:%\"", "[]",
                            "[\"u\",1,99999999999999999999]"}) {
    auto dataset = parse(version0(std::string(R"(,"g/v/0":)") + value));
    ASSERT_FALSE(dataset) << value;
    EXPECT_EQ(dataset.error().code, Code::kInvalidData) << value;
    EXPECT_THAT(dataset.error().to_string(), HasSubstr("g/v/0")) << value;
  }
  for (const char* text :
       {"{", "{}", "[]", "{\"a\":1}", "{\"version\":2,\"refs\":{}}", "{\"refs\":5}"}) {
    EXPECT_FALSE(parse(text)) << text;
  }
}

TEST(KerchunkJson, AnArrayThatIsNotUnderstoodIsAProblem) {
  auto dataset = parse(R"({"v/.zarray":{"zarr_format":2,"shape":[1],"chunks":[1],"dtype":"<q9"}})");
  ASSERT_TRUE(dataset);
  ASSERT_EQ(dataset->problems.size(), 1U);
  EXPECT_EQ(dataset->problems[0].path, "/v");
}

TEST(KerchunkJson, AHugeGridOfFewChunksStaysSmall) {
  auto dataset = parse(
      R"({"v/.zarray":{"zarr_format":2,"shape":[1000000000000],"chunks":[1],"dtype":"|u1",)"
      R"("compressor":null,"filters":null,"fill_value":null,"order":"C"},"v/999999999999":["u",3,1]})");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  const auto& chunks = *dataset->root.find_array("v")->segments[0].chunks;
  EXPECT_LT(chunks.memory(), 1000U);
  EXPECT_EQ(chunks.at(999999999999)->offset, 3U);
  EXPECT_EQ(chunks.at(5)->state, ChunkRef::State::kMissing);
}

TEST(Templates, ArithmeticIsPythons) {
  const Templates t;
  EXPECT_EQ(t.render("{{ -7 // 2 }},{{ -7 % 3 }},{{2*(3+4)-1}}").value(), "-4,2,13");
  EXPECT_EQ(t.render("{{ 1 / 2 }}").error().code, Code::kUnsupported);
  EXPECT_EQ(t.render("{{ x }}").error().code, Code::kInvalidData);
  EXPECT_EQ(t.render("{{ 9223372036854775807 + 1 }}").error().code, Code::kInvalidData);
  EXPECT_FALSE(t.render("{{ ().__class__ }}"));
  EXPECT_FALSE(t.render(std::string(100000, '(') + "{{" + std::string(100000, '(') + "}}"));
}

TEST(Templates, EndlessCallsEnd) {
  Templates t;
  t.define("f", "{{f(a='x')}}");
  EXPECT_EQ(t.render("{{f(a='y')}}").error().code, Code::kInvalidData);
}

}  // namespace
}  // namespace upwell::refs
