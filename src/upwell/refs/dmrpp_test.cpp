#include "refs/dmrpp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cube/read.hpp"
#include "io/memory_store.hpp"
#include "refs/base64.hpp"
#include "refs/open.hpp"

namespace upwell::refs {
namespace {

using ::testing::HasSubstr;

struct DmrppTest : ::testing::Test {
  io::Session session;
  std::shared_ptr<io::MemoryStore> store = std::make_shared<io::MemoryStore>();
  DmrppTest() { session.mount("memory", store); }

  static std::string document(const std::string& body, const std::string& more = "") {
    return R"(<?xml version="1.0" encoding="ISO-8859-1"?>
<Dataset xmlns="http://xml.opendap.org/ns/DAP/4.0#" xmlns:dmrpp="http://xml.opendap.org/dap/dmrpp/1.0.0#"
 name="g" dmrpp:href="OPeNDAP_DMRpp_DATA_ACCESS_URL" dmrpp:version="3.21.1" )" +
           more + ">" + body + "</Dataset>";
  }
  Result<Dataset> open(const std::string& body, const std::string& more = "") {
    session.forget("memory://d/g.dmrpp");
    store->put("memory://d/g.dmrpp", document(body, more));
    return open_source(session, "memory://d/g.dmrpp");
  }
  std::vector<double> numbers(const Dataset& dataset, const std::string& path) {
    const Array* array = dataset.root.find_array(path);
    EXPECT_NE(array, nullptr) << path;
    if (!array) return {};
    auto values = read_raw(session, dataset, *array, {});
    EXPECT_TRUE(values) << values.error().to_string();
    std::vector<double> out;
    for (size_t i = 0; values && i < values->count(); ++i) out.push_back(values->number(i));
    return out;
  }
  std::vector<std::string> texts(const Dataset& dataset, const std::string& path) {
    const Array* array = dataset.root.find_array(path);
    EXPECT_NE(array, nullptr) << path;
    if (!array) return {};
    auto values = read_raw(session, dataset, *array, {});
    EXPECT_TRUE(values) << values.error().to_string();
    std::vector<std::string> out;
    for (size_t i = 0; values && i < values->count(); ++i) out.push_back(values->text(i));
    return out;
  }
};

constexpr const char* kBigChunks = R"(
<Dimension name="x" size="5"/>
<Int16 name="v"><Dim name="/x"/>
 <dmrpp:chunks byteOrder="BE" fillValue="-7"><dmrpp:chunkDimensionSizes>2</dmrpp:chunkDimensionSizes>
  <dmrpp:chunk offset="4" nBytes="4" chunkPositionInArray="[0]"/>
  <dmrpp:chunk offset="0" nBytes="4" chunkPositionInArray="[4]"/>
 </dmrpp:chunks></Int16>)";

TEST_F(DmrppTest, PositionsAreElementsAndMissingChunksFill) {
  store->put("memory://d/g", Bytes{0, 5, 0, 0, 0, 1, 0, 2});
  auto dataset = open(kBigChunks);
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_EQ(dataset->format, "dmrpp");
  EXPECT_EQ(numbers(*dataset, "v"), (std::vector<double>{1, 2, -7, -7, 5}));
  EXPECT_EQ(dataset->root.find_array("v")->dimensions, std::vector<std::string>{"x"});
}

TEST_F(DmrppTest, ChunksBeyondTheGranuleAreRefused) {
  store->put("memory://d/g", Bytes(7, 0));
  auto dataset = open(kBigChunks);
  ASSERT_TRUE(dataset);
  ASSERT_EQ(dataset->problems.size(), 1u);
  EXPECT_EQ(dataset->problems[0].error.code, Code::kChanged);
}

