#include "produce/grid/tar.hpp"

#include <fmt/core.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "io/memory_store.hpp"
#include "produce/grid/grid_place.hpp"

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

/// In parts that end anywhere.
ArchiveSource in_parts(const std::string& archive) {
  return [rest = std::string_view(archive)]() mutable -> Result<SharedBytes> {
    const std::string_view part = rest.substr(0, 700);
    rest.remove_prefix(part.size());
    return SharedBytes(to_bytes(part));
  };
}

Result<std::vector<TarFile>> read_archive(const std::string& archive, uint64_t limit = 1 << 20) {
  return read_tar(in_parts(archive), [](std::string_view) { return true; }, limit);
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
      read_tar(in_parts(archive), [](std::string_view path) { return path == "a"; }, 1);
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

/// As GNU tar --sparse --format=pax writes it (version 1.0): a map in front of the parts that are
/// there.
TEST(Tar, SparseFiles) {
  const auto record = [](const std::string& text) {
    return fmt::format("{} {}\n", text.size() + 4, text);  // of two digits
  };
  const std::string pax = record("GNU.sparse.major=1") + record("GNU.sparse.minor=0") +
                          record("GNU.sparse.name=XC.data") + record("GNU.sparse.realsize=2000");
  std::string content = "1\n1500\n3\n";
  content.resize(512, '\0');
  const auto files = read_archive(tar_member("x", pax, 'x') +
                                  tar_member("GNUSparseFile.0/XC.data", content + "abc") + kTarEnd);
  ASSERT_TRUE(files) << files.error().to_string();
  ASSERT_EQ(files->size(), 1U);
  EXPECT_EQ((*files)[0].path, "XC.data");
  EXPECT_EQ(as_text((*files)[0].bytes), std::string(1500, '\0') + "abc" + std::string(497, '\0'));
}

TEST(Tar, ErrorsOfTheSource) {
  const std::string archive = tar_member("a", std::string(5000, 'x')) + kTarEnd;
  auto some = in_parts(archive);
  int parts = 0;
  const auto files = read_tar(
      [&]() -> Result<SharedBytes> {
        if (++parts == 4) return fail(Code::kUnavailable, "the network is gone");
        return some();
      },
      [](std::string_view) { return true; }, 1 << 20);
  ASSERT_FALSE(files);
  EXPECT_EQ(files.error().code, Code::kUnavailable);
}

TEST(Tar, WhatIsBroken) {
  const std::string good = tar_member("a", std::string(600, 'x'));
  EXPECT_THAT(tar_error(good.substr(0, 700)), HasSubstr("Truncated tar archive"));
  EXPECT_THAT(tar_error(good.substr(0, 100)), HasSubstr("Unrecognized archive format"));
  std::string changed = good;
  changed[0] = 'b';
  EXPECT_THAT(tar_error(changed), HasSubstr("tar: "));
  EXPECT_THAT(tar_error(good + changed), HasSubstr("Damaged tar archive"));
  EXPECT_THAT(tar_error(std::string(2000, 'x')), HasSubstr("Unrecognized archive format"));
  EXPECT_THAT(tar_error(tar_member("x", "99 path=a\n", 'x') + good), HasSubstr("tar: "));
  EXPECT_EQ(tar_error(""), "none");
  EXPECT_EQ(tar_error(kTarEnd), "none");
}

TEST(GridPlaces, KeepAnArchiveAsLongAsItsPlace) {
  io::Session session;
  auto store = std::make_shared<io::MemoryStore>();
  session.mount("memory", store);
  const std::string archive =
      tar_member("V0/XC.data", "12345678") + tar_member("V0/notes", "1") + kTarEnd;
  store->put("memory://a/grid.tar", archive);
  GridPlaces places(session, 1 << 20);
  std::string url;
  for (int round = 0; round < 2; ++round) {
    const auto place = places.find("memory://a/grid.tar");
    ASSERT_TRUE(place) << place.error().to_string();
    EXPECT_THAT(place->names, testing::ElementsAre("XC.data"));
    const auto again = places.find("memory://a/grid.tar");
    ASSERT_TRUE(again);
    EXPECT_EQ(again->unpacked, place->unpacked);
    url = place->directory + "XC.data";
    const auto bytes = session.read_one(url);
    ASSERT_TRUE(bytes) << bytes.error().to_string();
    EXPECT_EQ(as_text(bytes->span()), "12345678");
  }
  const auto gone = session.read_one(url);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().code, Code::kNotFound);
  GridPlaces small(session, 7);
  const auto too_large = small.find("memory://a/grid.tar");
  ASSERT_FALSE(too_large);
  EXPECT_EQ(too_large.error().code, Code::kResourceExhausted);
}

}  // namespace
}  // namespace upwell::produce
