#include "serve/site.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "io/memory_store.hpp"
#include "io/session.hpp"
#include "serve/html.hpp"
#include "serve/picture.hpp"

namespace upwell::serve {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

constexpr const char* kUrl = "memory://granule";

/// A small cube: packed, checksummed, plain and compressed arrays, with chunks that were never
/// written.
class SiteTest : public testing::Test {
 protected:
  SiteTest() { session_.mount("memory", store_); }

  void SetUp() override {
    Group& root = dataset_.root;
    root.attributes.push_back({"title", make_text("Test <script>alert(1)</script> & cube"), false});
    root.attributes.push_back(
        {"huge", make_number(std::numeric_limits<double>::infinity()), false});
    root.dimensions = {{"time", 2, true}, {"lat", 3, false}, {"lon", 4, false}};
    add(root, "lat", DataType::floating(8), {3}, {3}, {}, {{"units", "degrees_north"}});
    add(root, "lon", DataType::floating(8), {4}, {4}, {}, {{"units", "degrees_east"}});
    // Chunk 1 is missing in all three; with _FillValue a client told 404 sees the right thing.
    const std::vector<codec::CodecSpec> deflate{{"shuffle", R"({"elementsize":4})"},
                                                {"zlib", R"({"level":4})"}};
    add(root, "sst", DataType::floating(4), {2, 3, 4}, {1, 3, 4}, deflate, {{"units", "K"}}, {1});
    add(root, "filled", DataType::integer(2), {2, 3, 4}, {1, 3, 4}, {{"zlib", R"({"level":1})"}},
        {}, {1}, true);
    std::vector<codec::CodecSpec> summed = deflate;
    summed.push_back({"fletcher32", "{}"});
    add(root, "summed", DataType::floating(4), {2, 3, 4}, {1, 3, 4}, summed, {});
    add(root, "strange", DataType::integer(4), {2, 30, 40}, {1, 30, 40}, {{"lzf", "{}"}}, {});
    // The last chunk is shorter than the others, as a contiguous array is cut.
    add(root, "short", DataType::integer(4), {5}, {3}, {}, {});
    root.groups.push_back({});
    root.groups.back().name = "deep";
    add(root.groups.back(), "v", DataType::integer(4, ByteOrder::kBig), {4}, {2}, {}, {});
    store_->put(kUrl, object_);
    granule_ = dataset_.granules->at(0);
    ASSERT_TRUE(site_.add("cube", kUrl, std::move(dataset_)));
    site_.seal();
  }

  void add(Group& group, const std::string& name, const DataType& type, const Shape& shape,
           const Shape& chunks, const std::vector<codec::CodecSpec>& codecs,
           const std::vector<std::pair<std::string, std::string>>& attributes,
           const std::vector<uint64_t>& missing = {}, bool fill_value = false) {
    Array array;
    array.name = name;
    array.type = type;
    array.shape = shape;
    array.chunk_shape = chunks;
    array.dimensions = shape.size() == 3 ? std::vector<std::string>{"time", "lat", "lon"}
                       : shape[0] == 3   ? std::vector<std::string>{"lat"}
                       : name == "lon"   ? std::vector<std::string>{"lon"}
                                         : std::vector<std::string>{""};
    for (const auto& [key, value] : attributes) {
      array.attributes.push_back({key, make_text(value), false});
    }
    if (fill_value) {
      array.attributes.push_back({"_FillValue", make_integer(0), false});
      array.fill = Bytes(type.size, 0);
    }
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = type;
    layout->chunk_shape = chunks;
    layout->codecs = codecs;
    Segment segment;
    segment.origin.assign(shape.size(), 0);
    segment.shape = shape;
    segment.grid = grid_shape(shape, chunks);
    segment.layout = layout;
    segment.chunks = store_chunks(array, *layout, segment.grid, missing);
    array.segments.push_back(std::move(segment));
    group.arrays.push_back(std::move(array));
  }

