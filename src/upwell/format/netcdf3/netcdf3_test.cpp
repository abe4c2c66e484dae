#include "format/netcdf3/netcdf3.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "cube/read.hpp"
#include "io/memory_store.hpp"

namespace upwell::format::netcdf3 {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

/// Writes a header and data by hand, as the specification spells it.
class FileMaker {
 public:
  explicit FileMaker(uint8_t version) : version_(version) {
    bytes_ = to_bytes(std::string_view("CDF"));
    bytes_.push_back(version);
  }
  FileMaker& word(uint32_t v) { return put(v); }
  FileMaker& count(uint64_t v) { return version_ == 5 ? put(v) : put(static_cast<uint32_t>(v)); }
  FileMaker& begin(uint64_t v) { return version_ == 1 ? put(static_cast<uint32_t>(v)) : put(v); }
  FileMaker& name(std::string_view text) {
    count(text.size());
    return raw(text);
  }
  /// Padded to 4 bytes.
  FileMaker& raw(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    while (bytes_.size() % 4 != 0) bytes_.push_back(0);
    return *this;
  }
  FileMaker& exactly(std::string_view text) {
    bytes_.insert(bytes_.end(), text.begin(), text.end());
    return *this;
  }
  size_t size() const { return bytes_.size(); }
  const Bytes& bytes() const { return bytes_; }

