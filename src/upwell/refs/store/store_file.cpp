#include "refs/store/store_file.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

namespace upwell::refs {
namespace {

constexpr uint64_t kReadWhole = 1 << 20;

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
  if (size > kReadWhole) return std::make_shared<const StoreFile>(session, url, size);
  UPWELL_TRY(SharedBytes bytes, session.read_one(url));
  if (bytes.size() != size)
    return fail(Code::kInvalidData, url + " has " + std::to_string(bytes.size()) +
                                        " bytes, the manifest says " + std::to_string(size));
  return std::make_shared<const StoreFile>(std::move(bytes), url);
}

void StoreFile::prefetch(const std::vector<io::Range>& ranges) const {
  if (session_ == nullptr || ranges.size() < 2) return;
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
  return session_->read_one(url_, range);
}

}  // namespace upwell::refs
