#include "refs/store/store_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace upwell::refs {
namespace {

constexpr uint64_t kReadWhole = 256 << 10;  // a remote file, as soon as its columns are read
constexpr uint64_t kEnd = 16 << 10;

Result<SharedBytes> map_file(const std::string& path, uint64_t size) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0)
    return fail(errno == ENOENT ? Code::kNotFound : Code::kPermissionDenied,
                path + ": " + std::strerror(errno));
  struct stat info{};
  const bool known = ::fstat(fd, &info) == 0;
  if (!known || static_cast<uint64_t>(info.st_size) != size) {
    ::close(fd);
    return fail(Code::kInvalidData, path + " has " + std::to_string(info.st_size) +
                                        " bytes, the manifest says " + std::to_string(size));
  }
  if (size == 0) {
    ::close(fd);
    return SharedBytes();
  }
  void* begin = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0);
  ::close(fd);
  if (begin == MAP_FAILED)
    return fail(Code::kResourceExhausted, path + ": " + std::strerror(errno));
  // Lookups are few and far between: neighbouring pages would only fill the memory.
  ::madvise(begin, size, MADV_RANDOM);
  const std::shared_ptr<const void> owner(begin, [size](void* p) { ::munmap(p, size); });
  return SharedBytes(owner, {static_cast<const uint8_t*>(begin), size});
}

}  // namespace

Result<std::shared_ptr<const StoreFile>> StoreFile::open(io::Session& session,
                                                         const std::string& url, uint64_t size) {
  if (io::scheme_of(url) == "file") {
    UPWELL_TRY(SharedBytes bytes, map_file(url, size));
    return std::make_shared<const StoreFile>(std::move(bytes), url, /*mapped=*/true);
  }
  return std::make_shared<const StoreFile>(session, url, size);
}

std::vector<io::Range> StoreFile::ends(uint64_t size) {
  if (size <= 4 * kEnd) return {{0, io::kToEnd}};
  return {{0, kEnd}, {size - kEnd, kEnd}};
}

Result<SharedBytes> StoreFile::whole() const {
  const std::lock_guard lock(mutex_);
  if (memory_.size() == size_ && size_ > 0) return memory_;
  UPWELL_TRY(SharedBytes bytes, session_->read_one(url_));
  if (bytes.size() != size_)
    return fail(Code::kInvalidData, url_ + " has " + std::to_string(bytes.size()) +
                                        " bytes, the manifest says " + std::to_string(size_));
  return memory_ = std::move(bytes);
}

void StoreFile::prefetch(const std::vector<io::Range>& ranges) const {
  if (session_ == nullptr || ranges.size() < 2 || size_ <= kReadWhole) return;
  std::vector<io::ReadRequest> requests;
  for (const io::Range& range : ranges) requests.push_back({url_, range});
  (void)session_->read(requests);  // what failed fails again when it is read
}

void StoreFile::release() const {
  if (mapped_ && size_ > 0)
    ::madvise(const_cast<uint8_t*>(memory_.data()), memory_.size(), MADV_DONTNEED);
}

Result<SharedBytes> StoreFile::read(io::Range range) const {
  if (range.offset > size_ || range.length > size_ - range.offset)
    return fail(Code::kInvalidData, url_ + ": a range beyond its end");
  if (session_ == nullptr) return memory_.slice(range.offset, range.length);
  if (range.length == 0) return SharedBytes();
  const std::vector<io::Range> ends = StoreFile::ends(size_);
  for (const io::Range& end : ends) {  // each as it is, so that the session has it
    if (ends.size() == 1 || range.offset < end.offset ||
        range.offset + range.length > end.offset + end.length)
      continue;
    UPWELL_TRY(const SharedBytes bytes, session_->read_one(url_, end));
    return bytes.slice(range.offset - end.offset, range.length);
  }
  if (size_ > kReadWhole) return session_->read_one(url_, range);
  UPWELL_TRY(const SharedBytes bytes, whole());
  return bytes.slice(range.offset, range.length);
}

}  // namespace upwell::refs