  std::shared_ptr<ChunkIndex> store_chunks(const Array& array, const SegmentLayout& layout,
                                           const Shape& grid,
                                           const std::vector<uint64_t>& missing) {
    auto index = std::make_shared<DenseChunkIndex>(element_count(grid));
    io::ObjectInfo info;
    info.etag = "state-1";
    const uint32_t granule = dataset_.granules->intern(Granule{kUrl, info});
    const auto pipeline = codec::Pipeline::make(layout.codecs, layout.type.size);
    for (uint64_t c = 0; c < element_count(grid); ++c) {
      if (std::find(missing.begin(), missing.end(), c) != missing.end()) continue;
      uint64_t count = element_count(layout.chunk_shape);
      if (array.name == "short" && c == 1) count = 2;
      Bytes raw(count * layout.type.size, static_cast<uint8_t>(c + 1));
      auto stored = pipeline->encode(raw);
      if (!stored) stored = raw;  // codecs that are only read: the bytes do not matter
      index->set(c, granule, object_.size(), stored->size());
      object_.insert(object_.end(), stored->begin(), stored->end());
    }
    return index;
  }

  Response get(const std::string& target, std::vector<Header> headers = {},
               const std::string& method = "GET") {
    return site_.handle({method, target, std::move(headers)});
  }
  std::string text(const std::string& target) {
    const Response response = get(target);
    EXPECT_EQ(response.status, 200) << target;
    return std::string(as_text(response.body.bytes.span()));
  }
  json document(const std::string& target) { return json::parse(text(target), nullptr, false); }
  static std::string header_of(const Response& response, const std::string& name) {
    for (const auto& [key, value] : response.headers) {
      if (key == name) return value;
    }
    return "";
  }

