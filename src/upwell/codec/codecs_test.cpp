// Every codec on bytes made by hand or by its own encoder, then on the same bytes cut and damaged.

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <libaec.h>

#include <random>

#include "codec/codec.hpp"
#include "codec/hdf5_filters.hpp"

namespace upwell::codec {
namespace {

struct CodecCase {
  CodecSpec spec;
  size_t item_size;
  Bytes stored;
  Bytes decoded;
};

Bytes hand_made(std::initializer_list<int> values) {
  Bytes bytes;
  for (const int value : values) bytes.push_back(static_cast<uint8_t>(value));
  return bytes;
}

Bytes repetitive(size_t size) {
  Bytes bytes(size);
  for (size_t i = 0; i < size; ++i) bytes[i] = static_cast<uint8_t>(i / 7 % 50);
  return bytes;
}

Bytes encoded_by(const CodecSpec& spec, size_t item_size, ByteSpan raw) {
  const auto codec = make_codec(spec, item_size);
  EXPECT_TRUE(codec) << spec.id;
  Bytes out;
  const auto done = (*codec)->encode(raw, out);
  EXPECT_TRUE(done) << spec.id << done.error().to_string();
  return out;
}

// szip as libhdf5 writes it: the size, then what libaec makes of big-endian 16-bit pixels.
CodecCase szip_case() {
  const Bytes raw = repetitive(512);
  Bytes stored(4 + 1024);
  store_le<uint32_t>(stored.data(), 512);
  aec_stream stream = {};
  stream.bits_per_sample = 16;
  stream.block_size = 16;
  stream.rsi = 4;
  stream.flags = AEC_DATA_MSB | AEC_DATA_PREPROCESS;
  stream.next_in = raw.data();
  stream.avail_in = raw.size();
  stream.next_out = stored.data() + 4;
  stream.avail_out = stored.size() - 4;
  EXPECT_EQ(aec_buffer_encode(&stream), AEC_OK);
  stored.resize(4 + stream.total_out);
  return {{"hdf5_szip", R"({"cd_values":[48,16,16,64]})"}, 2, stored, raw};
}

std::vector<CodecCase> hdf5_cases() {
  std::vector<CodecCase> cases;
  cases.push_back(szip_case());
  cases.push_back(
      {{"lzf", "{}"}, 1, hand_made({2, 'a', 'b', 'c', 0x20, 2, 0, '!'}), to_bytes("abcabc!")});
  cases.push_back({{"hdf5_bitshuffle", R"({"cd_values":[0,4,1,0,0]})"},
                   1,
                   hand_made({0xff, 0, 0, 0, 0, 0, 0, 0x80, 9}),
                   hand_made({1, 1, 1, 1, 1, 1, 1, 0x81, 9})});
  // Two numbers of 12 bits from bit 4 on: 0xabc and 0x123.
  cases.push_back({{"hdf5_nbit", R"({"cd_values":[8,0,2,1,4,0,12,4]})"},
                   4,
                   hand_made({0xab, 0xc1, 0x23}),
                   hand_made({0xc0, 0xab, 0, 0, 0x30, 0x12, 0, 0})});
  cases.push_back({{"hdf5_nbit", R"({"cd_values":[8,0,2,1,4,1,12,4]})"},
                   4,
                   hand_made({0xab, 0xc1, 0x23}),
                   hand_made({0, 0, 0xab, 0xc0, 0, 0, 0x12, 0x30})});
  // A compound of an array of two 4-bit numbers and a byte that is copied.
  cases.push_back({{"hdf5_nbit", R"({"cd_values":[17,0,1,3,3,2,0,2,2,1,1,0,4,0,2,4,1]})"},
                   3,
                   hand_made({0x5a, 0x77}),
                   hand_made({5, 0xa, 0x77})});
  // 16-bit integers of 4 bits above 100; the highest code stands for -1.
  Bytes scaled = hand_made({4, 0, 0, 0, 8, 100, 0, 0, 0, 0, 0, 0, 0});
  scaled.resize(21, 0);
  scaled.push_back(0x1f);
  scaled.push_back(0x20);
  cases.push_back({{"hdf5_scaleoffset", R"({"cd_values":[2,0,3,0,2,1,0,1,65535]})"},
                   2,
                   scaled,
                   hand_made({101, 0, 0xff, 0xff, 102, 0})});
  cases.push_back({{"hdf5_scaleoffset", R"({"cd_values":[2,0,3,0,2,1,1,1,65535]})"},
                   2,
                   scaled,
                   hand_made({0, 101, 0xff, 0xff, 0, 102})});
  const Bytes raw = repetitive(300);
  const Bytes block = encoded_by({"lz4", "{}"}, 1, raw);
  Bytes framed = hand_made({0, 0, 0, 0, 0, 0, 1, 44, 0, 0, 4, 0, 0, 0, 0, 0});
  store_be<uint32_t>(framed.data() + 12, static_cast<uint32_t>(block.size() - 4));
  framed.insert(framed.end(), block.begin() + 4, block.end());
  cases.push_back({{"hdf5_lz4", "{}"}, 1, framed, raw});
  return cases;
}

std::vector<CodecCase> all_cases() {
  std::vector<CodecCase> cases = hdf5_cases();
  const std::vector<CodecSpec> written = {
      {"adler32", "{}"},
      {"astype", R"({"decode_dtype":"<i4","encode_dtype":">i8"})"},
      {"bitround", R"({"keepbits":23})"},
      {"blosc", R"({"clevel":5,"cname":"lz4","shuffle":1})"},
      {"blosc", R"({"clevel":5,"cname":"zstd","shuffle":2})"},
      {"blosc", R"({"clevel":5,"cname":"blosclz","shuffle":0})"},
      {"blosc", R"({"clevel":5,"cname":"zlib","shuffle":"shuffle"})"},
      {"bz2", "{}"},
      {"crc32", "{}"},
      {"crc32c", R"({"location":"end"})"},
      {"deflate", "{}"},
      {"delta", R"({"astype":"<i4","dtype":"<i4"})"},
      {"fixedscaleoffset", R"({"astype":"<i4","dtype":"<i4","offset":1,"scale":1})"},
      {"fletcher32", "{}"},
      {"gzip", "{}"},
      {"lz4", "{}"},
      {"shuffle", R"({"elementsize":4})"},
      {"transpose", R"({"itemsize":4,"order":[2,0,1],"shape":[5,10,5]})"},
      {"zlib", "{}"},
      {"zstd", R"({"checksum":true,"level":3})"},
  };
  const Bytes raw = repetitive(1000);
  for (const CodecSpec& spec : written) cases.push_back({spec, 4, encoded_by(spec, 4, raw), raw});
  const Bytes flags = hand_made({1, 0, 0, 1, 1, 1, 0, 1, 1, 0});
  cases.push_back({{"packbits", "{}"}, 1, encoded_by({"packbits", "{}"}, 1, flags), flags});
  cases.push_back({{"quantize", R"({"astype":"<f2","digits":1,"dtype":"<f4"})"},
                   4,
                   hand_made({0, 0x3c, 0, 0xc1}),
                   hand_made({0, 0, 0x80, 0x3f, 0, 0, 0x20, 0xc0})});
  return cases;
}

TEST(Codecs, EachIsTested) {
  std::vector<std::string> tested;
  for (const CodecCase& c : all_cases()) tested.push_back(c.spec.id);
  for (const std::string& id : codec_ids()) EXPECT_THAT(tested, testing::Contains(id));
}

TEST(Codecs, DecodeWhatTheyShould) {
  for (const CodecCase& c : all_cases()) {
    const auto pipeline = Pipeline::make(std::span(&c.spec, 1), c.item_size);
    ASSERT_TRUE(pipeline) << c.spec.id << pipeline.error().to_string();
    Bytes out(c.decoded.size());
    const auto done = pipeline->decode(c.stored, 0, out);
    ASSERT_TRUE(done) << c.spec.id << " " << done.error().to_string();
    EXPECT_EQ(out, c.decoded) << c.spec.id << c.spec.config;
    const auto unsized = pipeline->decode_unsized(c.stored, 0, 1 << 20);
    ASSERT_TRUE(unsized) << c.spec.id << " " << unsized.error().to_string();
    EXPECT_EQ(*unsized, c.decoded) << c.spec.id;
  }
}

TEST(Codecs, NeverGoBeyondTheLimit) {
  for (const CodecCase& c : all_cases()) {
    const auto codec = make_codec(c.spec, c.item_size);
    ASSERT_TRUE(codec);
    for (const size_t limit : {size_t{0}, c.decoded.size() / 2, c.decoded.size() - 1}) {
      Bytes out;
      const auto done = (*codec)->decode(c.stored, limit, out);
      ASSERT_FALSE(done) << c.spec.id << " " << limit;
      EXPECT_EQ(done.error().code, Code::kInvalidData) << c.spec.id;
      EXPECT_LE(out.capacity(), limit) << c.spec.id;
      Bytes exact(limit);
      EXPECT_FALSE((*codec)->decode_into(c.stored, exact)) << c.spec.id;
    }
    Bytes longer(c.decoded.size() + 1);
    EXPECT_FALSE((*codec)->decode_into(c.stored, longer)) << c.spec.id;
  }
}

// Damage that cannot be noticed gives other bytes; it never reads or writes out of bounds (the
// sanitizers watch) and never gives another size.
TEST(Codecs, SurviveCutsAndFlippedBits) {
  std::mt19937 random(1);
  for (const CodecCase& c : all_cases()) {
    const auto codec = make_codec(c.spec, c.item_size);
    ASSERT_TRUE(codec);
    Bytes out(c.decoded.size());
    for (size_t size = 0; size < c.stored.size(); ++size) {
      const Bytes cut(c.stored.begin(), c.stored.begin() + static_cast<ptrdiff_t>(size));
      const auto done = (*codec)->decode_into(cut, out);
      if (!done) {
        EXPECT_EQ(done.error().code, Code::kInvalidData);
      }
      Bytes any;
      const auto unsized = (*codec)->decode(cut, c.decoded.size(), any);
      if (unsized) {
        EXPECT_LE(any.size(), c.decoded.size());
      }
    }
    for (size_t i = 0; i < c.stored.size() * 8; ++i) {
      Bytes damaged = c.stored;
      damaged[i / 8] ^= static_cast<uint8_t>(1U << (i % 8));
      (void)(*codec)->decode_into(damaged, out);
      if (i % 5 == 0) damaged[random() % damaged.size()] = static_cast<uint8_t>(random());
      Bytes any;
      (void)(*codec)->decode(damaged, c.decoded.size() * 2, any);
      EXPECT_LE(any.size(), c.decoded.size() * 2) << c.spec.id;
    }
  }
}

TEST(Codecs, CutCompressedBytesAreNoticed) {
  for (const CodecCase& c : all_cases()) {
    if (c.spec.id == "fletcher32" || c.stored.size() < 2) continue;
    const auto codec = make_codec(c.spec, c.item_size);
    Bytes out(c.decoded.size());
    const size_t half = c.stored.size() / 2;
    EXPECT_FALSE((*codec)->decode_into(ByteSpan(c.stored).first(half), out)) << c.spec.id;
    EXPECT_FALSE((*codec)->decode_into({}, out)) << c.spec.id;
  }
}

TEST(Codecs, ChecksumsNoticeEveryFlippedBit) {
  for (const char* id : {"fletcher32", "crc32c", "crc32", "adler32"}) {
    const auto codec = make_codec({id, "{}"}, 1);
    ASSERT_TRUE(codec);
    Bytes stored;
    ASSERT_TRUE((*codec)->encode(repetitive(101), stored));
    Bytes out(101);
    ASSERT_TRUE((*codec)->decode_into(stored, out));
    for (size_t i = 0; i < stored.size() * 8; ++i) {
      stored[i / 8] ^= static_cast<uint8_t>(1U << (i % 8));
      const auto done = (*codec)->decode_into(stored, out);
      ASSERT_FALSE(done) << id << " bit " << i;
      EXPECT_THAT(done.error().message, testing::HasSubstr("checksum mismatch"));
      stored[i / 8] ^= static_cast<uint8_t>(1U << (i % 8));
    }
  }
}

TEST(Codecs, Fletcher32AcceptsTheOldByteOrder) {
  const auto codec = make_codec({"fletcher32", "{}"}, 1);
  Bytes stored;
  ASSERT_TRUE((*codec)->encode(repetitive(64), stored));
  std::swap(stored[64], stored[65]);
  std::swap(stored[66], stored[67]);
  Bytes out(64);
  EXPECT_TRUE((*codec)->decode_into(stored, out));
  EXPECT_EQ(out, repetitive(64));
}

TEST(Codecs, Crc32cOfThePublishedExample) {
  const auto codec = make_codec({"crc32c", "{}"}, 1);
  Bytes stored;
  ASSERT_TRUE((*codec)->encode(to_bytes("123456789"), stored));
  EXPECT_EQ(load_le<uint32_t>(stored.data() + 9), 0xe3069283U);
}

TEST(Codecs, RefuseBombs) {
  const Bytes zeros(64 << 20, 0);
  for (const char* id : {"zlib", "gzip", "bz2", "zstd", "lz4", "blosc"}) {
    const auto codec = make_codec({id, "{}"}, 1);
    Bytes stored;
    ASSERT_TRUE((*codec)->encode(zeros, stored));
    // Two compressions in a row: the limit holds for the middle too.
    Bytes twice;
    ASSERT_TRUE((*codec)->encode(stored, twice));
    Bytes out;
    EXPECT_FALSE((*codec)->decode(stored, 1000, out)) << id;
    EXPECT_LE(out.capacity(), 1000U) << id;
    const std::vector<CodecSpec> specs = {{id, "{}"}, {id, "{}"}};
    const auto pipeline = Pipeline::make(specs, 1);
    ASSERT_TRUE(pipeline);
    const auto done = pipeline->decode_unsized(twice, 0, 1000);
    ASSERT_FALSE(done) << id;
    EXPECT_EQ(done.error().code, Code::kInvalidData);
  }
}

TEST(Codecs, ReadWhatFollowsTheFirstMember) {
  const Bytes raw = repetitive(500);
  Bytes both = raw;
  both.insert(both.end(), raw.begin(), raw.end());
  for (const char* id : {"gzip", "bz2", "zstd"}) {
    const auto codec = make_codec({id, "{}"}, 1);
    Bytes one;
    ASSERT_TRUE((*codec)->encode(raw, one));
    Bytes two = one;
    two.insert(two.end(), one.begin(), one.end());
    Bytes out(1000);
    ASSERT_TRUE((*codec)->decode_into(two, out)) << id;
    EXPECT_EQ(out, both);
  }
  const auto zlib = make_codec({"zlib", "{}"}, 1);
  Bytes padded;
  ASSERT_TRUE((*zlib)->encode(raw, padded));
  padded.resize(padded.size() + 100, 0);
  Bytes out(500);
  EXPECT_TRUE((*zlib)->decode_into(padded, out));
}

TEST(Codecs, RefuseParametersThatMakeNoSense) {
  const std::vector<CodecSpec> broken = {
      {"zlib", "{\"level\":10}"},
      {"zlib", "{\"level\":\"high\"}"},
      {"zlib", "[]"},
      {"zlib", "{"},
      {"crc32c", "{\"location\":\"middle\"}"},
      {"delta", "{}"},
      {"fixedscaleoffset", R"({"dtype":"<f4"})"},
      {"blosc", R"({"shuffle":7})"},
      {"hdf5_szip", R"({"cd_values":[4,33,8,100]})"},
      {"hdf5_szip", R"({"cd_values":[4,32,8,31]})"},
      {"hdf5_szip", R"({"cd_values":[4,32,25,64]})"},
      {"hdf5_szip", R"({"cd_values":[4]})"},
      {"hdf5_nbit", R"({"cd_values":[8,0,2,1,4,0,30,4]})"},
      {"hdf5_nbit", R"({"cd_values":[8,0,2,1,4,0,0,4]})"},
      {"hdf5_nbit", R"({"cd_values":[5,0,2,9,4]})"},
      {"hdf5_nbit", R"({"cd_values":[6,0,2,3,4,1]})"},
      {"hdf5_nbit", R"({"cd_values":[9,0,2,3,4,1,2,4,3]})"},
      {"hdf5_scaleoffset", R"({"cd_values":[2,0,3,0,3,1,0,0]})"},
      {"hdf5_scaleoffset", R"({"cd_values":[2,0,3,0,8,1,0,1,7]})"},
      {"hdf5_scaleoffset", R"({"cd_values":[0,0,3,0,4,1,0,0]})"},
      {"hdf5_bitshuffle", R"({"cd_values":[0,4,0]})"},
      {"hdf5_bitshuffle", R"({"cd_values":[0,4,4,0,1]})"},
      {"transpose", R"({"order":[0,0],"shape":[2,2]})"},
      {"transpose", R"({"order":[0],"shape":[2,2]})"},
      {"bitround", "{}"},
  };
  for (const CodecSpec& spec : broken) {
    const auto codec = make_codec(spec, 4);
    ASSERT_FALSE(codec) << spec.id << spec.config;
    EXPECT_EQ(codec.error().code, Code::kInvalidData) << spec.config;
    EXPECT_THAT(codec.error().to_string(), testing::HasSubstr(spec.id));
  }
  const auto unknown = make_codec({"pcodec", "{}"}, 4);
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kUnsupported);
}

TEST(Codecs, ZstdLevelsBeyondTheLibrarysAreClamped) {
  for (const char* config : {"{\"level\":100}", "{\"level\":-2000000000}"}) {
    const Bytes stored = encoded_by({"zstd", config}, 1, repetitive(1000));
    Bytes out(1000);
    ASSERT_TRUE((*make_codec({"zstd", config}, 1))->decode_into(stored, out));
    EXPECT_EQ(out, repetitive(1000));
  }
}

TEST(Codecs, DeepNbitTypesAreRefused) {
  std::string values = "0,0,1";
  for (int i = 0; i < 1000; ++i) values += ",2,8";
  const auto codec = make_codec({"hdf5_nbit", "{\"cd_values\":[" + values + "]}"}, 8);
  ASSERT_FALSE(codec);
  EXPECT_THAT(codec.error().message, testing::HasSubstr("too deep"));
}

TEST(Vlen, SplitsAndJoins) {
  const std::vector<std::string_view> items = {"one", "", "drei"};
  const Bytes joined = join_vlen(items);
  const auto back = split_vlen(joined, 3);
  ASSERT_TRUE(back);
  EXPECT_EQ(*back, items);
  EXPECT_FALSE(split_vlen(joined, 2));
  for (size_t size = 0; size < joined.size(); ++size) {
    EXPECT_FALSE(split_vlen(ByteSpan(joined).first(size), 3)) << size;
  }
  EXPECT_FALSE(split_vlen(hand_made({0xff, 0xff, 0xff, 0x7f, 0, 0}), SIZE_MAX));
}

TEST(Hdf5Filters, BecomeCodecs) {
  const auto spec = [](uint16_t id, std::vector<uint32_t> values) {
    const auto made = from_hdf5_filter(id, values, 4, "a name");
    EXPECT_TRUE(made) << id;
    return *made;
  };
  EXPECT_EQ(spec(1, {7}), (CodecSpec{"zlib", "{\"level\":7}"}));
  EXPECT_EQ(spec(2, {8}), (CodecSpec{"shuffle", "{\"elementsize\":8}"}));
  EXPECT_EQ(spec(2, {}), (CodecSpec{"shuffle", "{\"elementsize\":4}"}));
  EXPECT_EQ(spec(3, {}), (CodecSpec{"fletcher32", "{}"}));
  EXPECT_EQ(spec(4, {4, 32, 8, 64}), (CodecSpec{"hdf5_szip", "{\"cd_values\":[4,32,8,64]}"}));
  EXPECT_EQ(spec(32001, {2, 2, 4, 4000, 5, 2, 5}),
            (CodecSpec{"blosc", R"({"blocksize":0,"clevel":5,"cname":"zstd","shuffle":2})"}));
  EXPECT_EQ(spec(32015, {19}), (CodecSpec{"zstd", "{\"level\":19}"}));
  EXPECT_EQ(spec(307, {9}), (CodecSpec{"bz2", "{\"level\":9}"}));
  EXPECT_TRUE(is_numcodecs(spec(1, {7})));
  EXPECT_FALSE(is_numcodecs(spec(32000, {})));
  EXPECT_FALSE(is_numcodecs(spec(32008, {0, 4, 4})));
  const auto unknown = from_hdf5_filter(32013, {}, 4, "ZFP");
  ASSERT_FALSE(unknown);
  EXPECT_EQ(unknown.error().code, Code::kUnsupported);
  EXPECT_THAT(unknown.error().message, testing::HasSubstr("32013 \"ZFP\""));
  EXPECT_EQ(from_hdf5_filter(4, {}, 4, "szip").error().code, Code::kInvalidData);
}

}  // namespace
}  // namespace upwell::codec
