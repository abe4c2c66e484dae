#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "produce/granules/diagnostics.hpp"
#include "produce/granules/encode.hpp"
#include "produce/granules/mask.hpp"
#include "produce/granules/memory_gate.hpp"
#include "produce/granules/metadata.hpp"
#include "produce/granules/names.hpp"
#include "produce/granules/raw.hpp"
#include "produce/granules/receipt.hpp"
#include "produce/granules/uuid.hpp"

namespace upwell::produce {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Names, OfGranules) {
  auto name = parse_granule_name(
      "s3://bucket/x_mon_mean_y/SEA_ICE_day_mean_1992-01-02_ECCO_V4r4_latlon_0p50deg.nc");
  ASSERT_TRUE(name) << name.error().to_string();
  EXPECT_EQ(name->prefix, "SEA_ICE");
  EXPECT_EQ(name->tag, "day_mean");
  EXPECT_EQ(name->date, "1992-01-02");
  EXPECT_EQ(name->version, "V4r4");
  EXPECT_EQ(name->grid, GridType::kLatLon);
  EXPECT_EQ(name->label, "0p50deg");
  auto snapshot = parse_granule_name("SSH_snap_1992-01-01T000000_ECCO_V4r6_native_llc0090.nc");
  ASSERT_TRUE(snapshot);
  EXPECT_EQ(snapshot->tag, "snap");
  for (const char* wrong : {"a.nc", "SSH_mon_mean_1992-01_ECCO_V4r4_native_llc0090.zarr",
                            "SSH_mon_mean_1992-01_ECCO_V4r4_polar_llc0090.nc",
                            "SSH_mon_mean_1992-01_V4r4_native_llc0090.nc"})
    EXPECT_FALSE(parse_granule_name(wrong)) << wrong;
}

TEST(Names, OfGranulesWithoutADate) {
  auto invariant = parse_granule_name("x/OCEAN_3D_MIXING_COEFFS_ECCO_V4r4_native_llc0090.nc");
  ASSERT_TRUE(invariant) << invariant.error().to_string();
  EXPECT_EQ(invariant->prefix, "OCEAN_3D_MIXING_COEFFS");
  EXPECT_EQ(invariant->tag + invariant->date, "");
  EXPECT_EQ(invariant->label, "llc0090");
  auto series = parse_granule_name("GLOBAL_MEAN_SEA_LEVEL_mon_mean_ECCO_V4r4_1D.nc");
  ASSERT_TRUE(series) << series.error().to_string();
  EXPECT_EQ(series->prefix, "GLOBAL_MEAN_SEA_LEVEL");
  EXPECT_EQ(series->tag, "mon_mean");
  EXPECT_EQ(series->date + series->label, "");
  EXPECT_EQ(series->grid, GridType::k1D);
  for (const char* wrong : {"SSH_mon_mean_ECCO_V4r4_native_llc0090.nc", "SSH_ECCO_V4r4_1D.nc",
                            "SSH_ECCO_V4r4_native.nc", "_ECCO_V4r4_native_llc0090.nc",
                            "SSH_mon_mean_1992_01_ECCO_V4r4_native_llc0090.nc"})
    EXPECT_FALSE(parse_granule_name(wrong)) << wrong;
}

TEST(Names, OfInvariantFields) {
  EXPECT_EQ(parse_invariant_name("raw/DIFFKR.data")->variable, "DIFFKR");
  EXPECT_FALSE(parse_invariant_name("raw/DIFFKR.data")->step);
  EXPECT_EQ(parse_invariant_name("DIFFKR.0000000012.meta")->step, 12);
  for (const char* wrong : {"DIFFKR", ".data", "DIFFKR.x.data", "a.b.c.data"})
    EXPECT_FALSE(parse_invariant_name(wrong)) << wrong;
}

TEST(Names, OfRawFiles) {
  auto name = parse_raw_name("results/ADVx_TH_mon_mean.0000000732.data");
  ASSERT_TRUE(name);
  EXPECT_EQ(name->variable, "ADVx_TH");
  EXPECT_EQ(name->step, 732);
  for (const char* wrong : {"SSH.0000000732.data", "SSH_mon_mean.data", "SSH_mon_mean..data",
                            "SSH_mon_mean.73x.data", ""})
    EXPECT_FALSE(parse_raw_name(wrong)) << wrong;
}