TEST_F(DmrppTest, FilterMasksAndChunksInOtherObjects) {
  store->put("memory://d/g", Bytes{1, 2, 3, 4});
  store->put("memory://d/side", Bytes{9, 9, 8, 8});
  auto dataset = open(R"(<Byte name="v"><Dim size="8"/>
    <dmrpp:chunks compressionType="shuffle deflate"><dmrpp:chunkDimensionSizes>4</dmrpp:chunkDimensionSizes>
     <dmrpp:chunk offset="0" nBytes="4" fm="3" chunkPositionInArray="[0]"/>
     <dmrpp:chunk offset="0" nBytes="4" fm="3" chunkPositionInArray="[4]" href="side"/>
    </dmrpp:chunks></Byte>)");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  ASSERT_TRUE(dataset->problems.empty()) << dataset->problems[0].error.to_string();
  EXPECT_EQ(numbers(*dataset, "v"), (std::vector<double>{1, 2, 3, 4, 9, 9, 8, 8}));
  EXPECT_TRUE(dataset->root.arrays[0].segments[0].chunks->has_filter_masks());
}

TEST_F(DmrppTest, BlocksMakeOneChunkTogether) {
  store->put("memory://d/g", Bytes{3, 4, 0, 1, 2, 5, 6});
  auto dataset = open(R"(<Byte name="whole"><Dim size="4"/><dmrpp:chunks>
      <dmrpp:block offset="3" nBytes="2"/><dmrpp:block offset="0" nBytes="2"/></dmrpp:chunks></Byte>
    <Byte name="chunked"><Dim size="6"/><dmrpp:chunks LBChunk="true">
      <dmrpp:chunkDimensionSizes>3</dmrpp:chunkDimensionSizes>
      <dmrpp:chunk offset="3" nBytes="2" chunkPositionInArray="[0]" LinkedBlockIndex="0"/>
      <dmrpp:chunk offset="0" nBytes="1" chunkPositionInArray="[0]" LinkedBlockIndex="1"/>
      <dmrpp:chunk offset="1" nBytes="3" chunkPositionInArray="[3]"/></dmrpp:chunks></Byte>)");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  ASSERT_TRUE(dataset->problems.empty()) << dataset->problems[0].error.to_string();
  EXPECT_EQ(numbers(*dataset, "whole"), (std::vector<double>{1, 2, 3, 4}));
  EXPECT_EQ(numbers(*dataset, "chunked"), (std::vector<double>{1, 2, 3, 4, 0, 1}));
}

TEST_F(DmrppTest, ValuesInTheDocument) {
  store->put("memory://d/g", "x");
  auto dataset = open(
      R"(<Int16 name="compact"><Dim size="2"/><dmrpp:chunks fillValue="0"/>
          <dmrpp:compact>AQACAA==</dmrpp:compact></Int16>
         <String name="text"><dmrpp:compact>aGk=</dmrpp:compact></String>
         <Byte name="one"><dmrpp:missingdata>cA==</dmrpp:missingdata></Byte>
         <String name="texts"><Dim size="4"/><dmrpp:vlsa><v>a</v><v c="2">  </v><v/></dmrpp:vlsa></String>
         <String name="older"><Dim size="2"/><dmrpp:vlsa>YWI=;;</dmrpp:vlsa></String>
         <Structure name="s"><Int32 name="n"/><String name="t"/><dmrpp:chunks fillValue="0"/>
          <dmrpp:specialstructuredata>)" +
      base64_encode(to_bytes(std::string("\x01\0\0\0YWI=;", 9))) +
      R"(</dmrpp:specialstructuredata></Structure>)");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  ASSERT_TRUE(dataset->problems.empty()) << dataset->problems[0].error.to_string();
  EXPECT_EQ(numbers(*dataset, "compact"), (std::vector<double>{1, 2}));
  EXPECT_EQ(texts(*dataset, "text"), std::vector<std::string>{"hi"});
  EXPECT_EQ(numbers(*dataset, "one"), std::vector<double>{'p'});
  EXPECT_EQ(texts(*dataset, "texts"), (std::vector<std::string>{"a", "  ", "  ", ""}));
  EXPECT_EQ(texts(*dataset, "older"), (std::vector<std::string>{"ab", ""}));
  const Array* structure = dataset->root.find_array("s");
  ASSERT_NE(structure, nullptr);
  auto values = read_raw(session, *dataset, *structure, {});
  ASSERT_TRUE(values) << values.error().to_string();
  EXPECT_EQ(load_le<int32_t>(values->data.data()), 1);
  EXPECT_EQ(as_text(values->heap), "ab");
}