  std::shared_ptr<io::MemoryStore> store_ = std::make_shared<io::MemoryStore>();
  io::Session session_;
  Bytes object_;
  Dataset dataset_;
  Granule granule_;
  Site site_{session_};
};

TEST_F(SiteTest, ListsItsDatasets) {
  EXPECT_EQ(document("/datasets"), json({"cube"}));
  EXPECT_EQ(document("/healthz")["status"], "ok");
  EXPECT_EQ(document("/datasets/cube/keys").size(), 8U);
  const json info = document("/datasets/cube/info");
  EXPECT_EQ(info["dimensions"]["time"], 2);
  EXPECT_EQ(info["variables"]["sst"]["type"], "float32");
  EXPECT_EQ(info["variables"]["sst"]["attributes"]["units"], "K");
  EXPECT_EQ(info["global_attributes"]["huge"], "Infinity");
  EXPECT_TRUE(info["not_in_kerchunk"].contains("strange"));
  EXPECT_TRUE(info["groups"]["deep"]["variables"].contains("v"));
}

TEST_F(SiteTest, SpeaksZarr2AndZarr3AtOnce) {
  const json v2 = document("/datasets/cube/zarr/.zmetadata")["metadata"];
  EXPECT_EQ(v2["sst/.zarray"]["compressor"]["id"], "zlib");
  EXPECT_EQ(v2["sst/.zarray"]["filters"][0]["id"], "shuffle");
  EXPECT_EQ(v2["deep/v/.zarray"]["dtype"], ">i4");
  EXPECT_EQ(v2["sst/.zarray"], document("/datasets/cube/zarr/sst/.zarray"));
  EXPECT_EQ(document("/datasets/cube/zarr/deep/.zgroup")["zarr_format"], 2);
  const json v3 = document("/datasets/cube/zarr/zarr.json");
  EXPECT_EQ(v3["zarr_format"], 3);
  EXPECT_TRUE(v3["consolidated_metadata"]["metadata"].contains("deep/v"));
  EXPECT_EQ(document("/datasets/cube/zarr/sst/zarr.json")["node_type"], "array");
  EXPECT_TRUE(document("/datasets/cube/zarr/deep/zarr.json").contains("consolidated_metadata"));
  EXPECT_TRUE(document("/datasets/cube/zarr/deep/.zmetadata")["metadata"].contains("v/.zarray"));
}

TEST_F(SiteTest, PassesStoredChunksThrough) {
  const Response v2 = get("/datasets/cube/zarr/sst/0.0.0");
  const Response v3 = get("/datasets/cube/zarr/sst/c/0/0/0");
  const Response stored = get("/datasets/cube/kerchunk/sst/0.0.0");
  ASSERT_EQ(v2.status, 200);
  EXPECT_EQ(as_text(v2.body.bytes.span()), as_text(v3.body.bytes.span()));
  EXPECT_EQ(as_text(v2.body.bytes.span()), as_text(stored.body.bytes.span()));
  EXPECT_EQ(v2.content_type, "application/octet-stream");
  EXPECT_FALSE(v2.etag.empty());
  const auto pipeline = codec::Pipeline::make(
      std::vector<codec::CodecSpec>{{"shuffle", R"({"elementsize":4})"}, {"zlib", "{}"}}, 4);
  Bytes raw(48);
  ASSERT_TRUE(pipeline->decode(v2.body.bytes.span(), 0, raw));
  EXPECT_EQ(raw, Bytes(48, 1));
}

TEST_F(SiteTest, AChunkIsNeitherReadForHeadNorFor304) {
  const Response first = get("/datasets/cube/zarr/sst/0.0.0");
  const uint64_t before = session_.counters().bytes_asked;
  const Response head = get("/datasets/cube/zarr/sst/0.0.0", {}, "HEAD");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.body.size, first.body.size);
  EXPECT_EQ(head.etag, first.etag);
  const Response again =
      get("/datasets/cube/zarr/sst/0.0.0", {{"If-None-Match", "\"" + first.etag + "\""}});
  EXPECT_EQ(again.status, 304);
  EXPECT_EQ(session_.counters().bytes_asked, before);
  const Response part = get("/datasets/cube/zarr/sst/0.0.0", {{"Range", "bytes=-5"}});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(session_.counters().bytes_asked, before + 5);
}

TEST_F(SiteTest, MissingChunksNeverBecomeWrongValues) {
  // Told 404, zarr 2 would put anything where there is no fill value: the server gives the fill.
  const Response explicit_fill = get("/datasets/cube/zarr/sst/1.0.0");
  ASSERT_EQ(explicit_fill.status, 200);
  const auto pipeline = codec::Pipeline::make(
      std::vector<codec::CodecSpec>{{"shuffle", R"({"elementsize":4})"}, {"zlib", "{}"}}, 4);
  Bytes raw(48, 9);
  ASSERT_TRUE(pipeline->decode(explicit_fill.body.bytes.span(), 0, raw));
  EXPECT_EQ(raw, Bytes(48, 0));
  // Where the documents say what missing means, and always in Zarr v3, missing is 404.
  EXPECT_EQ(get("/datasets/cube/zarr/filled/1.0.0").status, 404);
  EXPECT_EQ(get("/datasets/cube/zarr/sst/c/1/0/0").status, 404);
}

TEST_F(SiteTest, NotFoundMeansNotThere) {
  for (const char* target :
       {"/nothing", "/datasets/other/info", "/datasets/cube/other", "/datasets/cube/zarr/other/0.0",
        "/datasets/cube/zarr/sst/2.0.0", "/datasets/cube/zarr/sst/0.0",
        "/datasets/cube/zarr/sst/0.0.0.0", "/datasets/cube/zarr/sst/00.0.0x",
        "/datasets/cube/zarr/sst/c/0/0", "/datasets/cube/zarr/sst/c/0/0/9",
        "/datasets/cube/zarr/sst/.zgroup", "/datasets/cube/picture/other.png",
        "/datasets/cube/zarr/sst/18446744073709551616.0.0"}) {
    const Response response = get(target);
    EXPECT_EQ(response.status, 404) << target;
    EXPECT_TRUE(json::parse(as_text(response.body.bytes.span())).contains("detail")) << target;
  }
}

