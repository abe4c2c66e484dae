#include "refs/zarr_store.hpp"

#include <gtest/gtest.h>

#include <numeric>

#include "cube/read.hpp"
#include "io/fault_store.hpp"
#include "io/memory_store.hpp"
#include "refs/open.hpp"
#include "refs/source_list.hpp"
#include "refs/zarr_chunks.hpp"

namespace upwell::refs {
namespace {

constexpr const char* kV3 =
    R"({"zarr_format":3,"node_type":"array","shape":[%SHAPE%],"data_type":"int16",
        "chunk_grid":{"name":"regular","configuration":{"chunk_shape":[%CHUNK%]}},
        "chunk_key_encoding":{"name":"default"},"fill_value":-7,"codecs":%CODECS%})";

std::string v3_document(const std::string& shape, const std::string& chunk,
                        const std::string& codecs) {
  std::string text = kV3;
  for (const auto& [mark, value] :
       {std::pair{"%SHAPE%", shape}, {"%CHUNK%", chunk}, {"%CODECS%", codecs}}) {
    text.replace(text.find(mark), std::string(mark).size(), value);
  }
  return text;
}

const std::string kBytes = R"([{"name":"bytes","configuration":{"endian":"little"}}])";

Bytes little(const std::vector<int16_t>& values) {
  Bytes out(values.size() * 2);
  for (size_t i = 0; i < values.size(); ++i) store_le(out.data() + 2 * i, values[i]);
  return out;
}

Bytes little64(const std::vector<uint64_t>& values) {
  Bytes out(values.size() * 8);
  for (size_t i = 0; i < values.size(); ++i) store_le(out.data() + 8 * i, values[i]);
  return out;
}