TEST_F(DmrppTest, StringsOfOldDocuments) {
  // A heap collection of one object, "hello", as HDF5 has it; then its handle, and texts.
  Bytes granule(4096, 0);
  const auto put = [&](size_t at, std::string_view bytes) {
    std::copy(bytes.begin(), bytes.end(), granule.begin() + static_cast<std::ptrdiff_t>(at));
  };
  put(512, std::string_view(
               "GCOL\x01\0\0\0\x40\0\0\0\0\0\0\0\x01\0\x01\0\0\0\0\0\x05\0\0\0\0\0\0\0hello", 37));
  put(0, std::string_view("\x05\0\0\0\0\x02\0\0\0\0\0\0\x01\0\0\0", 16));
  put(16, "a text of sixtee");
  put(32, std::string_view("abcde\0ghi", 9));
  store->put("memory://d/g", granule);
  auto dataset = open(R"(<String name="handle"><dmrpp:chunk offset="0" nBytes="16"/></String>
    <String name="text"><dmrpp:chunk offset="16" nBytes="16"/></String>
    <String name="three"><Dim size="3"/><dmrpp:chunks>
      <dmrpp:chunkDimensionSizes>3</dmrpp:chunkDimensionSizes>
      <dmrpp:chunk offset="32" nBytes="9" chunkPositionInArray="[0]"/></dmrpp:chunks></String>
    <String name="odd"><Dim size="2"/><dmrpp:chunks>
      <dmrpp:chunk offset="32" nBytes="9"/></dmrpp:chunks></String>)");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_EQ(texts(*dataset, "handle"), std::vector<std::string>{"hello"});
  EXPECT_EQ(texts(*dataset, "text"), std::vector<std::string>{"a text of sixtee"});
  EXPECT_EQ(texts(*dataset, "three"), (std::vector<std::string>{"abc", "de", "ghi"}));
  ASSERT_EQ(dataset->problems.size(), 1u);
  EXPECT_EQ(dataset->problems[0].path, "/odd");
}

TEST_F(DmrppTest, GroupsDimensionsAndAttributes) {
  store->put("memory://d/g", Bytes(8, 1));
  auto dataset = open(R"(<Dimension name="x" size="2"/><Dimension name="t" size="1"/>
    <Attribute name="DODS_EXTRA" type="Container"><Attribute name="Unlimited_Dimension" type="String">
      <Value>t</Value></Attribute></Attribute>
    <Attribute name="outer" type="Container"><Attribute name="n" type="Float64"><Value>1.5</Value>
      <Value>nan</Value></Attribute></Attribute>
    <Group name="a"><Dimension name="x" size="3"/>
     <Byte name="v"><Dim name="/t"/><Dim name="/x"/><Attribute name="units" type="String"><Value>m &amp; s</Value></Attribute>
      <dmrpp:chunks><dmrpp:chunk offset="0" nBytes="2"/></dmrpp:chunks></Byte></Group>)");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  ASSERT_TRUE(dataset->problems.empty()) << dataset->problems[0].error.to_string();
  const Array* v = dataset->root.find_array("a/v");
  ASSERT_NE(v, nullptr);
  EXPECT_EQ(v->shape, (Shape{1, 2}));
  // "x" alone would find the one of group a.
  EXPECT_EQ(dataset->root.find_array("a/v")->dimensions, (std::vector<std::string>{"t", "x"}));
  EXPECT_EQ(text_attribute(v->attributes, "units"), "m & s");
  ASSERT_EQ(dataset->root.attributes.size(), 1u);
  EXPECT_EQ(dataset->root.attributes[0].name, "outer.n");
  EXPECT_EQ(dataset->root.attributes[0].value.number(0), 1.5);
  EXPECT_TRUE(dataset->root.dimensions[1].unlimited);
}

