#include "base/scratch_file.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace upwell {
namespace {

TEST(ScratchFile, GivesBackWhatWasWrittenAndLeavesNothing) {
  const auto directory =
      std::filesystem::temp_directory_path() / ("scratch-test-" + std::to_string(::getpid()));
  std::filesystem::create_directory(directory);
  {
    auto file = ScratchFile::create(directory);
    ASSERT_TRUE(file);
    ASSERT_TRUE(file->write(5'000'000'000, as_bytes("far")));
    ASSERT_TRUE(file->write(2, as_bytes("near")));
    Bytes read(8);
    ASSERT_TRUE(file->read(0, read));
    EXPECT_EQ(as_text(read), std::string_view("\0\0near\0\0", 8));
    Bytes end(6);
    ASSERT_TRUE(file->read(5'000'000'000, end));
    EXPECT_EQ(as_text(end), std::string_view("far\0\0\0", 6));
    EXPECT_TRUE(std::filesystem::is_empty(directory));
  }
  std::filesystem::remove(directory);
  EXPECT_EQ(ScratchFile::create("/nowhere/at/all").error().code, Code::kCannotWrite);
}

}  // namespace
}  // namespace upwell
