#include "refs/kerchunk_parquet_reader.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "cube/read.hpp"
#include "io/memory_store.hpp"
#include "refs/open.hpp"
#include "refs/parquet/writer.hpp"

namespace upwell::refs {
namespace {

using testing::HasSubstr;

constexpr std::string_view kMetadata =
    R"({"metadata":{".zgroup":{"zarr_format":2},"v/.zarray":{"zarr_format":2,"shape":[7],)"
    R"("chunks":[1],"dtype":"|u1","compressor":null,"filters":null,"fill_value":9,"order":"C"},)"
    R"("v/.zattrs":{"_ARRAY_DIMENSIONS":["x"]}},"record_size":3})";

/// Three rows: a range, inline bytes, nothing.
Bytes partition(const std::string& path) {
  using parquet::OutColumn;
  std::vector<OutColumn> columns(4);
  columns[0] = {
      "path", OutColumn::Kind::kText, {}, {path}, {0, OutColumn::kNull, OutColumn::kNull}};
  columns[1] = {"offset", OutColumn::Kind::kInt64, {2, 0, 0}, {}, {}};
  columns[2] = {"size", OutColumn::Kind::kInt64, {1, 0, 0}, {}, {}};
  columns[3] = {
      "raw", OutColumn::Kind::kBytes, {}, {"\x05"}, {OutColumn::kNull, 0, OutColumn::kNull}};
  return parquet::write_table(columns).value();
}

struct ParquetFixture : testing::Test {
  std::shared_ptr<io::MemoryStore> store = std::make_shared<io::MemoryStore>();
  io::Session session;
  void SetUp() override {
    session.mount("memory", store);
    store->put("memory://d/s.parq/.zmetadata", kMetadata);
    store->put("memory://d/s.parq/data.bin", std::string_view("abcd"));
    store->put("memory://d/s.parq/v/refs.0.parq", partition("data.bin"));
    store->put("memory://d/s.parq/v/refs.1.parq", partition("memory://d/s.parq/data.bin"));
  }
};

TEST_F(ParquetFixture, PartitionsAreReadWhenAsked) {
  auto dataset = open_source(session, "memory://d/s.parq/");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_EQ(dataset->granules->size(), 0U) << "nothing is looked up yet";
  const Array* v = dataset->root.find_array("v");
  ASSERT_NE(v, nullptr);
  auto values = read_raw(session, *dataset, *v);
  ASSERT_TRUE(values) << values.error().to_string();
  std::vector<int64_t> got;
  for (size_t i = 0; i < 7; ++i) got.push_back(values->integer(i));
  EXPECT_THAT(got, testing::ElementsAre('c', 5, 9, 'c', 5, 9, 9));
  EXPECT_EQ(dataset->granules->size(), 1U);
}

TEST_F(ParquetFixture, OneKeptPartitionIsEnough) {
  const Bytes metadata = to_bytes(kMetadata);
  auto dataset = read_kerchunk_parquet(session, "memory://d/s.parq/", metadata,
                                       {{"memory://d/s.parq/", nullptr}, {}, 1});
  ASSERT_TRUE(dataset);
  const ChunkIndex& chunks = *dataset->root.find_array("v")->segments[0].chunks;
  const std::vector<uint64_t> positions = {6, 0, 3, 1, 4};
  std::vector<ChunkRef> refs(5);
  ASSERT_TRUE(chunks.lookup(positions, refs.data()));
  EXPECT_EQ(refs[0].state, ChunkRef::State::kMissing);
  EXPECT_EQ(refs[1].offset, 2U);
  EXPECT_EQ(refs[2].offset, 2U);
  EXPECT_EQ(refs[3].state, ChunkRef::State::kInline);
  EXPECT_EQ(refs[4].state, ChunkRef::State::kInline);
}

TEST_F(ParquetFixture, BrokenPartitionsAreNamed) {
  store->put("memory://d/s.parq/v/refs.1.parq", std::string_view("PAR1 nothing PAR1"));
  auto dataset = open_source(session, "memory://d/s.parq/.zmetadata");
  ASSERT_TRUE(dataset);
  auto values = read_raw(session, *dataset, *dataset->root.find_array("v"));
  ASSERT_FALSE(values);
  EXPECT_THAT(values.error().to_string(), HasSubstr("refs.1.parq"));
}

TEST_F(ParquetFixture, MetadataWithoutRecordSizeIsNoReferenceSet) {
  store->put("memory://d/z/.zmetadata", std::string_view(R"({"metadata":{}})"));
  EXPECT_THAT(open_source(session, "memory://d/z/").error().to_string(), HasSubstr("record_size"));
  EXPECT_EQ(open_source(session, "memory://d/nothing.parq").error().code, Code::kNotFound);
}

TEST(KerchunkParquetFiles, SetsThatOthersWrote) {
  const char* shared = std::getenv("UPWELL_SHARED");
  const std::filesystem::path root =
      std::filesystem::path(shared ? shared : "../shared") /
      "data/conformance/kerchunk/rouault+gdal/autotest/gdrivers/data/zarr/kerchunk_parquet";
  if (!std::filesystem::exists(root)) GTEST_SKIP() << root << " is not there (UPWELL_SHARED)";
  io::Session session;
  for (const char* name : {"parquet_ref_0_dim", "parquet_ref_2_dim"}) {
    auto dataset = open_source(session, (root / name).string());
    ASSERT_TRUE(dataset) << dataset.error().to_string();
    EXPECT_TRUE(dataset->problems.empty());
    ASSERT_EQ(dataset->root.arrays.size(), 1U);
    const auto& chunks = *dataset->root.arrays[0].segments[0].chunks;
    for (uint64_t i = 0; i < chunks.size(); ++i) {
      EXPECT_EQ(chunks.at(i)->state, ChunkRef::State::kStored) << name << " " << i;
    }
  }
}

}  // namespace
}  // namespace upwell::refs
