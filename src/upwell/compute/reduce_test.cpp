#include "compute/reduce.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <mutex>
#include <random>

#include "cube/cf.hpp"
#include "io/memory_store.hpp"

namespace upwell::compute {
namespace {

Shape unravel(uint64_t n, const Shape& shape) {
  Shape at(shape.size());
  for (size_t d = shape.size(); d-- > 0;) {
    at[d] = n % shape[d];
    n /= shape[d];
  }
  return at;
}

uint64_t ravel(const Shape& at, const Shape& shape) {
  uint64_t n = 0;
  for (size_t d = 0; d < shape.size(); ++d) n = n * shape[d] + at[d];
  return n;
}

/// One number as stored.
void put_number(const DataType& type, double value, uint8_t* out) {
  Bytes native(8);
  if (type.kind == Kind::kFloat && type.size == 4) {
    const auto v = static_cast<float>(value);
    std::memcpy(native.data(), &v, 4);
  } else if (type.kind == Kind::kFloat) {
    std::memcpy(native.data(), &value, 8);
  } else {
    const auto v = static_cast<int64_t>(value);
    std::memcpy(native.data(), &v, 8);  // little endian: its low bytes come first
  }
  if (type.order == ByteOrder::kBig) std::reverse(native.begin(), native.begin() + type.size);
  std::memcpy(out, native.data(), type.size);
}

/// An array of chosen values, cut into chunks in one object in memory.
struct Cube {
  std::shared_ptr<io::MemoryStore> store = std::make_shared<io::MemoryStore>();
  io::Session session;
  Dataset dataset;
  Array array;
  std::vector<double> values;  // as stored
  Bytes object;
  bool encoded = true;

  Cube(const DataType& type, const Shape& shape, std::vector<double> stored)
      : values(std::move(stored)) {
    session.mount("memory", store);
    array.name = "v";
    array.type = type;
    array.shape = shape;
    for (size_t d = 0; d < shape.size(); ++d)
      array.dimensions.push_back(std::string(1, char('a' + d)));
  }

  /// The rows [begin, end) of the first axis as one segment. Chunks of which `missing` says so are
  /// not written, and their elements become the fill 0.
  void add_segment(uint64_t begin, uint64_t end, const Shape& chunk_shape,
                   const std::function<bool(uint64_t)>& missing = {}) {
    auto layout = std::make_shared<SegmentLayout>();
    layout->type = array.type;
    layout->chunk_shape = chunk_shape;
    if (encoded) layout->codecs = {{"zlib", "{\"id\": \"zlib\", \"level\": 1}"}};
    Segment segment;
    segment.origin.assign(array.shape.size(), 0);
    segment.origin[0] = begin;
    segment.shape = array.shape;
    segment.shape[0] = end - begin;
    segment.grid = grid_shape(segment.shape, chunk_shape);
    auto index = std::make_shared<DenseChunkIndex>(element_count(segment.grid));
    auto pipeline = codec::Pipeline::make(layout->codecs, array.type.size).value();
    const uint32_t granule = dataset.granules->intern("memory://granule");
    for (uint64_t c = 0; c < index->size(); ++c) {
      const bool written = !missing || !missing(c);
      const Bytes chunk = pipeline.encode(chunk_bytes(segment, chunk_shape, c, written)).value();
      if (written) index->set(c, granule, object.size(), chunk.size());
      object.insert(object.end(), chunk.begin(), chunk.end());
    }
    segment.layout = layout;
    segment.chunks = index;
    array.segments.push_back(std::move(segment));
    if (array.chunk_shape.empty()) array.chunk_shape = chunk_shape;
    store->put("memory://granule", object);
  }

  Bytes chunk_bytes(const Segment& segment, const Shape& chunk_shape, uint64_t chunk,
                    bool written) {
    Bytes bytes(element_count(chunk_shape) * array.type.size);
    const Shape at = unravel(chunk, segment.grid);
    for (uint64_t e = 0; e < element_count(chunk_shape); ++e) {
      Shape place = unravel(e, chunk_shape);
      bool inside = true;
      for (size_t d = 0; d < place.size(); ++d) {
        place[d] += at[d] * chunk_shape[d];
        inside = inside && place[d] < segment.shape[d];
        place[d] += segment.origin[d];
      }
      if (!inside) continue;
      double& value = values[ravel(place, array.shape)];
      if (!written) value = 0;
      put_number(array.type, value, bytes.data() + e * array.type.size);
    }
    return bytes;
  }

