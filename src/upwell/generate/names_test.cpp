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
  for (const char* wrong : {"", "lots", "-1", "12 GB of it", "1e30", "nan", "inf", "GB"})
    EXPECT_FALSE(memory_size(wrong)) << wrong;
}

TEST(GenerateListing, PlacesThatEndAlike) {
  const auto pair = [](const std::string& s3, const std::string& https) {
    const auto found = place_pair(s3, https);
    return found ? found->first + " " + found->second : "none";
  };
  EXPECT_EQ(pair("s3://b/MUR/f.nc", "https://host/b/MUR/f.nc"), "s3://b/ https://host/b/");
  EXPECT_EQ(pair("s3://b/MUR/f.nc", "https://host/data/MUR/f.nc"), "s3://b/ https://host/data/");
  EXPECT_EQ(pair("s3://b/x/MUR/f.nc", "https://host/MUR/f.nc"), "s3://b/x/ https://host/");
  EXPECT_EQ(pair("s3://b/f.nc", "https://host/f.nc"), "s3://b/ https://host/");
  EXPECT_EQ(pair("s3://b/x/f.nc", "https://host/y/f.nc"), "s3://b/x/ https://host/y/");
  EXPECT_EQ(pair("s3://b/f.nc", "https://host/g.nc"), "none");
  EXPECT_EQ(pair("s3://b/f.nc", "https://host/xf.nc"), "none");
}

}  // namespace
}  // namespace upwell::generate
