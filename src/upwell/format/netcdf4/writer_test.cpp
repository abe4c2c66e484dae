#include "format/netcdf4/writer.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <random>

namespace upwell::format::netcdf4 {
namespace {

namespace fs = std::filesystem;

/// A limit on the size of files stands for a full disk.
void limit_files(rlim_t bytes) {
  std::signal(SIGXFSZ, SIG_IGN);  // a write then fails
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);
  limit.rlim_cur = bytes;
  ::setrlimit(RLIMIT_FSIZE, &limit);
}

File noise(bool deflate) {
  std::mt19937 random(7);
  Bytes bytes(400'000);
  for (uint8_t& byte : bytes) byte = static_cast<uint8_t>(random());
  DataType type;
  type.kind = Kind::kUint;
  type.size = 1;
  File file;
  file.variables.push_back(
      {"v", {"x"}, {}, Values{type, {bytes.size()}, std::move(bytes), {}}, {}, deflate});
  return file;
}

/// Writes on a full disk, then where there is room; the status as a command would give it.
[[noreturn]] void write_full_then_free(const fs::path& directory, const File& file) {
  limit_files(50'000);
  const auto full = write(directory / "full.nc", file);
  const auto in_place = write_in_place(directory / "place.nc", file);
  limit_files(RLIM_INFINITY);
  const auto room = write(directory / "free.nc", file);
  const bool right = !full && !in_place && full.error().code == Code::kCannotWrite &&
                     in_place.error().code == Code::kCannotWrite && room;
  std::exit(right ? exit_status(Code::kCannotWrite) : 1);
}

TEST(NetcdfWriter, EndsInOrderAfterAFullDisk) {
  const fs::path directory =
      fs::path(testing::TempDir()) / ("netcdf_full_" + std::to_string(::getpid()));
  for (const bool deflate : {false, true}) {
    fs::create_directories(directory);
    EXPECT_EXIT(write_full_then_free(directory, noise(deflate)),
                testing::ExitedWithCode(exit_status(Code::kCannotWrite)), "");
    EXPECT_GT(fs::file_size(directory / "free.nc"), 400'000u);
    EXPECT_FALSE(fs::exists(directory / "full.nc"));
    fs::remove_all(directory);
  }
}

}  // namespace
}  // namespace upwell::format::netcdf4
