#include "produce/grid/tar.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace upwell::produce {
namespace {

using testing::HasSubstr;

/// One member: header, content, padding. `size_field`: in place of the content's size.
std::string tar_member(const std::string& name, const std::string& content, char type = '0',
                       const std::string& size_field = "") {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  const std::string size = size_field.empty() ? fmt::format("{:011o}", content.size()) : size_field;
  block.replace(124, size.size(), size);
  block[156] = type;
  block.replace(257, 8,
                std::string("ustar\0"
                            "00",
                            8));
  block.replace(148, 8, std::string(8, ' '));
  unsigned sum = 0;
  for (const char c : block) sum += static_cast<unsigned char>(c);
  block.replace(148, 8, fmt::format("{:06o}", sum) + std::string("\0 ", 2));
  block += content;
  block.resize((block.size() + 511) / 512 * 512, '\0');
  return block;
}

const std::string kTarEnd(1024, '\0');

Result<std::vector<TarFile>> read_archive(const std::string& archive, uint64_t limit = 1 << 20) {
  return read_tar(as_bytes(archive), [](std::string_view) { return true; }, limit);
}

std::string tar_error(const std::string& archive) {
  const auto files = read_archive(archive);
  return files ? "none" : files.error().to_string();
}

TEST(Tar, FilesInOrder) {
  const auto files =
      read_archive(tar_member("./a", "1") + tar_member("d/", "", '5') + tar_member("d/b", "22") +
                   tar_member("link", "", '2') + tar_member("c", std::string(600, 'x')) + kTarEnd);
  ASSERT_TRUE(files) << files.error().to_string();
  ASSERT_EQ(files->size(), 3U);
  EXPECT_EQ((*files)[0].path, "a");
  EXPECT_EQ(as_text((*files)[1].bytes), "22");
  EXPECT_EQ((*files)[2].bytes.size(), 600U);
}

TEST(Tar, OnlyWhatIsWanted) {
  const std::string archive =
      tar_member("a", "1") + tar_member("b", std::string(2000, 'x')) + kTarEnd;
  const auto files =
      read_tar(as_bytes(archive), [](std::string_view path) { return path == "a"; }, 1);
  ASSERT_TRUE(files) << files.error().to_string();
  EXPECT_EQ(files->size(), 1U);
  const auto too_large = read_archive(archive, 1999);
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, Code::kResourceExhausted);
}

TEST(Tar, NamesOfPaxAndGnu) {
  const std::string name = std::string(200, 'n') + "/XC.data";
  const std::string record = fmt::format("{} path={}\n", name.size() + 10, name);
  ASSERT_EQ(record.size(), name.size() + 10);
  const auto files = read_archive(tar_member("x", record, 'x') + tar_member("short", "1") +
                                  tar_member("L", name + '\0', 'L') + tar_member("short", "2") +
                                  tar_member("short", "3") + kTarEnd);
  ASSERT_TRUE(files) << files.error().to_string();
  EXPECT_EQ((*files)[0].path, name);
  EXPECT_EQ((*files)[1].path, name);
  EXPECT_EQ((*files)[2].path, "short");
}

TEST(Tar, SizesInBase256) {
  std::string size("\x80\0\0\0\0\0\0\0\0\0\0\3", 12);
  const auto files = read_archive(tar_member("a", "abc", '0', size) + kTarEnd);
  ASSERT_TRUE(files) << files.error().to_string();
  EXPECT_EQ(as_text((*files)[0].bytes), "abc");
  size[2] = 1;
  EXPECT_NE(tar_error(tar_member("a", "abc", '0', size) + kTarEnd), "none");
}

TEST(Tar, WhatIsBroken) {
  const std::string good = tar_member("a", std::string(600, 'x'));
  EXPECT_THAT(tar_error(good.substr(0, 700)), HasSubstr("cut short"));
  EXPECT_THAT(tar_error(good.substr(0, 100)), HasSubstr("cut short"));
  std::string changed = good;
  changed[0] = 'b';
  EXPECT_THAT(tar_error(changed), HasSubstr("no tar archive"));
  EXPECT_THAT(tar_error(std::string(2000, 'x')), HasSubstr("no tar archive"));
  EXPECT_THAT(tar_error(tar_member("x", "99 path=a\n", 'x')), HasSubstr("pax"));
  EXPECT_THAT(tar_error(tar_member("x", "11 size=-1\n", 'x')), HasSubstr("size is no number"));
  EXPECT_THAT(tar_error(tar_member("x", "29 GNU.sparse.name=something\n", 'x')),
              HasSubstr("sparse"));
  EXPECT_THAT(tar_error(tar_member("a", "", '0', "0000000008x")), HasSubstr("octal"));
  EXPECT_THAT(tar_error(tar_member("a", "", 'S')), HasSubstr("type 'S'"));
  EXPECT_EQ(tar_error(""), "none");
  EXPECT_EQ(tar_error(kTarEnd), "none");
}

}  // namespace
}  // namespace upwell::produce