TEST(Diagnostics, PointsAndLevels) {
  const auto found = parse_diagnostics(
      "  Num  |<-Name->|Levs|  mate |<- code ->|<--  Units   -->|<- Tile (max=80c)\n"
      "-----\n"
      "    23 |ETAN    |  1 |       |SM      M1|m               |Surface Height Anomaly\n"
      "    33 |UVEL    | 50 |    34 |UUR     MR|m/s             |X-Component\n"
      "    50 |WVELMASS| 50 |       |WM      LR|m/s             |Vertical\r\n"
      "    51 |VORT    | 50 |       |SZR     MR|m/s             |Vorticity\n"
      "    52 |LAYERS  |  5 |       |SM      MX|m/s             |On layers\n"
      "   190 |EXFuwind|  1 |       |UM      U1|m/s             |zonal wind");
  ASSERT_EQ(found.size(), 5U);
  EXPECT_EQ(found.at("ETAN").vertical, Vertical::kNone);
  EXPECT_EQ(found.at("UVEL").point, Point::kWest);
  EXPECT_EQ(found.at("UVEL").vertical, Vertical::kCentres);
  EXPECT_EQ(found.at("WVELMASS").vertical, Vertical::kUpperFaces);
  EXPECT_EQ(found.at("VORT").point, Point::kCorner);
  EXPECT_EQ(found.at("EXFuwind").point, Point::kCentre);
}

TEST(Podaac, QuotesLinesAndRows) {
  auto table = parse_csv(
      "\xEF\xBB\xBF"
      "a,\"b,\"\"c\"\"\nd\",e\r\n,,\nlast,\"\"");
  ASSERT_TRUE(table) << table.error().to_string();
  EXPECT_THAT(*table, ElementsAre(ElementsAre("a", "b,\"c\"\nd", "e"), ElementsAre("", "", ""),
                                  ElementsAre("last", "")));
  auto open = parse_csv("a\nb,\"c\n");
  ASSERT_FALSE(open);
  EXPECT_THAT(open.error().message, HasSubstr("line 2"));

  const std::vector<PodaacRow> rows{
      {"SSH_mon_mean_1992-01_ECCO_V4r4_native_llc0090.nc", "native", "", ""},
      {"SSH_mon_mean_1992-01_ECCO_V4r4_latlon_0p50deg.nc", "latlon", "", ""},
      {"MY_SSH_mon_mean_1992-01_ECCO_V4r4_native_llc0090.nc", "other", "", ""},
      {"SSH_day_mean_1992-01-01_ECCO_V4r4_native_llc0090.nc", "daily", "", ""}};
  auto name = parse_granule_name("SSH_mon_mean_2017-12_ECCO_V4r5_native_llc0090.nc");
  ASSERT_TRUE(name);
  const auto found = matching_rows(rows, *name);
  ASSERT_EQ(found.size(), 1U);
  EXPECT_EQ(found[0]->long_name, "native");
}

TEST(Mask, RangeIsOfWaterAndNumbers) {
  const double in[] = {5, 1e300, -2, std::numeric_limits<double>::quiet_NaN(), 7, 99};
  float out[6];
  const ValueRange range = mask_values(in, 5, [](uint64_t i) { return i != 1; }, out);
  EXPECT_EQ(range.min, -2);
  EXPECT_EQ(range.max, 7);
  EXPECT_EQ(range.not_finite, 1U);
  EXPECT_EQ(range.first_not_finite, 3U);
  EXPECT_THAT(out, ElementsAre(5, kFillValue<float>, -2, kFillValue<float>, 7, testing::_));
  float nothing[2];
  EXPECT_TRUE(mask_values(in, 2, [](uint64_t) { return false; }, nothing).empty());
  ValueRange all;
  all.join(mask_values(in, 2, [](uint64_t i) { return i == 0; }, nothing), 0);
  all.join(range, 10);
  EXPECT_EQ(all.first_not_finite, 13U);
  EXPECT_EQ(all.min, -2);
}