TEST_F(DmrppTest, WhatIsWrongIsSaid) {
  store->put("memory://d/g", Bytes(64, 0));
  const auto problem = [&](const std::string& body) -> std::string {
    auto dataset = open(body);
    if (!dataset) return dataset.error().to_string();
    return dataset->problems.empty() ? "nothing" : dataset->problems[0].error.to_string();
  };
  const auto chunks = [](const std::string& attributes, const std::string& list) {
    return R"(<Int32 name="v"><Dim size="4"/><dmrpp:chunks )" + attributes +
           "><dmrpp:chunkDimensionSizes>2</dmrpp:chunkDimensionSizes>" + list +
           "</dmrpp:chunks></Int32>";
  };
  const std::string first = R"(<dmrpp:chunk offset="0" nBytes="8" chunkPositionInArray="[0]"/>)";
  EXPECT_EQ(problem(chunks("", first)), "nothing");
  EXPECT_THAT(problem(chunks("", first + first)), HasSubstr("two chunks at one place"));
  EXPECT_THAT(
      problem(chunks("", R"(<dmrpp:chunk offset="0" nBytes="8" chunkPositionInArray="[1]"/>)")),
      HasSubstr("off the grid"));
  EXPECT_THAT(problem(chunks("", R"(<dmrpp:chunk offset="x" nBytes="8"/>)")),
              HasSubstr("no number"));
  EXPECT_THAT(problem(chunks("", R"(<dmrpp:chunk offset="0" nBytes="8"/>)")),
              HasSubstr("without its place"));
  EXPECT_THAT(problem(chunks(R"(compressionType="szip")", first)), HasSubstr("szip"));
  EXPECT_THAT(problem(R"(<Int32 name="v"><Dim name="/none"/></Int32>)"), HasSubstr("not defined"));
  EXPECT_THAT(problem(R"(<Int32 name="v"/>)"), HasSubstr("where its values are"));
  EXPECT_THAT(problem(R"(<String name="v"><Dim size="1000000000000"/><dmrpp:vlsa>
    <v c="1000000000000">x</v></dmrpp:vlsa></String>)"),
              HasSubstr("256 MiB"));
  EXPECT_THAT(problem(R"(<Structure name="v"><Byte name="b"><Dim size="0"/></Byte>
    <Dim size="1000000000000"/><dmrpp:specialstructuredata/></Structure>)"),
              HasSubstr("no elements"));
  EXPECT_THAT(problem(R"(<Structure name="v"><String name="b"><Dim size="0"/></String>
    <Dim size="1000000000000"/><dmrpp:specialstructuredata/></Structure>)"),
              HasSubstr("structures in 0 bytes"));
  EXPECT_THAT(problem("<a"), HasSubstr("XML"));
  store->put("memory://d/h.dmrpp",
             "<!DOCTYPE Dataset [<!ENTITY x \"y\">]>" + document("").substr(44));
  EXPECT_FALSE(open_source(session, "memory://d/h.dmrpp"));
}

TEST_F(DmrppTest, SidecarsAreUsedWhenTheyAgree) {
  store->put("memory://d/g.hdf", Bytes{0x0e, 0x03, 0x13, 0x01, 7, 8});
  const std::string body = R"(<Byte name="v"><Dim size="2"/><dmrpp:chunks>
    <dmrpp:chunk offset="4" nBytes="2"/></dmrpp:chunks></Byte>)";
  EXPECT_EQ(open_source(session, "memory://d/g.hdf").error().code, Code::kUnsupported);
  store->put("memory://d/g.hdf.dmrpp", document(body));
  auto dataset = open_source(session, "memory://d/g.hdf");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_EQ(numbers(*dataset, "v"), (std::vector<double>{7, 8}));
  ASSERT_EQ(dataset->notes.size(), 1u);

  OpenOptions never;
  never.sidecar = SidecarUse::kNever;
  EXPECT_FALSE(open_source_with(session, "memory://d/g.hdf", never));
  session.forget("memory://d/g.hdf");
  store->put("memory://d/g.hdf", Bytes{0x0e, 0x03, 0x13, 0x01, 7});
  auto shorter = open_source(session, "memory://d/g.hdf");
  ASSERT_FALSE(shorter);
  EXPECT_THAT(shorter.error().to_string(), HasSubstr("is not used"));
}

}  // namespace
}  // namespace upwell::refs