 private:
  template <typename T>
  FileMaker& put(T v) {
    uint8_t b[sizeof(T)];
    store_be(b, v);
    bytes_.insert(bytes_.end(), b, b + sizeof(T));
    return *this;
  }
  uint8_t version_;
  Bytes bytes_;
};

/// Dimensions t (records) and x = 3; record variables of int16: one alone, or two.
Bytes record_file(uint8_t version, int variables, uint64_t records, uint64_t claimed) {
  const auto make = [&](uint64_t begin) {
    FileMaker f(version);
    f.count(claimed).word(10).count(2).name("t").count(0).name("x").count(3);
    f.word(12).count(1).name("title").word(2).count(5).raw("hello");
    f.word(11).count(static_cast<uint64_t>(variables));
    for (int v = 0; v < variables; ++v) {
      f.name(v == 0 ? "a" : "b").count(2).count(0).count(1);
      f.word(12)
          .count(1)
          .name("_FillValue")
          .word(3)
          .count(1)
          .exactly(std::string_view("\xff\xf7", 2))
          .raw("");
      f.word(3).count(8).begin(begin + static_cast<uint64_t>(v) * 8);
    }
    return f;
  };
  FileMaker f = make(make(0).size());
  for (uint64_t r = 0; r < records; ++r) {
    for (int v = 0; v < variables; ++v) {
      for (uint64_t x = 0; x < 3; ++x) {
        const char number[2] = {static_cast<char>(v), static_cast<char>(r * 3 + x)};
        f.exactly({number, 2});
      }
      if (variables > 1) f.exactly(std::string_view("\x7f\x7f", 2));  // padding
    }
  }
  return f.bytes();
}

struct Opened {
  std::shared_ptr<io::MemoryStore> store = std::make_shared<io::MemoryStore>();
  io::Session session;
  Result<Dataset> dataset = fail(Code::kInternal, "");
  explicit Opened(Bytes bytes, const ScanOptions& options = {}) {
    session.mount("memory", store);
    store->put("memory://f.nc", std::move(bytes));
    dataset = scan(session, "memory://f.nc", options);
  }
};

std::vector<int64_t> numbers(Opened& opened, const char* name) {
  const Array* array = opened.dataset->root.find_array(name);
  std::vector<int64_t> out;
  if (!array) return out;
  auto values = read_raw(opened.session, *opened.dataset, *array);
  for (size_t i = 0; values && i < values->count(); ++i) out.push_back(values->integer(i));
  return out;
}

class NetCdf3Version : public testing::TestWithParam<uint8_t> {};

TEST_P(NetCdf3Version, RecordsOfOneVariableHaveNoPadding) {
  Opened opened(record_file(GetParam(), 1, 3, 3));
  ASSERT_TRUE(opened.dataset) << opened.dataset.error().to_string();
  EXPECT_THAT(numbers(opened, "a"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
}

TEST_P(NetCdf3Version, RecordsOfTwoVariablesArePadded) {
  Opened opened(record_file(GetParam(), 2, 3, 3));
  ASSERT_TRUE(opened.dataset) << opened.dataset.error().to_string();
  EXPECT_THAT(numbers(opened, "a"), ElementsAre(0, 1, 2, 3, 4, 5, 6, 7, 8));
  EXPECT_THAT(numbers(opened, "b"), ElementsAre(256, 257, 258, 259, 260, 261, 262, 263, 264));
  const Array* b = opened.dataset->root.find_array("b");
  EXPECT_THAT(b->chunk_shape, ElementsAre(1, 3));
  EXPECT_EQ(b->segments[0].chunks->at(1)->length, 6U);
  EXPECT_EQ(text_attribute(opened.dataset->root.attributes, "title"), "hello");
  EXPECT_EQ(number_attribute(b->attributes, "_FillValue"), -9);
  EXPECT_TRUE(opened.dataset->root.dimensions[0].unlimited);
  EXPECT_EQ(opened.dataset->root.dimensions[0].size, 3U);
}

TEST_P(NetCdf3Version, NumberOfRecordsOfAStreamFollowsFromTheSize) {
  const uint64_t streaming = GetParam() == 5 ? ~uint64_t{0} : 0xFFFFFFFFU;
  Opened opened(record_file(GetParam(), 2, 4, streaming));
  ASSERT_TRUE(opened.dataset) << opened.dataset.error().to_string();
  EXPECT_EQ(opened.dataset->root.dimensions[0].size, 4U);
  EXPECT_EQ(numbers(opened, "a").size(), 12U);
}

TEST_P(NetCdf3Version, MissingRecordsAreAProblemWithTheOffset) {
  Opened opened(record_file(GetParam(), 2, 2, 3));
  ASSERT_TRUE(opened.dataset);
  ASSERT_EQ(opened.dataset->problems.size(), 2U);
  EXPECT_EQ(opened.dataset->problems[0].path, "/a");
  EXPECT_THAT(opened.dataset->problems[0].error.message, HasSubstr("from offset"));
}

TEST_P(NetCdf3Version, EveryCutOfTheHeaderIsAnError) {
  const Bytes whole = record_file(GetParam(), 2, 0, 0);
  for (size_t n = 1; n < whole.size(); ++n) {
    Opened opened(Bytes(whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(n)));
    ASSERT_FALSE(opened.dataset) << n;
    EXPECT_EQ(opened.dataset.error().code, Code::kInvalidData) << n;
  }
}

INSTANTIATE_TEST_SUITE_P(All, NetCdf3Version, testing::Values(1, 2, 5));

TEST(NetCdf3, HugeClaimsAreRefusedAtOnce) {
  FileMaker dims(1);
  dims.count(0).word(10).count(0xFFFFFFF0U);
  EXPECT_EQ(Opened(dims.bytes()).dataset.error().code, Code::kInvalidData);
  FileMaker tag(1);
  tag.count(0).word(77).count(1);
  const Opened opened(tag.bytes());
  EXPECT_THAT(opened.dataset.error().to_string(), HasSubstr("offset 8"));
}

TEST(NetCdf3, FixedVariablesAreCutEvenly) {
  const auto make = [](uint64_t begin) {
    FileMaker f(2);
    f.count(0).word(10).count(2).name("y").count(6).name("x").count(4).word(0).count(0);
    f.word(11).count(1).name("v").count(2).count(0).count(1).word(0).count(0);
    f.word(4).count(96).begin(begin);
    return f;
  };
  FileMaker f = make(make(0).size());
  for (uint32_t i = 0; i < 24; ++i) f.word(i);
  ScanOptions options;
  options.subchunk_bytes = 40;
  Opened opened(f.bytes(), options);
  ASSERT_TRUE(opened.dataset) << opened.dataset.error().to_string();
  const Array* v = opened.dataset->root.find_array("v");
  EXPECT_EQ(6 % v->chunk_shape[0], 0U);
  EXPECT_LT(v->chunk_shape[0], 6U);
  const auto values = numbers(opened, "v");
  ASSERT_EQ(values.size(), 24U);
  for (int64_t i = 0; i < 24; ++i) EXPECT_EQ(values[static_cast<size_t>(i)], i);
}

}  // namespace
}  // namespace upwell::format::netcdf3
