#include "cube/read.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <mutex>
#include <random>

#include "cube/plan.hpp"
#include "io/memory_store.hpp"

namespace upwell {
namespace {

/// An int32 array whose element is its own C-order number, cut into chunks stored in one memory
/// object.
struct Fixture {
  std::shared_ptr<io::MemoryStore> store = std::make_shared<io::MemoryStore>();
  io::Session session;
  Dataset dataset;
  Array array;
  Shape full;

  Fixture(const Shape& shape, const Shape& chunk_shape, ByteOrder order = ByteOrder::kLittle,
          bool fortran = false, std::vector<codec::CodecSpec> codecs = {})
      : full(shape) {
    session.mount("memory", store);
    array.name = "v";
    array.type = DataType::integer(4, order);
    array.shape = shape;
    array.chunk_shape = chunk_shape;
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = array.type;
    layout->chunk_shape = chunk_shape;
    layout->fortran_order = fortran;
    layout->codecs = std::move(codecs);
    Segment segment;
    segment.origin.assign(shape.size(), 0);
    segment.shape = shape;
    segment.grid = grid_shape(shape, chunk_shape);
    segment.chunks = store_chunks(*layout, segment.grid);
    segment.layout = layout;
    array.segments.push_back(std::move(segment));
  }

  std::shared_ptr<DenseChunkIndex> store_chunks(const SegmentLayout& layout, const Shape& grid) {
    auto pipeline = codec::Pipeline::make(layout.codecs, 4).value();
    auto index = std::make_shared<DenseChunkIndex>(element_count(grid));
    uint32_t granule = dataset.granules->intern("memory://granule");
    Bytes object;
    for (uint64_t c = 0; c < element_count(grid); ++c) {
      Bytes chunk = pipeline.encode(chunk_bytes(layout, grid, c)).value();
      index->set(c, granule, object.size(), chunk.size());
      object.insert(object.end(), chunk.begin(), chunk.end());
    }
    store->put("memory://granule", object);
    return index;
  }

  Bytes chunk_bytes(const SegmentLayout& layout, const Shape& grid, uint64_t chunk) const {
    Bytes bytes(element_count(layout.chunk_shape) * 4);
    Shape at = unravel(chunk, grid);
    for (uint64_t e = 0; e < element_count(layout.chunk_shape); ++e) {
      Shape inner = unravel(e, layout.chunk_shape);
      uint64_t number = 0, place = 0, stride = 1;
      bool inside = true;
      for (size_t d = 0; d < full.size(); ++d) {
        uint64_t x = at[d] * layout.chunk_shape[d] + inner[d];
        inside = inside && x < full[d];
        number = number * full[d] + x;
        place += inner[d] * stride;
        stride *= layout.chunk_shape[d];
      }
      auto value = static_cast<uint32_t>(inside ? number : 0xDEAD);
      uint8_t* target = bytes.data() + (layout.fortran_order ? place : e) * 4;
      layout.type.order == ByteOrder::kBig ? store_be(target, value) : store_le(target, value);
    }
    return bytes;
  }

  static Shape unravel(uint64_t n, const Shape& shape) {
    Shape at(shape.size());
    for (size_t d = shape.size(); d-- > 0;) {
      at[d] = n % shape[d];
      n /= shape[d];
    }
    return at;
  }

  std::vector<int64_t> expected(const Selection& s) const {
    std::vector<int64_t> result;
    for (uint64_t e = 0; e < element_count(s.shape); ++e) {
      Shape k = unravel(e, s.shape);
      int64_t number = 0;
      for (size_t d = 0; d < full.size(); ++d) {
        uint64_t step = s.step.empty() ? 1 : s.step[d];
        number = number * static_cast<int64_t>(full[d]) +
                 static_cast<int64_t>(s.origin[d] + k[d] * step);
      }
      result.push_back(number);
    }
    return result;
  }

