#include "generate/names.hpp"

#include <gtest/gtest.h>

#include "base/machine.hpp"
#include "generate/listing.hpp"

namespace upwell::generate {
namespace {

TEST(GenerateNames, DatesOfTheContainerAndOfTheCatalogue) {
  EXPECT_EQ(*iso_date("1-1-2022"), "2022-01-01");
  EXPECT_EQ(*iso_date("12-31-2022"), "2022-12-31");
  EXPECT_EQ(*iso_date("2022-01-31"), "2022-01-31");
  EXPECT_EQ(*iso_date("2022"), "2022");
  EXPECT_EQ(*iso_date("2022-01-31T12:00:00Z"), "2022-01-31T12:00:00Z");
  EXPECT_EQ(*iso_date(""), "");
  EXPECT_EQ(*iso_date("None"), "");
  for (const char* wrong : {"31-12-2022", "1/31/2022", "2022-13-01", "tomorrow", "1-1-22",
                            "1-1-2022x", "2022-02-30", "2-30-2022", "2022/01"}) {
    const auto date = iso_date(wrong);
    ASSERT_FALSE(date) << wrong;
    EXPECT_EQ(date.error().code, Code::kInvalidArgument) << wrong;
  }
}

TEST(GenerateNames, OutputsAreCalledAsBefore) {
  EXPECT_EQ(*output_stem("MUR", "", ""), "MUR_virtual_");
  EXPECT_EQ(*output_stem("MUR", "None", "None"), "MUR_virtual_");
  EXPECT_EQ(*output_stem("MUR", "1-1-2022", "12-31-2022"), "MUR_1-1-2022_to_12-31-2022_virtual_");
  EXPECT_EQ(*output_stem("MUR", "2022", ""), "MUR_2022_to_present_virtual_");
  EXPECT_EQ(*output_stem("MUR", "", "2022"), "MUR_beginning_to_2022_virtual_");
  for (const char* wrong : {"", "..", "a/b", "a b", "../x"})
    EXPECT_FALSE(output_stem(wrong, "", ""));
  EXPECT_EQ(*bucket_directory("out", "MUR"), "s3://out/virtual_collections/MUR/");
  EXPECT_FALSE(bucket_directory("s3://out", "MUR"));
  EXPECT_FALSE(bucket_directory("out/x", "MUR"));
  EXPECT_FALSE(bucket_directory("", "MUR"));
}

TEST(GenerateNames, MemoryAsDaskSpellsIt) {
  EXPECT_EQ(*memory_size("12GB"), 12'000'000'000U);
  EXPECT_EQ(*memory_size("12GiB"), uint64_t{12} << 30);
  EXPECT_EQ(*memory_size("512 MiB"), uint64_t{512} << 20);
  EXPECT_EQ(*memory_size("1.5g"), 1'500'000'000U);
  EXPECT_EQ(*memory_size("200000000"), 200'000'000U);
  EXPECT_EQ(*memory_size(" 12GB "), 12'000'000'000U);
  EXPECT_EQ(*memory_size("1"), physical_memory()) << "as Dask: a part of the machine's";
  EXPECT_LE(*memory_size("0.5"), physical_memory() / 2);
  EXPECT_GT(*memory_size("0.5"), physical_memory() / 3);
  EXPECT_EQ(*memory_size("auto"), 0U);
  EXPECT_EQ(*memory_size("0"), 0U);
  for (const char* wrong :
       {"", "lots", "-1", "12 GB of it", "1e30", "nan", "inf", "GB", "1KB", "2"})
    EXPECT_FALSE(memory_size(wrong)) << wrong;
}

ListedGranule at(const std::string& s3, const std::string& https) {
  ListedGranule out;
  out.s3 = s3;
  out.https = https;
  return out;
}

TEST(GenerateListing, PlacesThatEndAlike) {
  const auto pair = [](const std::string& s3, const std::string& https) {
    Places places;
    add_places(places, {at(s3, https)});
    return places.at(0).first + " " + places.at(0).second;
  };
  EXPECT_EQ(pair("s3://b/MUR/f.nc", "https://host/b/MUR/f.nc"), "s3://b/ https://host/b/");
  EXPECT_EQ(pair("s3://b/MUR/f.nc", "https://host/data/MUR/f.nc"), "s3://b/ https://host/data/");
  EXPECT_EQ(pair("s3://b/x/MUR/f.nc", "https://host/MUR/f.nc"), "s3://b/x/ https://host/");
  EXPECT_EQ(pair("s3://b/f.nc", "https://host/f.nc"), "s3://b/ https://host/");
  EXPECT_EQ(pair("s3://b/x/f.nc", "https://host/y/f.nc"), "s3://b/x/ https://host/y/");
  EXPECT_EQ(pair("s3://b/f.nc", "https://host/g.nc"), "s3://b/f.nc https://host/g.nc");
  EXPECT_EQ(pair("s3://b/f.nc", "https://host/xf.nc"), "s3://b/f.nc https://host/xf.nc");
}

TEST(GenerateListing, PlacesOfOneBucketBehindSeveralHosts) {
  const std::vector<ListedGranule> granules{at("s3://b/x/1.nc", "https://one/b/x/1.nc"),
                                            at("s3://b/x/2.nc", "https://one/b/x/2.nc"),
                                            at("s3://b/y/1.nc", "https://two/b/y/1.nc"),
                                            at("s3://b/y/2.nc", "https://two/b/y/2.nc"),
                                            at("s3://b/y/3.nc", "https://one/b/y/3.nc"),
                                            at("s3://b/z/1.nc", "https://two/b/z/1.nc"),
                                            at("s3://b/only.nc", ""),
                                            at("", "https://one/b/only.nc")};
  Places places;
  add_places(places, granules);
  for (const ListedGranule& granule : granules) {
    if (granule.s3.empty() || granule.https.empty()) continue;
    EXPECT_EQ(elsewhere(places, granule.s3), granule.https);
  }
  EXPECT_EQ(places.size(), 4u) << "the bucket, two directories and one object";
  const Places before = places;
  add_places(places, granules);
  EXPECT_EQ(places, before);
  EXPECT_EQ(elsewhere(places, "s3://other/x/1.nc"), "");
  std::vector<ListedGranule> twice = granules;
  twice.push_back(at("s3://b/x/1.nc", "https://three/b/x/1.nc"));
  add_places(places, twice);
  EXPECT_EQ(elsewhere(places, "s3://b/x/1.nc"), "https://three/b/x/1.nc") << "the later record";
  EXPECT_EQ(elsewhere(places, "s3://b/x/2.nc"), "https://one/b/x/2.nc");
}

}  // namespace
}  // namespace upwell::generate