TEST_F(SiteTest, BrokenSourcesAreBadGateways) {
  ASSERT_TRUE(store_->remove(kUrl));
  for (const char* target : {"/datasets/cube/zarr/sst/0.0.0", "/datasets/cube/zarr/summed/0.0.0",
                             "/datasets/cube/zarr/short/1", "/datasets/cube/picture/sst.png",
                             "/datasets/cube/kerchunk/sst/0.0.0"}) {
    const Response response = get(target);
    EXPECT_EQ(response.status, 502) << target;
    EXPECT_THAT(std::string(as_text(response.body.bytes.span())), HasSubstr("granule")) << target;
  }
  EXPECT_EQ(get("/datasets/cube/zarr/.zmetadata").status, 200);
}

TEST_F(SiteTest, ChecksumsAreVerifiedAndTakenOff) {
  EXPECT_EQ(document("/datasets/cube/zarr/summed/.zarray")["filters"].size(), 1U);
  EXPECT_EQ(document("/datasets/cube/kerchunk/summed/.zarray")["filters"].size(), 3U);
  const Response without = get("/datasets/cube/zarr/summed/0.0.0");
  const Response with = get("/datasets/cube/kerchunk/summed/0.0.0");
  ASSERT_EQ(without.status, 200);
  EXPECT_EQ(without.body.size + 4, with.body.size);
  for (uint8_t& byte : object_) byte ^= 0x40;
  store_->put(kUrl, object_);
  EXPECT_EQ(get("/datasets/cube/zarr/summed/0.0.0").status, 502);
}

TEST_F(SiteTest, StoredViewRefusesWhatItCannotSay) {
  const json metadata = document("/datasets/cube/kerchunk/.zmetadata")["metadata"];
  EXPECT_FALSE(metadata.contains("strange/.zarray"));
  const Response response = get("/datasets/cube/kerchunk/strange/0.0.0");
  EXPECT_EQ(response.status, 422);
  EXPECT_THAT(std::string(as_text(response.body.bytes.span())), HasSubstr("lzf"));
  EXPECT_EQ(get("/datasets/cube/kerchunk/strange/.zarray").status, 422);
  // The Zarr view announces another codec instead.
  EXPECT_EQ(document("/datasets/cube/zarr/strange/.zarray")["compressor"]["id"], "blosc");
}

TEST_F(SiteTest, ShortLastChunksArePadded) {
  EXPECT_EQ(get("/datasets/cube/zarr/short/0").body.size, 12U);
  const Response last = get("/datasets/cube/zarr/short/1");
  EXPECT_EQ(last.body.size, 12U);
  EXPECT_EQ(get("/datasets/cube/zarr/short/2").status, 404);
}

TEST_F(SiteTest, MalformedPathsAndMethods) {
  for (const char* target : {"/datasets/../etc", "/datasets/%2e%2e/x", "/datasets/cube/zarr/%00",
                             "/datasets//x", "/datasets/cube/zarr/a%2Fb", "/%ff"}) {
    EXPECT_EQ(get(target).status, 400) << target;
  }
  EXPECT_EQ(get("/datasets", {}, "POST").status, 405);
  EXPECT_EQ(get("/datasets", {}, "DELETE").status, 405);
  EXPECT_EQ(get("/d%61tasets").status, 200);
  EXPECT_EQ(get("/datasets/cube").status, 301);
}

TEST_F(SiteTest, Preflight) {
  const Response response = get("/datasets/cube/zarr/sst/0.0.0",
                                {{"Access-Control-Request-Headers", "range"}}, "OPTIONS");
  EXPECT_EQ(response.status, 204);
  EXPECT_EQ(header_of(response, "Access-Control-Allow-Headers"), "range");
  EXPECT_THAT(header_of(response, "Access-Control-Allow-Methods"), HasSubstr("HEAD"));
}

