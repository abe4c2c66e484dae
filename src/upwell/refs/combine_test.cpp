#include "refs/combine.hpp"

#include <gtest/gtest.h>

#include "cube/read.hpp"
#include "refs/kerchunk_json_writer.hpp"

namespace upwell::refs {
namespace {

template <typename T>
Bytes raw_bytes(const std::vector<T>& numbers) {
  Bytes out(numbers.size() * sizeof(T));
  if (!numbers.empty()) std::memcpy(out.data(), numbers.data(), out.size());
  return out;
}

Array whole_array(const std::string& name, const DataType& type, const Shape& shape,
                  const Shape& chunks, std::vector<std::string> dimensions,
                  std::shared_ptr<const ChunkIndex> index,
                  std::vector<codec::CodecSpec> codecs = {}) {
  Array out;
  out.name = name;
  out.type = type;
  out.shape = shape;
  out.chunk_shape = chunks;
  out.dimensions = std::move(dimensions);
  SegmentLayout layout;
  layout.type = type;
  layout.chunk_shape = chunks;
  layout.codecs = std::move(codecs);
  Segment segment;
  segment.origin.assign(shape.size(), 0);
  segment.shape = shape;
  segment.layout = std::make_shared<const SegmentLayout>(layout);
  segment.chunks = std::move(index);
  segment.grid = grid_shape(shape, chunks);
  out.segments.push_back(std::move(segment));
  return out;
}

Array inline_array(const std::string& name, const DataType& type, const Shape& shape,
                   std::vector<std::string> dimensions, Bytes bytes) {
  auto index = std::make_shared<DenseChunkIndex>(1);
  index->set_inline(0, std::move(bytes));
  return whole_array(name, type, shape, shape, std::move(dimensions), index);
}

/// A granule: time in `units`, v(time, x) of one deflated chunk a step, lat(x).
struct Sample {
  std::vector<double> time = {0, 1};
  std::string units = "days since 2000-01-01";
  std::string calendar = "standard";
  std::vector<float> x = {1, 2, 3};
  DataType type = DataType::floating(4);
  uint64_t chunk_time = 1;
  std::vector<codec::CodecSpec> codecs = {{"shuffle", "{\"elementsize\":4}"}, {"zlib", "{}"}};
  std::optional<double> scale;
  std::string title = "a";
  bool extra = false, contiguous = false;

