#include "base/scratch_file.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string>
#include <utility>

namespace upwell {

ScratchFile::ScratchFile(std::filesystem::path directory, int fd)
    : directory_(std::move(directory)), fd_(fd) {}

ScratchFile::ScratchFile(ScratchFile&& other) noexcept
    : directory_(std::move(other.directory_)), fd_(std::exchange(other.fd_, -1)) {}

ScratchFile::~ScratchFile() {
  if (fd_ >= 0) ::close(fd_);
}

Result<ScratchFile> ScratchFile::create(const std::filesystem::path& directory) {
  std::string name = (directory / ".upwell-scratch-XXXXXX").string();
  const int fd = ::mkostemp(name.data(), O_CLOEXEC);
  if (fd < 0) return fail(Code::kCannotWrite, directory.string() + ": " + std::strerror(errno));
  ::unlink(name.c_str());
  return ScratchFile(directory, fd);
}

Result<> ScratchFile::write(uint64_t offset, ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::pwrite(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return fail(Code::kCannotWrite,
                  "scratch file in " + directory_.string() + ": " + std::strerror(errno));
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<> ScratchFile::read(uint64_t offset, MutableByteSpan bytes) const {
  while (!bytes.empty()) {
    const ssize_t n = ::pread(fd_, bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0)
      return fail(Code::kCannotWrite,
                  "scratch file in " + directory_.string() + ": " + std::strerror(errno));
    if (n == 0) {
      std::fill(bytes.begin(), bytes.end(), uint8_t{0});
      return {};
    }
    offset += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

}  // namespace upwell
