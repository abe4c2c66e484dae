#include "codec/codec.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

namespace upwell::codec {
namespace {

Bytes sample_bytes(size_t size) {
  std::mt19937 random(static_cast<unsigned>(size) + 1);
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) {
    bytes[i] = static_cast<uint8_t>(i % 4 == 0 ? random() & 0xffU : i / 100);
  }
  return bytes;
}

Pipeline pipeline_of(std::vector<CodecSpec> specs, size_t item_size = 4) {
  auto made = Pipeline::make(specs, item_size);
  EXPECT_TRUE(made) << made.error().to_string();
  return std::move(*made);
}

TEST(Pipeline, RoundTripsThroughEveryWrittenCodec) {
  const std::vector<std::vector<CodecSpec>> pipelines = {
      {},
      {{"zlib", "{\"level\":1}"}},
      {{"shuffle", "{\"elementsize\":4}"}, {"zlib", "{\"level\":9}"}, {"fletcher32", "{}"}},
      {{"gzip", "{}"}, {"gzip", "{}"}},
      {{"zlib", "{}"}, {"zlib", "{}"}, {"zlib", "{}"}},
      {{"zstd", "{\"level\":3}"}, {"crc32c", "{}"}},
  };
  for (const auto& specs : pipelines) {
    const Pipeline pipeline = pipeline_of(specs);
    for (const size_t size : {0, 1, 2, 3, 4, 5, 63, 64, 65, 1000, 100003}) {
      const Bytes raw = sample_bytes(size);
      const auto stored = pipeline.encode(raw);
      ASSERT_TRUE(stored);
      Bytes out(size);
      const auto done = pipeline.decode(*stored, 0, out);
      ASSERT_TRUE(done) << specs.size() << " " << size << " " << done.error().to_string();
      EXPECT_EQ(out, raw);
      const auto unsized = pipeline.decode_unsized(*stored, 0, size);
      ASSERT_TRUE(unsized);
      EXPECT_EQ(*unsized, raw);
      if (!specs.empty()) {
        Bytes longer(size + 1);
        EXPECT_FALSE(pipeline.decode(*stored, 0, longer));
        if (size > 0) {
          EXPECT_FALSE(pipeline.decode(*stored, 0, MutableByteSpan(out).first(size - 1)));
          EXPECT_FALSE(pipeline.decode_unsized(*stored, 0, size - 1));
        }
      }
    }
  }
}

TEST(Pipeline, SkipsTheStepsThatTheFilterMaskNames) {
  const CodecSpec shuffle{"shuffle", "{\"elementsize\":4}"};
  const CodecSpec zlib{"zlib", "{\"level\":4}"};
  const CodecSpec sum{"fletcher32", "{}"};
  const Pipeline all = pipeline_of({shuffle, zlib, sum});
  const Bytes raw = sample_bytes(4096);
  const std::vector<CodecSpec> steps = {shuffle, zlib, sum};
  for (uint32_t mask = 0; mask < 8; ++mask) {
    std::vector<CodecSpec> applied;
    for (size_t i = 0; i < 3; ++i) {
      if (!(mask >> i & 1U)) applied.push_back(steps[i]);
    }
    const auto stored = pipeline_of(applied).encode(raw);
    ASSERT_TRUE(stored);
    Bytes out(raw.size());
    ASSERT_TRUE(all.decode(*stored, mask, out)) << mask;
    EXPECT_EQ(out, raw);
  }
  Bytes out(4096);
  EXPECT_FALSE(all.decode(sample_bytes(4097), 7, out));
}

TEST(Pipeline, AnEmptyPipelineCutsWhatIsLonger) {
  const Pipeline none = pipeline_of({});
  const Bytes stored = sample_bytes(10);
  Bytes out(6);
  ASSERT_TRUE(none.decode(stored, 0, out));
  EXPECT_TRUE(std::equal(out.begin(), out.end(), stored.begin()));
  Bytes longer(11);
  const auto done = none.decode(stored, 0, longer);
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().code, Code::kInvalidData);
}

}  // namespace
}  // namespace upwell::codec