  Dataset make(const std::string& url) const {
    Dataset out;
    out.format = "test";
    uint32_t granule = out.granules->intern(Granule{url, {1000, "", 5}});
    const uint64_t n = time.size();
    Array t = inline_array("time", DataType::floating(8), {n}, {"time"}, raw_bytes(time));
    t.attributes.push_back({"units", make_text(units), false});
    t.attributes.push_back({"calendar", make_text(calendar), false});
    out.root.arrays.push_back(t);
    out.root.arrays.push_back(
        inline_array("x", DataType::floating(4), {x.size()}, {"x"}, raw_bytes(x)));
    const uint64_t chunks = contiguous ? 1 : (n + chunk_time - 1) / chunk_time;
    auto index = std::make_shared<DenseChunkIndex>(chunks, granule);
    for (uint64_t i = 0; i < chunks; ++i)
      index->set(i, granule, 100 + 10 * i, contiguous ? n * 12 : 10);
    Array v =
        whole_array("v", type, {n, x.size()}, {contiguous ? n : chunk_time, x.size()},
                    {"time", "x"}, index, contiguous ? std::vector<codec::CodecSpec>{} : codecs);
    if (scale) v.attributes.push_back({"scale_factor", make_number(*scale), false});
    out.root.arrays.push_back(v);
    if (extra)
      out.root.arrays.push_back(
          inline_array("e", DataType::floating(4), {1}, {"one"}, raw_bytes<float>({1})));
    out.root.attributes.push_back({"title", make_text(title), false});
    out.root.dimensions = {{"time", n, true}, {"x", x.size(), false}};
    return out;
  }
};

struct Outcome {
  Result<Dataset> cube = fail(Code::kInternal, "not made");
  CombineReport report;
};

Outcome combine_samples(const std::vector<Sample>& samples, CombineOptions options = {}) {
  io::Session session;
  std::vector<std::string> urls;
  for (size_t i = 0; i < samples.size(); ++i) urls.push_back("/g" + std::to_string(i) + ".nc");
  Outcome out;
  options.inline_bytes = 0;
  auto made = Combiner::make(session, urls, samples[0].make(urls[0]), options, out.report.refused);
  if (!made) {
    out.cube = fail(made.error());
    return out;
  }
  for (size_t i = 1; i < samples.size(); ++i) {
    auto added = (*made)->add(i, samples[i].make(urls[i]));
    if (!added) {
      out.cube = fail(added.error());
      return out;
    }
  }
  out.cube = (*made)->finish();
  out.report = (*made)->report();
  return out;
}

std::vector<double> inline_numbers(const Dataset& cube, const char* name) {
  io::Session session;
  auto values = read_raw(session, cube, *cube.root.find_array(name));
  std::vector<double> out;
  for (size_t i = 0; values && i < values->count(); ++i) out.push_back(values->number(i));
  return out;
}

std::vector<std::string> kinds(const CombineReport& report, size_t granule) {
  std::vector<std::string> out;
  for (const Reason& reason : report.sources[granule].reasons) out.push_back(reason.kind);
  return out;
}

using Kinds = std::vector<std::string>;

TEST(Combine, OrdersByTimeAndKeepsEveryReference) {
  Sample late, early;
  late.time = {4, 5};
  early.time = {0, 1};
  Outcome out = combine_samples({late, early});
  ASSERT_TRUE(out.cube) << out.cube.error().to_string();
  EXPECT_EQ(inline_numbers(*out.cube, "time"), (std::vector<double>{0, 1, 4, 5}));
  const Array& v = *out.cube->root.find_array("v");
  EXPECT_EQ(v.shape, (Shape{4, 3}));
  EXPECT_EQ(v.chunk_shape, (Shape{1, 3}));
  const ChunkIndex& index = *v.segments[0].chunks;
  ASSERT_EQ(index.size(), 4u);
  EXPECT_EQ(out.cube->granules->at(index.at(0)->granule).url, "/g1.nc");
  EXPECT_EQ(index.at(1)->offset, 110u);
  EXPECT_EQ(out.cube->granules->at(index.at(2)->granule).url, "/g0.nc");
  ASSERT_EQ(out.report.gaps.size(), 1u);
  EXPECT_DOUBLE_EQ(out.report.gaps[0].steps, 3);
  EXPECT_EQ(out.report.order, (std::vector<size_t>{1, 0}));
  EXPECT_LE(index.memory(), 4u * 24 + 2 * 64 + 128);  // per reference, per granule, per page
}

TEST(Combine, BringsTimeToTheEpochOfTheFirst) {
  Sample first, second;
  second.units = "hours since 2000-01-03";
  second.time = {0, 24};
  Outcome out = combine_samples({first, second});
  ASSERT_TRUE(out.cube) << out.cube.error().to_string();
  EXPECT_EQ(inline_numbers(*out.cube, "time"), (std::vector<double>{0, 1, 2, 3}));
}

TEST(Combine, RefusesCalendarsThatDisagree) {
  Sample first, second;
  second.calendar = "noleap";
  second.time = {100, 101};
  Outcome out = combine_samples({first, second});
  ASSERT_FALSE(out.cube);
  EXPECT_EQ(kinds(out.report, 1), (Kinds{"unsupported"}));
}

TEST(Combine, NamesEveryKindOfDrift) {
  auto check = [](const Sample& drifted, const Kinds& expected) {
    Sample first, good;
    good.time = {10, 11};
    Outcome out = combine_samples({first, drifted, good});
    ASSERT_FALSE(out.cube);
    EXPECT_EQ(exit_status(out.cube.error().code), 65);
    EXPECT_EQ(kinds(out.report, 0), Kinds{});
    EXPECT_EQ(kinds(out.report, 1), expected);
    EXPECT_EQ(kinds(out.report, 2), Kinds{});
    EXPECT_NE(out.cube.error().message.find("/g1.nc"), std::string::npos);
    CombineOptions skip;
    skip.skip_offenders = true;
    out = combine_samples({first, drifted, good}, skip);
    ASSERT_TRUE(out.cube) << out.cube.error().to_string();
    EXPECT_EQ(out.report.order, (std::vector<size_t>{0, 2}));
    EXPECT_EQ(inline_numbers(*out.cube, "time"), (std::vector<double>{0, 1, 10, 11}));
  };
  Sample base;
  base.time = {5, 6};
  Sample s = base;
  s.type = DataType::integer(4);
  check(s, {"type"});
  s = base;
  s.type = DataType::floating(4, ByteOrder::kBig);
  check(s, {"byte order"});
  s = base;
  s.codecs = {{"zlib", "{}"}};
  check(s, {"codecs"});
  s = base;
  s.chunk_time = 2;
  check(s, {"chunk shape"});
  s = base;
  s.scale = 0.5;
  check(s, {"scale_factor"});
  s = base;
  s.x = {1, 2, 4};
  check(s, {"values"});
  s = base;
  s.x = {1, 2};
  check(s, {"shape", "shape", "chunk shape"});
  s = base;
  s.extra = true;
  check(s, {"extra variable"});
  s = base;
  s.time = {0, 1};
  check(s, {"duplicate"});
  s = base;
  s.time = {1, 2};
  check(s, {"overlap"});
  s = base;
  s.time = {6, 5};
  check(s, {"order"});
  s = base;
  s.time = {5, 5};
  check(s, {"order"});
}

TEST(Combine, HowHardDeflateTriedDoesNotMatter) {
  Sample first, second;
  first.codecs = {{"zlib", "{\"level\":4}"}};
  second.codecs = {{"zlib", "{\"level\":9}"}};
  second.time = {2, 3};
  EXPECT_TRUE(combine_samples({first, second}).cube);
}

TEST(Combine, OnlyTheLastMayEndInsideAChunk) {
  Sample a, b, c;
  a.chunk_time = b.chunk_time = c.chunk_time = 2;
  b.time = {2, 3};
  c.time = {4};
  EXPECT_TRUE(combine_samples({a, b, c}).cube);
  c.time = {-1};
  Outcome out = combine_samples({a, b, c});
  ASSERT_FALSE(out.cube);
  EXPECT_EQ(kinds(out.report, 2), (Kinds{"alignment"}));
}

TEST(Combine, CutsContiguousArraysWhereLengthsDiffer) {
  Sample a, b;
  a.contiguous = b.contiguous = true;
  a.time = {0, 1, 2, 3};
  b.time = {4, 5, 6, 7, 8, 9};
  Outcome out = combine_samples({a, b});
  ASSERT_TRUE(out.cube) << out.cube.error().to_string();
  const Array& v = *out.cube->root.find_array("v");
  EXPECT_EQ(v.chunk_shape, (Shape{2, 3}));
  ASSERT_EQ(v.segments[0].chunks->size(), 5u);
  auto ref = v.segments[0].chunks->at(3);
  EXPECT_EQ(ref->offset, 100u + 24);
  EXPECT_EQ(ref->length, 24u);
  EXPECT_EQ(out.cube->granules->at(ref->granule).url, "/g1.nc");
}

TEST(Combine, ListsAttributesThatDiffer) {
  Sample a, b;
  b.time = {2, 3};
  b.title = "b";
  Outcome out = combine_samples({a, b});
  ASSERT_TRUE(out.cube);
  ASSERT_EQ(out.report.attributes.size(), 1u);
  EXPECT_EQ(out.report.attributes[0].name, "title");
  EXPECT_EQ(out.report.attributes[0].first, "\"a\"");
  EXPECT_EQ(out.report.attributes[0].other, "\"b\"");
}

TEST(Combine, RefusesFiltersWithoutNumcodecsNameUnlessDroppedOrNamed) {
  Sample a;
  a.codecs = {{"hdf5_szip", "{\"cd_values\":[141,8]}"}};
  Outcome out = combine_samples({a});
  ASSERT_FALSE(out.cube);
  ASSERT_EQ(out.report.refused.size(), 1u);
  EXPECT_EQ(out.report.refused[0].path, "/v");
  EXPECT_NE(out.report.refused[0].message.find("hdf5_szip"), std::string::npos);
  EXPECT_NE(out.report.refused[0].message.find("--drop v"), std::string::npos);
  CombineOptions drop;
  drop.drop = {"v"};
  out = combine_samples({a}, drop);
  ASSERT_TRUE(out.cube);
  EXPECT_EQ(out.cube->root.find_array("v"), nullptr);
}

TEST(Combine, PutsAScalarTimeInFront) {
  io::Session session;
  auto granule = [](double time, const std::string& url) {
    Sample s;
    s.time = {0};
    s.units = "days since 2000-01-01";
    Dataset d = s.make(url);
    Array scalar = inline_array("valid", DataType::floating(8), {}, {}, raw_bytes<double>({time}));
    scalar.attributes.push_back({"units", make_text("days since 2000-01-01"), false});
    Dataset out;
    uint32_t g = out.granules->intern(url);
    auto index = std::make_shared<DenseChunkIndex>(2, g);
    index->set(0, g, 7, 9);
    index->set(1, g, 17, 9);
    out.root.arrays = {scalar, whole_array("f", DataType::floating(4), {4, 3}, {2, 3}, {"y", "x"},
                                           index, {{"zlib", "{}"}})};
    return out;
  };
  CombineOptions options;
  options.concat = "valid";
  options.inline_bytes = 0;
  std::vector<Reason> refused;
  auto made = Combiner::make(session, {"/b", "/a"}, granule(3, "/b"), options, refused);
  ASSERT_TRUE(made) << made.error().to_string();
  ASSERT_TRUE((*made)->add(1, granule(2, "/a")));
  auto cube = (*made)->finish();
  ASSERT_TRUE(cube) << cube.error().to_string();
  EXPECT_EQ(inline_numbers(*cube, "valid"), (std::vector<double>{2, 3}));
  const Array& f = *cube->root.find_array("f");
  EXPECT_EQ(f.shape, (Shape{2, 4, 3}));
  EXPECT_EQ(f.dimensions, (std::vector<std::string>{"valid", "y", "x"}));
  EXPECT_EQ(f.chunk_shape, (Shape{1, 2, 3}));
  EXPECT_EQ(f.segments[0].chunks->at(1)->offset, 17u);
  EXPECT_EQ(cube->granules->at(f.segments[0].chunks->at(1)->granule).url, "/a");
}

TEST(KerchunkJson, WritesKeysAndRewritesUrls) {
  Sample a;
  Outcome out = combine_samples({a});
  ASSERT_TRUE(out.cube);
  std::string text;
  ReferenceOutputOptions options;
  options.url_prefix = {{"/g", "https://x.org/g"}};
  auto counts = write_kerchunk_json(*out.cube, options, [&](ByteSpan bytes) -> Result<> {
    text += as_text(bytes);
    return {};
  });
  ASSERT_TRUE(counts) << counts.error().to_string();
  EXPECT_EQ(counts->stored, 2u);
  EXPECT_EQ(counts->stored_bytes, 20u);
  EXPECT_EQ(counts->inlined, 2u);
  EXPECT_NE(text.find("\"v/1.0\":[\"https://x.org/g0.nc\",110,10]"), std::string::npos) << text;
}

TEST(Gaps, AreStepsLongerThanOneAndAHalfMedians) {
  EXPECT_TRUE(find_gaps({0, 31, 59, 90, 120}).empty());  // months
  auto gaps = find_gaps({0, 1, 2, 4, 5});
  ASSERT_EQ(gaps.size(), 1u);
  EXPECT_EQ(gaps[0].index, 2u);
}

}  // namespace
}  // namespace upwell::refs