TEST_F(SiteTest, PagesEscapeWhatFilesSay) {
  for (const char* target : {"/", "/datasets/cube/"}) {
    const std::string html = text(target);
    EXPECT_THAT(html, HasSubstr("&lt;script&gt;alert(1)&lt;/script&gt; &amp; cube")) << target;
    EXPECT_THAT(html, Not(HasSubstr("<script"))) << target;
    EXPECT_THAT(html, HasSubstr("/datasets/cube/picture/sst.png")) << target;
  }
  const Response evil = get("/datasets/cube/", {{"Host", "\"><script>"}});
  EXPECT_THAT(std::string(as_text(evil.body.bytes.span())), Not(HasSubstr("<script")));
  EXPECT_THAT(header_of(evil, "Content-Security-Policy"), HasSubstr("default-src 'none'"));
  EXPECT_EQ(escape_html("a\"b'c<d>&"), "a&quot;b&#39;c&lt;d&gt;&amp;");
  EXPECT_EQ(escape_path("a b/ü?"), "a%20b/%C3%BC%3F");
}

TEST_F(SiteTest, Pictures) {
  const Response response = get("/datasets/cube/picture/sst.png?index=time:0");
  ASSERT_EQ(response.status, 200);
  EXPECT_EQ(response.content_type, "image/png");
  EXPECT_EQ(as_text(response.body.bytes.span()).substr(1, 3), "PNG");
  EXPECT_EQ(get("/datasets/cube/picture/deep/v.png").status, 200);
  EXPECT_EQ(get("/datasets/cube/picture/sst.png?index=time:-1").status, 200);
  EXPECT_EQ(get("/datasets/cube/picture/sst.png?index=time:2").status, 400);
  EXPECT_EQ(get("/datasets/cube/picture/sst.png?index=time:-3").status, 400);
  EXPECT_EQ(get("/datasets/cube/picture/sst.png?index=depth:0").status, 400);
  EXPECT_EQ(get("/datasets/cube/picture/sst.png?index=time").status, 400);
}

TEST_F(SiteTest, References) {
  const Response whole = get("/datasets/cube/refs.json");
  EXPECT_EQ(whole.status, 422);
  EXPECT_THAT(std::string(as_text(whole.body.bytes.span())),
              AllOf(HasSubstr("/strange: codec 'lzf'"), HasSubstr("?partial=1"),
                    Not(HasSubstr("/sst")), Not(HasSubstr("--drop"))));
  const json refs = document("/datasets/cube/refs.json?partial=1");
  EXPECT_EQ(refs["version"], 1);
  EXPECT_TRUE(refs["refs"].contains("sst/.zarray"));
  EXPECT_TRUE(refs["refs"].contains("deep/v/.zarray"));
  EXPECT_FALSE(refs["refs"].contains("strange/.zarray"));
}

TEST_F(SiteTest, IdsThatAreTakenGetANumber) {
  Site site(session_);
  ASSERT_TRUE(site.add("a", "x", Dataset{}));
  ASSERT_TRUE(site.add("a", "y", Dataset{}));
  EXPECT_EQ(site.datasets()[1]->id(), "a-2");
}

TEST(Site, IdsFromSources) {
  EXPECT_EQ(id_of_source("/data/sst 2020.nc"), "sst_2020");
  EXPECT_EQ(id_of_source("https://host/a/cube.json?x=1"), "cube");
  EXPECT_EQ(id_of_source("cube.parq/"), "cube");
  EXPECT_EQ(id_of_source("/x/cube.zarr/.zmetadata"), "cube");
  EXPECT_EQ(id_of_source("/"), "dataset");
  EXPECT_EQ(id_of_source(".."), "dataset");
}

}  // namespace
}  // namespace upwell::serve
