#include "refs/store_lock.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

namespace upwell::refs {

Result<StoreLock> StoreLock::take(const std::filesystem::path& path) {
  for (;;) {
    StoreLock lock;
    lock.fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (lock.fd_ < 0)
      return fail(errno == ENOENT ? Code::kNotFound : Code::kPermissionDenied,
                  path.string() + ": " + std::strerror(errno));
    while (::flock(lock.fd_, LOCK_EX) != 0)
      if (errno != EINTR)
        return fail(Code::kCannotWrite, path.string() + ": " + std::strerror(errno));
    struct stat held{}, there{};
    if (::fstat(lock.fd_, &held) == 0 && ::stat(path.c_str(), &there) == 0 &&
        held.st_ino == there.st_ino && held.st_dev == there.st_dev)
      return lock;
  }
}

StoreLock::~StoreLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace upwell::refs