  Result<Values> reduce_all(const Reduction& reduction, const Selection& selection = {},
                            ReduceOptions options = {}) {
    Selection s = selection;
    if (s.shape.empty()) s = {Shape(array.shape.size(), 0), array.shape, {}};
    Values out;
    out.type =
        result_type(reduction, cf::decoded_type(cf::decoding_of(array), memory_type(array.type)));
    for (size_t d = 0; d < s.shape.size(); ++d) {
      if (!reduction.in_result(d)) continue;
      out.shape.push_back(reduction.reduced[d] && reduction.groups ? reduction.groups->count
                                                                   : s.shape[d]);
    }
    out.data.assign(out.count() * out.type.size, 0xEE);
    std::mutex mutex;
    auto sink = [&](const Box& box, ByteSpan elements) -> Result<> {
      std::lock_guard lock(mutex);
      for (uint64_t e = 0; e < element_count(box.shape); ++e) {
        Shape at = unravel(e, box.shape);
        for (size_t d = 0; d < at.size(); ++d) at[d] += box.origin[d];
        std::memcpy(out.data.data() + ravel(at, out.shape) * out.type.size,
                    elements.data() + e * out.type.size, out.type.size);
      }
      return {};
    };
    UPWELL_CHECK(reduce(session, dataset, array, s, reduction, options, sink));
    return out;
  }

  /// Of the decoded values of one cell, straightforwardly.
  double expected(const Reduction& reduction, const Selection& s, const Shape& cell) {
    const cf::Decoding decoding = cf::decoding_of(array);
    Values raw{memory_type(array.type), {1}, Bytes(array.type.size), {}};
    DataType native = array.type;
    native.order = ByteOrder::kLittle;
    std::vector<long double> in;
    for (uint64_t e = 0; e < element_count(s.shape); ++e) {
      Shape at = unravel(e, s.shape);
      Shape kept;
      for (size_t d = 0; d < at.size(); ++d) {
        if (!reduction.reduced[d]) kept.push_back(at[d]);
        at[d] = s.origin[d] + at[d] * (s.step.empty() ? 1 : s.step[d]);
      }
      if (kept != cell) continue;
      put_number(native, values[ravel(at, array.shape)], raw.data.data());
      const double v = cf::decode(decoding, raw).value().number(0);
      if (v == v) in.push_back(v);
    }
    const auto n = static_cast<long double>(in.size());
    long double sum = 0, squares = 0;
    for (long double v : in) sum += v;
    for (long double v : in) squares += (v - sum / n) * (v - sum / n);
    const auto divisor = n - static_cast<long double>(reduction.ddof);
    switch (reduction.function) {
      case Function::kCount:
        return static_cast<double>(in.size());
      case Function::kSum:
        return static_cast<double>(sum);
      case Function::kMean:
        return in.empty() ? NAN : static_cast<double>(sum / n);
      case Function::kMin:
        return in.empty() ? NAN : static_cast<double>(*std::min_element(in.begin(), in.end()));
      case Function::kMax:
        return in.empty() ? NAN : static_cast<double>(*std::max_element(in.begin(), in.end()));
      case Function::kVar:
        return divisor <= 0 ? NAN : static_cast<double>(squares / divisor);
      case Function::kStd:
        return divisor <= 0 ? NAN : static_cast<double>(std::sqrt(squares / divisor));
      case Function::kQuantile:
        break;  // against xarray, in tests/test_aggregate_refined.py
    }
    return NAN;
  }