TEST(Encode, EdgesArePaddedAndEmptyChunksAreOne) {
  const Shape shape{3, 5}, chunk{2, 3};
  Bytes values(shape[0] * shape[1] * 4), fill(4);
  store_le(fill.data(), 9.0F);
  for (size_t i = 0; i < 15; ++i)
    store_le(values.data() + 4 * i, i < 5 ? static_cast<float>(i) : 9);
  ChunkEncoder encoder(Compression::kSmall);
  auto chunks = encoder.encode(values, shape, chunk, fill, 5);
  ASSERT_TRUE(chunks) << chunks.error().to_string();
  ASSERT_EQ(chunks->stored.size(), 4U);
  const std::vector<codec::CodecSpec> specs{{"shuffle", "{\"elementsize\":4}"}, {"zlib", "{}"}};
  auto pipeline = codec::Pipeline::make(specs, 4);
  ASSERT_TRUE(pipeline);
  const auto decoded = [&](size_t c) {
    Bytes bytes(24);
    EXPECT_TRUE(pipeline->decode(chunks->stored[c].span(), 0, bytes));
    std::vector<float> numbers(6);
    for (size_t i = 0; i < 6; ++i) numbers[i] = load_le<float>(bytes.data() + 4 * i);
    return numbers;
  };
  EXPECT_THAT(decoded(0), ElementsAre(0, 1, 2, 9, 9, 9));
  EXPECT_THAT(decoded(1), ElementsAre(3, 4, 9, 9, 9, 9));
  EXPECT_THAT(decoded(3), testing::Each(9));
  EXPECT_EQ(chunks->stored[2].data(), chunks->stored[3].data());
}

TEST(Uuid, VersionsAndNames) {
  EXPECT_NE(random_uuid(), random_uuid());
  EXPECT_EQ(random_uuid()[14], '4');
  // What Python's uuid.uuid5(uuid.NAMESPACE_URL, "upwell") gives.
  EXPECT_EQ(name_uuid("upwell"), "68964cd0-425c-5345-91fa-f6f4903d37cb");
}

TEST(Receipt, IsReadAsWritten) {
  const Receipt receipt{
      "abc", {"/x/a.nc", 12, 345, "", "ff"}, {{"/in.data", 1, {}, "\"tag\"", "00"}}};
  auto read = Receipt::parse(receipt.to_json());
  ASSERT_TRUE(read) << read.error().to_string();
  EXPECT_EQ(read->to_json(), receipt.to_json());
  EXPECT_EQ(read->inputs[0].etag, "\"tag\"");
  EXPECT_FALSE(Receipt::parse("{\"made_from\": 1}"));
  EXPECT_FALSE(Receipt::parse("nothing"));
  EXPECT_EQ(receipt_url("/out/a.nc"), "/out/.receipts/a.nc.json");
}

TEST(Raw, OneOfSeveralRecords) {
  const std::string meta =
      " nDims = [ 2 ]; dimList = [ 2, 1, 2, 26, 1, 26 ]; dataprec = [ 'float32' ]; nrecords = [ 2 "
      "];\n"
      " timeStepNumber = [ 7 ]; timeInterval = [ 0. 25200. ]; nFlds = [ 2 ];\n"
      " fldList = { 'ETAN    ' 'SSH     ' };";
  Bytes data(2 * level_values(2) * 4);
  for (size_t i = 0; i < data.size() / 4; ++i) store_be(data.data() + 4 * i, static_cast<float>(i));
  const MdsPair pair{"SSH_mon_mean.0000000007.data", "SSH_mon_mean.0000000007.meta"};
  const std::vector<uint32_t> kOne{1}, kTwo{2};
  auto raw = raw_field(meta, data, pair, *parse_raw_name(pair.data), 2, kOne);
  ASSERT_TRUE(raw) << raw.error().to_string();
  EXPECT_EQ(std::get<FieldValues<float>>(raw->field.values)[0], 52.0F);
  EXPECT_THAT(raw->interval, ElementsAre(0, 25200));
  EXPECT_FALSE(raw_field(meta, data, pair, *parse_raw_name(pair.data), 3, kOne));
  EXPECT_FALSE(raw_field(meta, data, pair, *parse_raw_name(pair.data), 2, kTwo));
  EXPECT_FALSE(
      raw_field(meta, ByteSpan(data).first(100), pair, *parse_raw_name(pair.data), 2, kOne));
}

TEST(MemoryGate, WhatIsTooLargeGoesAlone) {
  MemoryGate gate(100);
  {
    const auto all = gate.take(1000);
  }
  const auto half = gate.take(50);
  const auto other = gate.take(50);
}

}  // namespace
}  // namespace upwell::produce