Bytes joined(std::initializer_list<Bytes> parts) {
  Bytes out;
  for (const Bytes& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

struct ZarrStoreTest : ::testing::Test {
  io::Session session;
  std::shared_ptr<io::MemoryStore> memory = std::make_shared<io::MemoryStore>();
  std::shared_ptr<io::FaultStore> store = std::make_shared<io::FaultStore>(memory);
  ZarrStoreTest() { session.mount("memory", store); }

  std::vector<double> values(const Dataset& dataset, const std::string& path) {
    const Array* array = dataset.root.find_array(path);
    EXPECT_NE(array, nullptr);
    auto read = read_raw(session, dataset, *array, {});
    EXPECT_TRUE(read) << read.error().to_string();
    std::vector<double> out;
    for (size_t i = 0; read && i < read->count(); ++i) out.push_back(read->number(i));
    return out;
  }
};

TEST_F(ZarrStoreTest, MissingObjectsAreFillAndRefusedOnesAnError) {
  memory->put("memory://s/a.zarr/zarr.json", v3_document("6", "2", kBytes));
  memory->put("memory://s/a.zarr/c/0", little({1, 2}));
  memory->put("memory://s/a.zarr/c/2", little({5, 6}));
  auto dataset = open_source(session, "memory://s/a.zarr");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_EQ(dataset->format, "zarr3");
  EXPECT_EQ(values(*dataset, "a"), (std::vector<double>{1, 2, -7, -7, 5, 6}));
  const Array& array = dataset->root.arrays[0];
  auto hole = read_chunk(session, *dataset, array, {1});
  ASSERT_TRUE(hole);
  EXPECT_FALSE(*hole);
  auto stored_hole = read_stored_chunk(session, *dataset, array, {1});
  ASSERT_TRUE(stored_hole);
  EXPECT_FALSE(*stored_hole);
  auto exact = array.segments[0].chunks->at(2);
  ASSERT_TRUE(exact);
  EXPECT_EQ(exact->length, 4u);

  io::Fault refused;
  refused.url_part = "c/2";
  refused.stats = true;
  refused.error = {Code::kPermissionDenied, "secret", {}, {}};
  store->add(refused);
  session.forget("memory://s/a.zarr/c/2");
  auto read = read_raw(session, *dataset, array, {});
  ASSERT_FALSE(read);
  EXPECT_EQ(read.error().code, Code::kPermissionDenied);
  EXPECT_FALSE(array.segments[0].chunks->at(2));
}

/// A shard of 2 x 2 chunks of 2 x 1: the chunk at (1, 0) was never written.
struct ShardTest : ZarrStoreTest {
  std::string sharding(const std::string& location, const std::string& index_codecs) {
    return R"([{"name":"sharding_indexed","configuration":{"chunk_shape":[2,1],"codecs":)" +
           kBytes + R"(,"index_location":")" + location + R"(","index_codecs":)" + index_codecs +
           "}}]";
  }
  static constexpr uint64_t kNone = ~uint64_t{0};
};

TEST_F(ShardTest, ChunksAreRangesOfTheShard) {
  for (const bool start : {false, true}) {
    const uint64_t base = start ? 64 : 0;
    const Bytes index = little64({base + 4, 4, base, 4, kNone, kNone, base + 8, 4});
    const Bytes data = little({2, 4, 1, 3, 6, 8});
    memory->put("memory://s/a.zarr/c/0/0", start ? joined({index, data}) : joined({data, index}));
    memory->put("memory://s/a.zarr/zarr.json",
                v3_document("4,2", "4,2", sharding(start ? "start" : "end", kBytes)));
    session.forget("memory://s/a.zarr/c/0/0");
    session.forget("memory://s/a.zarr/zarr.json");
    auto dataset = open_source(session, "memory://s/a.zarr");
    ASSERT_TRUE(dataset) << dataset.error().to_string();
    EXPECT_EQ(dataset->root.arrays[0].chunk_shape, (Shape{2, 1}));
    EXPECT_EQ(values(*dataset, "a"), (std::vector<double>{1, 2, 3, 4, -7, 6, -7, 8}));
    auto ref = dataset->root.arrays[0].segments[0].chunks->at(3);
    ASSERT_TRUE(ref);
    EXPECT_EQ(ref->offset, base + 8);
    EXPECT_EQ(ref->length, 4u);
  }
}

TEST_F(ShardTest, IndexesOfABatchAreReadTogetherAndOnce) {
  memory->put("memory://s/a.zarr/zarr.json", v3_document("8,4", "4,2", sharding("end", kBytes)));
  const Bytes shard =
      joined({little({2, 4, 1, 3, 6, 8}), little64({4, 4, 0, 4, kNone, kNone, 8, 4})});
  for (const char* key : {"0/0", "0/1", "1/1"}) {
    memory->put(std::string("memory://s/a.zarr/c/") + key, shard);
  }
  auto dataset = open_source(session, "memory://s/a.zarr");
  ASSERT_TRUE(dataset);
  const ChunkIndex& chunks = *dataset->root.arrays[0].segments[0].chunks;
  std::vector<uint64_t> all(chunks.size());
  std::iota(all.begin(), all.end(), uint64_t{0});
  std::vector<ChunkRef> refs(all.size());
  const size_t before = store->seen().size();
  ASSERT_TRUE(chunks.lookup(all, refs.data()));
  ASSERT_TRUE(chunks.lookup(all, refs.data()));
  EXPECT_EQ(store->seen().size(), before + 3);
  size_t missing = 0;
  for (const ChunkRef& ref : refs) missing += ref.state == ChunkRef::State::kMissing ? 1 : 0;
  EXPECT_EQ(missing, 4u + 3u);  // a whole shard, and one chunk in each of the others
}

TEST_F(ShardTest, BrokenIndexes) {
  const auto opens = [&](const Bytes& shard, const std::string& index_codecs = kBytes) {
    memory->put("memory://s/a.zarr/zarr.json",
                v3_document("4,2", "4,2", sharding("end", index_codecs)));
    memory->put("memory://s/a.zarr/c/0/0", shard);
    session.forget("memory://s/a.zarr/zarr.json");
    session.forget("memory://s/a.zarr/c/0/0");
    auto dataset = open_source(session, "memory://s/a.zarr");
    EXPECT_TRUE(dataset);
    return read_raw(session, *dataset, dataset->root.arrays[0], {});
  };
  const Bytes data = little({2, 4, 1, 3, 6, 8});
  for (const auto& index : {little64({4, 4, 0, 4, kNone, kNone, 8, 400}),
                            little64({4, 4, 0, 4, kNone, 0, 8, 4}), little64({1, 2})}) {
    auto read = opens(joined({data, index}));
    ASSERT_FALSE(read);
    EXPECT_EQ(read.error().code, Code::kInvalidData) << read.error().to_string();
  }
  auto unchecked = opens(joined({data, little64({4, 4, 0, 4, kNone, kNone, 8, 4}), Bytes(4, 0)}),
                         R"([{"name":"bytes"},{"name":"crc32c"}])");
  ASSERT_FALSE(unchecked);
  EXPECT_NE(unchecked.error().to_string().find("index of the shard"), std::string::npos);
}

TEST_F(ZarrStoreTest, GroupsAreListedLevelByLevelAndArraysAreNotEntered) {
  memory->put("memory://s/a/.zgroup", R"({"zarr_format":2})");
  memory->put("memory://s/a/g/.zgroup", R"({"zarr_format":2})");
  memory->put("memory://s/a/g/v/.zarray",
              R"({"zarr_format":2,"shape":[4],"chunks":[2],"dtype":"<i2","compressor":null,
                  "fill_value":0,"filters":null,"order":"C","dimension_separator":"/"})");
  memory->put("memory://s/a/g/v/.zattrs", R"({"_ARRAY_DIMENSIONS":["x"]})");
  memory->put("memory://s/a/g/v/1/.zarray", "never read");
  memory->put("memory://s/a/other/file", "no node");
  memory->put("memory://s/a/g/v/1", little({3, 4}));
  auto dataset = open_source(session, "memory://s/a/");
  ASSERT_TRUE(dataset) << dataset.error().to_string();
  EXPECT_EQ(dataset->root.groups.size(), 1u);
  EXPECT_EQ(values(*dataset, "g/v"), (std::vector<double>{0, 0, 3, 4}));
  EXPECT_EQ(dataset->root.find_array("g/v")->dimensions, std::vector<std::string>{"x"});
}

TEST_F(ZarrStoreTest, APrefixWithStoresGivesEachAsOneSource) {
  memory->put("memory://b/in/1.zarr/.zgroup", "{}");
  memory->put("memory://b/in/1.zarr/v/.zarray", "{}");
  memory->put("memory://b/in/1.zarr/v/0.0", "x");
  memory->put("memory://b/in/2.zarr/zarr.json", "{}");
  memory->put("memory://b/in/2.zarr/c/0", "x");
  memory->put("memory://b/in/sub/a.nc", "x");
  memory->put("memory://b/in/.hidden", "x");
  std::vector<std::string> foreign;
  auto found = expand_sources(session, {"memory://b/in/"}, foreign);
  ASSERT_TRUE(found) << found.error().to_string();
  EXPECT_EQ(*found, (std::vector<std::string>{"memory://b/in/1.zarr/", "memory://b/in/2.zarr/",
                                              "memory://b/in/sub/a.nc"}));
  auto one = expand_sources(session, {"memory://b/in/1.zarr/"}, foreign);
  ASSERT_TRUE(one);
  EXPECT_EQ(*one, std::vector<std::string>{"memory://b/in/1.zarr/"});
}

TEST(ZarrUrl, NamesAreEncodedAndQueriesKept) {
  EXPECT_EQ(zarr_url("https://h/s.zarr/?sig=a/b", "v/0.0"), "https://h/s.zarr/v/0.0?sig=a/b");
  EXPECT_EQ(zarr_url("https://h/s/", "50%?/0"), "https://h/s/50%25%3F/0");
  EXPECT_EQ(zarr_url("/data/s/", "50%?/0"), "/data/s/50%?/0");
}

}  // namespace
}  // namespace upwell::refs
