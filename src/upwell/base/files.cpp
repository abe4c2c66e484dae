#include "base/files.hpp"

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <vector>

#include "base/leftovers.hpp"

namespace upwell {
namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> cannot_write(const fs::path& path, int error) {
  return fail(Code::kCannotWrite, path.string() + ": " + std::strerror(error));
}

constexpr int kMostNames = 100;  // tried for a temporary directory
/// No run leaves what it writes untouched for so long.
constexpr auto kAbandoned = std::chrono::hours(1);

bool touched_since(const fs::path& path, fs::file_time_type then) {
  std::error_code error;
  if (fs::last_write_time(path, error) >= then || error) return true;
  for (fs::recursive_directory_iterator it(path, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;
    if (it->last_write_time(gone) >= then || gone) return true;
  }
  return false;
}

/// Removes what killed runs left of one target.
void sweep(const fs::path& directory, const std::string& prefix) {
  const auto then = fs::file_time_type::clock::now() - kAbandoned;
  std::vector<fs::path> abandoned;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    if (it->path().filename().string().starts_with(prefix) && !touched_since(it->path(), then))
      abandoned.push_back(it->path());
  }
  for (const fs::path& path : abandoned) fs::remove_all(path, error);
}

/// A name in the target's directory that no other process uses: a rename across file systems would
/// not be atomic.
fs::path temporary_name(const fs::path& target) {
  static std::atomic<unsigned> counter{0};
  fs::path directory = target.has_parent_path() ? target.parent_path() : fs::path(".");
  const std::string prefix = "." + target.filename().string() + ".tmp-";
  sweep(directory, prefix);
  return directory / (prefix + std::to_string(::getpid()) + "-" + std::to_string(counter++));
}

fs::path without_trailing_slash(const fs::path& path) {
  return path.has_filename() ? path : path.parent_path();
}

Result<> sync_path(const fs::path& path) {
  int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return cannot_write(path, errno);
  int status = ::fsync(fd);
  int error = errno;
  ::close(fd);
  if (status != 0 && error != EINVAL) return cannot_write(path, error);
  return {};
}

Result<> sync_parent(const fs::path& path, Sync sync) {
  if (sync == Sync::kNo) return {};
  return sync_path(path.has_parent_path() ? path.parent_path() : fs::path("."));
}

Result<> rename_to(const fs::path& file, const fs::path& target, unsigned flags) {
  if (::syscall(SYS_renameat2, AT_FDCWD, file.c_str(), AT_FDCWD, target.c_str(), flags) == 0)
    return {};
  if (errno == EEXIST) return fail(Code::kAlreadyExists, target.string() + ": is there already");
  return cannot_write(target, errno);
}

/// In one step; true: nothing is at `directory` any more, else what was at the target.
Result<bool> exchange_directory(const fs::path& directory, const fs::path& target) {
  HeldLeftovers held;  // a signal must not remove what has the target's name, or is about to get it
  if (::rename(directory.c_str(), target.c_str()) == 0) {
    held.forget(directory);
    return true;
  }
  // The target is a directory with content: swap the two, then drop the old one (now under the
  // temporary name).
  if (errno != ENOTEMPTY && errno != EEXIST) return cannot_write(target, errno);
  UPWELL_CHECK(rename_to(directory, target, RENAME_EXCHANGE));
  return false;
}

}  // namespace

Result<fs::path> followed_links(const fs::path& path) {
  constexpr int kMostLinks = 40;  // as Linux
  std::error_code error;
  fs::path at = path;
  for (int n = 0; fs::is_symlink(at, error); ++n) {
    if (n == kMostLinks) return cannot_write(path, ELOOP);
    const fs::path to = fs::read_symlink(at, error);
    if (error) return cannot_write(path, error.value());
    at = at.parent_path() / to;  // which is `to` alone where that is absolute
  }
  return at;
}

Result<> move_into_place(const fs::path& file, const fs::path& target) {
  UPWELL_CHECK(rename_to(file, target, 0));
  return sync_parent(target, Sync::kYes);
}

AtomicFile::AtomicFile(fs::path target, fs::path temporary, int fd)
    : target_(std::move(target)), temporary_(std::move(temporary)), fd_(fd) {}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : target_(std::move(other.target_)),
      temporary_(std::move(other.temporary_)),
      fd_(std::exchange(other.fd_, -1)) {}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
  forget_leftover(temporary_);
}

Result<AtomicFile> AtomicFile::create(const fs::path& target) {
  UPWELL_TRY(fs::path place, followed_links(target));
  fs::path temporary = temporary_name(place);
  note_leftover(temporary);  // before it is there: a signal may come at any time
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) {
    const int error = errno;
    forget_leftover(temporary);
    return cannot_write(target, error);
  }
  return AtomicFile(std::move(place), std::move(temporary), fd);
}

Result<> AtomicFile::write(ByteSpan bytes) {
  while (!bytes.empty()) {
    ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return cannot_write(target_, errno);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<> AtomicFile::commit(Sync sync) { return place(0, sync); }
Result<> AtomicFile::commit_new() { return place(RENAME_NOREPLACE, Sync::kYes); }

Result<> AtomicFile::place(unsigned rename_flags, Sync sync) {
  if (sync == Sync::kYes && ::fsync(fd_) != 0) return cannot_write(target_, errno);
  UPWELL_CHECK(rename_to(temporary_, target_, rename_flags));
  forget_leftover(temporary_);
  ::close(std::exchange(fd_, -1));
  return sync_parent(target_, sync);
}

AtomicDirectory::AtomicDirectory(fs::path target, fs::path temporary)
    : target_(std::move(target)), temporary_(std::move(temporary)) {}

AtomicDirectory::AtomicDirectory(AtomicDirectory&& other) noexcept
    : target_(std::move(other.target_)), temporary_(std::exchange(other.temporary_, {})) {}

AtomicDirectory::~AtomicDirectory() {
  if (temporary_.empty()) return;
  std::error_code ignored;
  fs::remove_all(temporary_, ignored);
  HeldLeftovers().forget(temporary_);
}

Result<AtomicDirectory> AtomicDirectory::create(const fs::path& target) {
  fs::path clean = without_trailing_slash(target);
  for (int attempt = 0;; ++attempt) {
    fs::path temporary = temporary_name(clean);
    HeldLeftovers held;
    if (::mkdir(temporary.c_str(), 0777) == 0) {
      held.note(temporary);
      return AtomicDirectory(std::move(clean), std::move(temporary));
    }
    // A process of our number, perhaps in another container, may have left one.
    if (errno != EEXIST || attempt == kMostNames) return cannot_write(clean, errno);
  }
}

Result<> AtomicDirectory::commit(Sync sync) {
  std::error_code error;
  if (sync == Sync::kYes) {
    for (fs::recursive_directory_iterator it(temporary_, error), end; !error && it != end;
         it.increment(error)) {
      UPWELL_CHECK(sync_path(it->path()));
    }
    if (error) return cannot_write(target_, error.value());
    UPWELL_CHECK(sync_path(temporary_));
  }
  UPWELL_TRY(const bool moved, exchange_directory(temporary_, target_));
  if (moved) temporary_.clear();
  return sync_parent(target_, sync);
}

Result<> write_file_atomically(const fs::path& target, ByteSpan bytes) {
  UPWELL_TRY(AtomicFile file, AtomicFile::create(target));
  UPWELL_CHECK(file.write(bytes));
  return file.commit();
}

}  // namespace upwell