  std::vector<int64_t> read(const Selection& s) {
    auto values = read_raw(session, dataset, array, s);
    EXPECT_TRUE(values) << (values ? "" : values.error().to_string());
    std::vector<int64_t> result;
    if (!values) return result;
    for (uint64_t i = 0; i < values->count(); ++i) result.push_back(values->integer(i));
    return result;
  }
};

Selection random_selection(std::mt19937& random, const Shape& shape) {
  Selection s;
  for (uint64_t n : shape) {
    uint64_t origin = random() % n;
    uint64_t step = 1 + random() % 3;
    uint64_t available = (n - origin + step - 1) / step;
    s.origin.push_back(origin);
    s.step.push_back(step);
    s.shape.push_back(random() % (available + 1));
  }
  return s;
}

TEST(ReadRaw, RandomSelectionsEqualTheElementNumbers) {
  std::mt19937 random(11);
  for (int round = 0; round < 300; ++round) {
    Shape shape, chunks;
    size_t rank = 1 + random() % 4;
    for (size_t d = 0; d < rank; ++d) {
      shape.push_back(1 + random() % 12);
      chunks.push_back(1 + random() % 14);  // larger than the array too
    }
    std::vector<codec::CodecSpec> codecs;
    if (random() % 2 != 0)
      codecs = {{"shuffle", R"({"elementsize":4})"}, {"zlib", R"({"level":1})"}};
    Fixture f(shape, chunks, random() % 2 != 0 ? ByteOrder::kBig : ByteOrder::kLittle,
              random() % 3 == 0, codecs);
    Selection s = random_selection(random, shape);
    ASSERT_EQ(f.read(s), f.expected(s)) << "round " << round;
  }
}

TEST(ReadRaw, ScalarsAndEmptySelections) {
  Fixture f({}, {});
  EXPECT_EQ(f.read({}), std::vector<int64_t>{0});
  Fixture g({4}, {3});
  EXPECT_EQ(g.read({{4}, {0}, {1}}), std::vector<int64_t>{});
}

TEST(ReadRaw, RefusesWhatLiesOutside) {
  Fixture f({4, 5}, {2, 2});
  auto past = read_raw(f.session, f.dataset, f.array, {{0, 3}, {1, 3}, {}});
  ASSERT_FALSE(past);
  EXPECT_EQ(past.error().code, Code::kInvalidArgument);
  EXPECT_FALSE(read_raw(f.session, f.dataset, f.array, {{0}, {1}, {}}));
}

TEST(ReadRaw, MissingChunksAndGapsBetweenSegmentsAreFill) {
  Fixture f({6}, {3});
  f.array.fill = Bytes{0xF9, 0xFF, 0xFF, 0xFF};  // -7
  auto index = std::make_shared<DenseChunkIndex>(2, 0);
  index->set(0, 0, 0, 12);
  f.array.segments[0].chunks = index;
  f.array.shape = {8};  // nothing covers the last two
  EXPECT_EQ(f.read({{0}, {8}, {}}), (std::vector<int64_t>{0, 1, 2, -7, -7, -7, -7, -7}));
}

TEST(ReadRaw, ChunksNeverWrittenLeaveNoTask) {
  Fixture f({100000}, {1});
  auto index = std::make_shared<DenseChunkIndex>(100000, 0);
  index->set(77777, 0, 77777 * 4, 4);
  f.array.segments[0].chunks = index;
  f.array.fill = Bytes{0xFF, 0xFF, 0xFF, 0xFF};
  auto plan = plan_chunks(f.array, *check_selection(f.array, {}));
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->tasks.size(), 1U);
  EXPECT_EQ(plan->with_missing.size(), 1U);
  std::vector<int64_t> values = f.read({});
  EXPECT_EQ(values[77777], 77777);
  EXPECT_EQ(std::count(values.begin(), values.end(), -1), 99999);
}

TEST(ReadRaw, SegmentsMayBeginInsideTheirSource) {
  Fixture f({6}, {4});
  Segment& s = f.array.segments[0];
  s.source_origin = {3};
  s.origin = {1};
  s.shape = {2};
  f.array.shape = {4};
  f.array.fill = Bytes{0xFF, 0xFF, 0xFF, 0xFF};
  EXPECT_EQ(f.read({}), (std::vector<int64_t>{-1, 3, 4, -1}));
}

TEST(ReadRaw, FetchesOnlyWantedBytesOfPlainChunks) {
  Fixture f({1000, 1000}, {1000, 1000});
  auto before = f.session.counters().bytes_asked;
  EXPECT_EQ(f.read({{500, 10}, {1, 3}, {}}), (std::vector<int64_t>{500010, 500011, 500012}));
  EXPECT_EQ(f.session.counters().bytes_asked - before, 12U);
}

TEST(ReadRaw, ShortPlainChunksServeWhatTheyHold) {
  Fixture f({6}, {4});
  auto index = std::make_shared<DenseChunkIndex>(2, 0);
  index->set(0, 0, 0, 16);
  index->set(1, 0, 16, 8);  // two elements of four
  f.array.segments[0].chunks = index;
  EXPECT_EQ(f.read({}), (std::vector<int64_t>{0, 1, 2, 3, 4, 5}));
}

TEST(ReadRaw, ErrorsNameChunkArrayAndGranule) {
  Fixture f({6}, {4}, ByteOrder::kLittle, false, {{"zlib", R"({"level":1})"}});
  f.store->put("memory://broken", std::string(100, 'x'));
  auto index = std::make_shared<DenseChunkIndex>(2, 0);
  index->set(1, f.dataset.granules->intern("memory://broken"), 10, 20);
  f.array.segments[0].chunks = index;
  auto values = read_raw(f.session, f.dataset, f.array);
  ASSERT_FALSE(values);
  EXPECT_EQ(values.error().code, Code::kInvalidData);
  EXPECT_THAT(values.error().to_string(), testing::HasSubstr("memory://broken: chunk 1 of v"));
}

TEST(ReadRaw, RefusesToMixTypes) {
  Fixture f({4}, {2});
  f.array.type = DataType::integer(2);
  auto values = read_raw(f.session, f.dataset, f.array);
  ASSERT_FALSE(values);
  EXPECT_EQ(values.error().code, Code::kUnsupported);
}

TEST(ReadRaw, TextInChunks) {
  Fixture f({3}, {2});
  Bytes first = codec::join_vlen(std::vector<std::string_view>{"north", ""});
  Bytes second = codec::join_vlen(std::vector<std::string_view>{"sea", ""});
  auto layout = std::make_shared<SegmentLayout>();
  layout->type = f.array.type = DataType::vlen_string();
  layout->chunk_shape = {2};
  layout->codecs = {{"vlen-utf8", "{}"}};
  auto index = std::make_shared<DenseChunkIndex>(2, 0);
  index->set_inline(0, first);
  index->set_inline(1, second);
  f.array.segments[0].layout = layout;
  f.array.segments[0].chunks = index;
  auto values = read_raw(f.session, f.dataset, f.array);
  ASSERT_TRUE(values) << values.error().to_string();
  EXPECT_EQ(values->text(0), "north");
  EXPECT_EQ(values->text(1), "");
  EXPECT_EQ(values->text(2), "sea");
}

TEST(ReadPieces, CoverTheSelectionExactlyOnce) {
  Fixture f({10, 7}, {3, 4}, ByteOrder::kBig, false, {{"zlib", R"({"level":1})"}});
  f.array.shape = {12, 7};  // two rows of fill below
  std::mutex mutex;
  std::vector<int> seen(10 * 7, 0);
  auto sink = [&](const Box& box, ByteSpan elements) -> Result<> {
    std::lock_guard lock(mutex);
    const Values piece{memory_type(f.array.type), box.shape, to_bytes(elements), {}};
    for (uint64_t i = 0; i < piece.count(); ++i) {
      uint64_t y = box.origin[0] + i / box.shape[1], x = box.origin[1] + i % box.shape[1];
      ++seen[y * 7 + x];
      EXPECT_EQ(piece.integer(i), static_cast<int64_t>(y * 7 + x));
    }
    return {};
  };
  uint64_t filled = 0;
  auto fill = [&](const Values& value, uint64_t count) -> Result<> {
    EXPECT_EQ(value.integer(0), 0);
    filled += count;
    return {};
  };
  ASSERT_TRUE(read_pieces(f.session, f.dataset, f.array, {}, sink, fill));
  EXPECT_THAT(seen, testing::Each(1));
  EXPECT_EQ(filled, 2U * 7);
}

TEST(ReadPieces, ChunksThatAreNotThereCostNothing) {
  // 10^14 places, three chunks; every box takes exactly the chunks that lie in it.
  Fixture f({4}, {4});
  auto chunks = std::make_shared<SparseChunkIndex>(uint64_t{10'000'000} * 10'000'000);
  const uint64_t places[][2] = {{0, 9'999'999}, {5, 7}, {9'999'999, 0}};
  for (const auto& p : places) chunks->set(p[0] * 10'000'000 + p[1], 0, 0, 4);
  chunks->finish();
  auto layout = std::make_shared<SegmentLayout>(*f.array.segments[0].layout);
  layout->chunk_shape = {1, 1};
  f.array.shape = {10'000'000, 10'000'000};
  f.array.chunk_shape = {1, 1};
  f.array.segments = {{{0, 0}, f.array.shape, {}, layout, chunks, f.array.shape}};
  const auto count = [&](const Shape& origin, const Shape& shape) {
    auto plan = plan_chunks(f.array, *check_selection(f.array, {origin, shape, {}}));
    return plan ? plan->tasks.size() : 999;
  };
  EXPECT_EQ(count({0, 0}, {10'000'000, 10'000'000}), 3U);
  EXPECT_EQ(count({0, 8}, {10'000'000, 9'999'992}), 1U);
  EXPECT_EQ(count({0, 0}, {10'000'000, 8}), 2U);
  EXPECT_EQ(count({5, 7}, {1, 1}), 1U);
  EXPECT_EQ(count({5, 8}, {9'999'000, 1'000'000}), 0U);
  EXPECT_EQ(count({1, 3}, {9, 9}), 1U);
}

TEST(ReadChunk, PadsEdgesWithFillAndTellsMissingApart) {
  Fixture f({5}, {4}, ByteOrder::kBig);
  f.array.fill = Bytes{0, 0, 0, 9};
  auto chunk = read_chunk(f.session, f.dataset, f.array, {1});
  ASSERT_TRUE(chunk && *chunk);
  EXPECT_EQ(**chunk, (Bytes{0, 0, 0, 4, 0, 0, 0, 9, 0, 0, 0, 9, 0, 0, 0, 9}));
  f.array.segments[0].chunks = std::make_shared<DenseChunkIndex>(2, 0);
  auto missing = read_chunk(f.session, f.dataset, f.array, {1});
  ASSERT_TRUE(missing);
  EXPECT_FALSE(*missing);
  EXPECT_FALSE(read_chunk(f.session, f.dataset, f.array, {2}));
}

TEST(ReadStoredChunk, PassesBytesThrough) {
  Fixture f({5}, {4}, ByteOrder::kBig);
  ASSERT_TRUE(is_uniform(f.array));
  auto chunk = read_stored_chunk(f.session, f.dataset, f.array, {0});
  ASSERT_TRUE(chunk && *chunk);
  EXPECT_EQ((*chunk)->size(), 16U);
  EXPECT_EQ((*chunk)->data()[15], 3);
}

}  // namespace
}  // namespace upwell