  void check(const Reduction& reduction, const Selection& s) {
    auto out = reduce_all(reduction, s);
    ASSERT_TRUE(out) << out.error().to_string();
    const bool exact = reduction.function == Function::kCount ||
                       reduction.function == Function::kMin || reduction.function == Function::kMax;
    for (uint64_t i = 0; i < out->count(); ++i) {
      const double want = expected(reduction, s, unravel(i, out->shape));
      const double got = out->number(i);
      if (std::isnan(want)) {
        ASSERT_TRUE(std::isnan(got)) << got << " in cell " << i;
      } else if (exact) {
        ASSERT_EQ(got, want) << "cell " << i;
      } else {
        ASSERT_NEAR(got, want, std::abs(want) * 1e-12) << "cell " << i;
      }
    }
  }
};

constexpr Function kAll[] = {Function::kMean,  Function::kSum, Function::kMin, Function::kMax,
                             Function::kCount, Function::kStd, Function::kVar};

std::vector<double> whole_numbers(std::mt19937& random, size_t n, double low, double high) {
  std::uniform_real_distribution<double> values(low, high);
  std::vector<double> out(n);
  for (double& v : out) v = std::floor(values(random));
  return out;
}

Selection random_part(std::mt19937& random, const Shape& shape) {
  Selection s{Shape(shape.size()), Shape(shape.size()), Shape(shape.size())};
  for (size_t d = 0; d < shape.size(); ++d) {
    s.step[d] = random() % 3 == 0 ? 1 + random() % 3 : 1;
    s.origin[d] = random() % 2 == 0 ? 0 : random() % shape[d];
    const uint64_t most = (shape[d] - s.origin[d] + s.step[d] - 1) / s.step[d];
    s.shape[d] = random() % 2 == 0 ? most : 1 + random() % most;
  }
  return s;
}

Reduction random_reduction(std::mt19937& random, size_t rank) {
  Reduction reduction;
  reduction.function = kAll[random() % std::size(kAll)];
  reduction.reduced.resize(rank);
  for (size_t d = 0; d < rank; ++d) reduction.reduced[d] = random() % 2 == 0;
  reduction.reduced[random() % rank] = true;
  reduction.ddof = random() % 3;
  return reduction;
}

TEST(Reduce, RandomArraysGiveWhatTheirValuesGive) {
  std::mt19937 random(4711);
  const DataType types[] = {DataType::floating(4),
                            DataType::floating(8, ByteOrder::kBig),
                            DataType::integer(1),
                            DataType::unsigned_integer(1),
                            DataType::integer(2, ByteOrder::kBig),
                            DataType::unsigned_integer(2),
                            DataType::integer(4),
                            DataType::unsigned_integer(4, ByteOrder::kBig),
                            DataType::integer(8),
                            DataType::unsigned_integer(8)};
  for (int round = 0; round < 300; ++round) {
    const DataType& type = types[random() % std::size(types)];
    Shape shape, chunk;
    for (size_t d = 0; d < 1 + random() % 4; ++d) {
      shape.push_back(1 + random() % (d == 0 ? 80 : 9));
      chunk.push_back(1 + random() % (d == 0 ? 3 : 6));
    }
    SCOPED_TRACE(testing::Message() << "round " << round << " " << describe(type));
    const bool sign = type.kind != Kind::kUint;
    Cube cube(type, shape, whole_numbers(random, element_count(shape), sign ? -100 : 0, 100));
    const bool is_float = type.kind == Kind::kFloat;
    if (is_float && random() % 2 == 0)
      for (double& v : cube.values) v = random() % 4 == 0 ? NAN : v / 7;
    if (random() % 2 == 0)
      cube.array.attributes.push_back({"_FillValue", make_number(sign ? -3 : 3), false});
    if (random() % 3 == 0) {
      cube.array.attributes.push_back({"scale_factor", make_number(0.01), false});
      cube.array.attributes.push_back({"add_offset", make_number(273.15), false});
    }
    std::function<bool(uint64_t)> missing;
    if (random() % 4 == 0) missing = [](uint64_t c) { return c % 3 == 1; };
    cube.add_segment(0, shape[0], chunk, missing);
    cube.check(random_reduction(random, shape.size()), random_part(random, shape));
  }
}

/// A cube of random numbers, some missing, of chunks and codecs of any kind.
std::unique_ptr<Cube> random_cube(std::mt19937& random, const Shape& shape) {
  auto made =
      std::make_unique<Cube>(random() % 2 == 0 ? DataType::floating(4) : DataType::integer(2),
                             shape, whole_numbers(random, element_count(shape), -100, 100));
  Cube& cube = *made;
  if (random() % 2 == 0) cube.array.attributes.push_back({"_FillValue", make_number(7), false});
  cube.encoded = random() % 3 != 0;
  Shape chunk;
  for (const uint64_t n : shape) chunk.push_back(1 + random() % n);
  std::function<bool(uint64_t)> missing;
  if (random() % 3 == 0) missing = [](uint64_t c) { return c % 3 == 1; };
  cube.add_segment(0, shape[0], chunk, missing);
  return made;
}

void expect_near(double got, double want) {
  if (std::isnan(want))
    ASSERT_TRUE(std::isnan(got)) << got;
  else
    ASSERT_NEAR(got, want, std::abs(want) * 1e-12);
}

TEST(Reduce, WindowsAreReducedEachByItself) {
  std::mt19937 random(12);
  for (int round = 0; round < 120; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    const Shape shape{1 + random() % 40, 1 + random() % 6, 1 + random() % 30};
    const auto made = random_cube(random, shape);
    Cube& cube = *made;
    const Selection s = random_part(random, shape);
    Rolling rolling;
    rolling.axis = random() % 3;
    rolling.window = 1 + random() % (2 * s.shape[rolling.axis] + 3);
    if (random() % 10 == 0) rolling.window = UINT64_MAX;
    rolling.center = random() % 2 == 0;
    rolling.min_periods = 1 + random() % std::min(rolling.window, s.shape[rolling.axis]);
    Reduction reduction;
    reduction.function = kAll[random() % std::size(kAll)];
    reduction.reduced.assign(3, false);
    reduction.reduced[rolling.axis] = true;
    reduction.ddof = random() % 2;
    reduction.rolling = rolling;
    ReduceOptions options;
    options.threads = 1 + random() % 3;
    options.memory_budget = random() % 2 == 0 ? 100'000 : 1 << 20;
    auto out = cube.reduce_all(reduction, s, options);
    ASSERT_TRUE(out) << out.error().to_string();
    ASSERT_EQ(out->shape, s.shape);
    Reduction plain = reduction, counting = reduction;
    plain.rolling = counting.rolling = std::nullopt;
    counting.function = Function::kCount;
    for (uint64_t i = 0; i < out->count(); ++i) {
      Shape cell = unravel(i, s.shape);
      const uint64_t at = cell[rolling.axis];
      cell.erase(cell.begin() + static_cast<std::ptrdiff_t>(rolling.axis));
      const uint64_t first = at - std::min(at, rolling.before());
      Selection window = s;
      window.origin[rolling.axis] += first * s.step[rolling.axis];
      window.shape[rolling.axis] =
          std::min(at + rolling.after() + 1, s.shape[rolling.axis]) - first;
      const double count = cube.expected(counting, window, cell);
      const bool enough = count >= static_cast<double>(rolling.min_periods);
      expect_near(out->number(i), enough ? cube.expected(plain, window, cell) : NAN);
    }
  }
}

// Whether groups are pieces or alternate, and however few of them memory holds at once.
TEST(Reduce, GroupsGiveTheSameInAnyMemory) {
  std::mt19937 random(13);
  for (int round = 0; round < 60; ++round) {
    SCOPED_TRACE(testing::Message() << "round " << round);
    const Shape shape{1 + random() % 40, 1 + random() % 5, 1 + random() % 12};
    const auto made = random_cube(random, shape);
    Cube& cube = *made;
    const size_t axis = random() % 3;
    const uint64_t n = shape[axis];
    Reduction reduction;
    reduction.function = kAll[random() % std::size(kAll)];
    reduction.reduced.assign(3, false);
    reduction.reduced[axis] = true;
    const bool pieces = random() % 2 == 0;
    Grouping groups{axis, {}, static_cast<uint32_t>(1 + random() % n)};
    const uint64_t length = (n + groups.count - 1) / groups.count;
    if (pieces) groups.count = static_cast<uint32_t>((n + length - 1) / length);
    for (uint64_t i = 0; i < n; ++i)
      groups.group.push_back(static_cast<uint32_t>(pieces ? i / length : i % groups.count));
    reduction.groups = groups;
    ReduceOptions options;
    const Values whole = cube.reduce_all(reduction, {}, options).value();
    options.memory_budget = 200'000;
    options.threads = 2;
    const Values parts = cube.reduce_all(reduction, {}, options).value();
    // What is not encoded is read in parts that memory cuts.
    EXPECT_TRUE(!cube.encoded || whole.data == parts.data);
    Reduction plain = reduction;
    plain.groups = std::nullopt;
    for (uint64_t i = 0; i < whole.count(); ++i) {
      Shape cell = unravel(i, whole.shape);
      const uint64_t g = cell[axis];
      cell.erase(cell.begin() + static_cast<std::ptrdiff_t>(axis));
      Selection s{Shape(3, 0), shape, Shape(3, 1)};
      s.origin[axis] = pieces ? g * length : g;
      s.step[axis] = pieces ? 1 : groups.count;
      s.shape[axis] =
          pieces ? std::min(length, n - g * length) : (n - g + groups.count - 1) / groups.count;
      expect_near(whole.number(i), cube.expected(plain, s, cell));
      expect_near(parts.number(i), whole.number(i));
    }
  }
}

// What --budget is told.
TEST(Reduce, PassesAreThoseThatMemoryMakesNecessary) {
  const Shape shape{48, 200, 300};
  Cube cube(DataType::floating(4), shape, std::vector<double>(element_count(shape), 1));
  cube.add_segment(0, 48, {4, 200, 300});
  const Selection all{Shape(3, 0), shape, Shape(3, 1)};
  Reduction reduction{Function::kMean, {true, false, false}};
  ReduceOptions options;
  options.memory_budget = 8 << 20;
  EXPECT_EQ(passes_of(cube.array, all, reduction, options)->size(), 1);
  Grouping months{0, {}, 12};
  for (uint32_t i = 0; i < 48; ++i) months.group.push_back(i % 12);
  reduction.groups = months;
  EXPECT_EQ(passes_of(cube.array, all, reduction, options)->back().number, 11);
  options.memory_budget = 512 << 20;
  EXPECT_EQ(passes_of(cube.array, all, reduction, options)->size(), 1);
  // Of groups that are apart, only the chunks that hold some.
  for (uint32_t i = 0; i < 48; ++i) reduction.groups->group[i] = i / 4 % 2 == 0 ? i / 8 : kNoGroup;
  reduction.groups->count = 6;
  const auto passes = *passes_of(cube.array, all, reduction, options);
  ASSERT_EQ(passes.size(), 6);
  for (const Pass& pass : passes) EXPECT_EQ(pass.selection.shape[0], 4);
  // A median whose tiles are parts of chunks.
  options.memory_budget = 2 << 20;
  options.threads = 1;
  const Reduction median{Function::kQuantile, {true, false, false}};
  const uint64_t times = passes_of(cube.array, all, median, options)->front().times;
  EXPECT_GE(times, 48 * 60000 * 4 / (1 << 20));
  EXPECT_LE(times, 4 * 48 * 60000 * 4 / (1 << 20));
}

TEST(Reduce, SegmentsMayBeChunkedInDifferentWays) {
  std::mt19937 random(5);
  for (int round = 0; round < 40; ++round) {
    const Shape shape{90, 7, 11};
    Cube cube(DataType::floating(4), shape, whole_numbers(random, 90 * 77, -50, 50));
    uint64_t begin = 0;
    while (begin < shape[0]) {
      const uint64_t end = std::min<uint64_t>(shape[0], begin + 1 + random() % 31);
      cube.add_segment(begin, end, {1 + random() % 4, 1 + random() % 7, 1 + random() % 11});
      begin = end;
    }
    cube.check(random_reduction(random, 3), random_part(random, shape));
  }
}

TEST(Reduce, SpreadOfNearlyEqualLargeValuesKeepsItsDigits) {
  std::mt19937 random(6);
  std::normal_distribution<double> noise(0, 1e-3);
  for (const bool fold : {false, true}) {
    const Shape shape = fold ? Shape{2, 4000} : Shape{4000, 2};
    std::vector<double> values(8000);
    for (double& v : values) v = 1e5 + noise(random);
    Cube cube(DataType::floating(8), shape, values);
    cube.add_segment(0, shape[0], fold ? Shape{1, 16} : Shape{16, 1});
    cube.check({Function::kStd, {!fold, fold}, 1}, {{0, 0}, shape, {}});
    cube.check({Function::kMean, {!fold, fold}, 0}, {{0, 0}, shape, {}});
  }
}

TEST(Reduce, NothingIsMissingAsInXarray) {
  Cube cube(DataType::floating(4), {3, 2}, {NAN, 1, NAN, NAN, NAN, 5});
  cube.add_segment(0, 3, {1, 2});
  const double want[][2] = {{NAN, 3}, {0, 6}, {NAN, 1}, {NAN, 5}, {0, 2}, {NAN, 2}, {NAN, 4}};
  for (size_t i = 0; i < std::size(kAll); ++i) {
    const Values out = cube.reduce_all({kAll[i], {true, false}, 0}).value();
    for (size_t k = 0; k < 2; ++k)
      EXPECT_THAT(out.number(k), testing::NanSensitiveDoubleEq(want[i][k])) << i;
  }
  // ddof as large as the count
  const Values out = cube.reduce_all({Function::kVar, {true, false}, 2}).value();
  EXPECT_TRUE(std::isnan(out.number(1)));
}

TEST(Reduce, InfiniteValuesStay) {
  Cube cube(DataType::floating(8), {40, 1}, std::vector<double>(40, 1));
  cube.values[35] = INFINITY;
  cube.add_segment(0, 40, {1, 1});
  EXPECT_EQ(cube.reduce_all({Function::kMean, {true, false}, 0}).value().number(0), INFINITY);
  EXPECT_EQ(cube.reduce_all({Function::kSum, {true, true}, 0}).value().number(0), INFINITY);
  EXPECT_TRUE(std::isnan(cube.reduce_all({Function::kStd, {true, false}, 0}).value().number(0)));
}

TEST(Reduce, SumsOfIntegersAreExact) {
  const double large = 4611686018427387904.0;  // 2^62
  Cube cube(DataType::integer(8), {70}, std::vector<double>(70, 1));
  cube.values[0] = large;
  cube.add_segment(0, 70, {1});
  const Values out = cube.reduce_all({Function::kSum, {true}, 0}).value();
  EXPECT_EQ(out.type, DataType::integer(8));
  EXPECT_EQ(out.integer(0), int64_t{4611686018427387904} + 69);
}

TEST(Reduce, SameBytesOnAnyNumberOfThreads) {
  std::mt19937 random(8);
  std::normal_distribution<double> noise(280, 10);
  const Shape shape{200, 300};
  std::vector<double> values(element_count(shape));
  for (double& v : values) v = noise(random);
  Cube cube(DataType::floating(4), shape, values);
  cube.add_segment(0, 200, {1, 64});
  for (const Function function : kAll) {
    for (const std::vector<bool>& reduced :
         {std::vector<bool>{true, false}, {false, true}, {true, true}}) {
      ReduceOptions options;
      options.threads = 1;
      const Values one = cube.reduce_all({function, reduced, 0}, {}, options).value();
      for (const size_t threads : {2, 3, 8}) {
        options.threads = threads;
        options.memory_budget = threads == 3 ? 1 << 16 : options.memory_budget;
        const Values many = cube.reduce_all({function, reduced, 0}, {}, options).value();
        EXPECT_EQ(one.data, many.data);
      }
    }
  }
}

TEST(Reduce, WrongRequestsSayWhy) {
  Cube cube(DataType::floating(4), {4, 2}, std::vector<double>(8, 1));
  cube.add_segment(0, 4, {1, 2});
  EXPECT_EQ(cube.reduce_all({Function::kMean, {false, false}, 0}).error().code,
            Code::kInvalidArgument);
  EXPECT_EQ(cube.reduce_all({Function::kMean, {true, false}, 0}, {{0, 0}, {0, 2}, {}}).error().code,
            Code::kInvalidArgument);
  cube.array.type = DataType::fixed_string(4);
  EXPECT_EQ(cube.reduce_all({Function::kMean, {true, false}, 0}).error().code,
            Code::kInvalidArgument);
  Reduction reduction;
  for (const char* name : {"middle", "p", "p-1", "p101", "p5x", "", "mean "})
    EXPECT_EQ(parse_function(name, reduction).error().code, Code::kInvalidArgument) << name;
  EXPECT_TRUE(parse_function("p2.5", reduction));
  EXPECT_EQ(reduction.quantile, 0.025);
}

TEST(Reduce, BrokenChunkIsAnErrorThatNamesIt) {
  Cube cube(DataType::floating(4), {6, 2}, std::vector<double>(12, 1));
  cube.add_segment(0, 6, {1, 2});
  std::fill(cube.object.begin() + 30, cube.object.begin() + 45, uint8_t{0xFF});
  cube.store->put("memory://granule", cube.object);
  auto out = cube.reduce_all({Function::kMean, {true, false}, 0});
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().code, Code::kInvalidData);
  EXPECT_THAT(out.error().to_string(),
              testing::AllOf(testing::HasSubstr("of v"), testing::HasSubstr("memory://granule")));
}

}  // namespace
}  // namespace upwell::compute
