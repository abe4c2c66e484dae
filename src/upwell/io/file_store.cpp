#include "io/file_store.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>

#include "base/files.hpp"
#include "base/parallel.hpp"
#include "io/ranges.hpp"
#include "io/url.hpp"

namespace upwell::io {
namespace {

class Descriptor {
 public:
  explicit Descriptor(int fd) : fd_(fd) {}
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&&) = delete;
  int get() const { return fd_; }

 private:
  int fd_;
};

tl::unexpected<Error> file_error(const std::string& url, int error) {
  Code code = Code::kUnavailable;
  if (error == ENOENT || error == ENOTDIR) code = Code::kNotFound;
  if (error == EACCES || error == EPERM) code = Code::kPermissionDenied;
  if (error == EMFILE || error == ENFILE || error == ENOMEM) code = Code::kResourceExhausted;
  if (error == EISDIR || error == ENAMETOOLONG || error == ELOOP) code = Code::kInvalidArgument;
  return fail(code, url + ": " + std::strerror(error));
}

Result<ObjectInfo> info_of(const std::string& url, const struct stat& s) {
  if (S_ISDIR(s.st_mode)) return file_error(url, EISDIR);
  if (!S_ISREG(s.st_mode)) return fail(Code::kInvalidArgument, url + ": not a regular file");
  ObjectInfo info;
  info.size = static_cast<uint64_t>(s.st_size);
  info.mtime_ns = int64_t{s.st_mtim.tv_sec} * 1'000'000'000 + s.st_mtim.tv_nsec;
  char etag[80];
  std::snprintf(etag, sizeof etag, "\"%llx-%llx-%llx\"", static_cast<unsigned long long>(s.st_ino),
                static_cast<unsigned long long>(*info.mtime_ns),
                static_cast<unsigned long long>(info.size));
  info.etag = etag;
  return info;
}

/// Whether the file that is open may be: where it really lies, after all symbolic links.
Result<> check_open_file(const std::string& url, const Descriptor& file, const Reach& reach) {
  const std::string link = "/proc/self/fd/" + std::to_string(file.get());
  char target[PATH_MAX];
  const ssize_t length = ::readlink(link.c_str(), target, sizeof target);
  if (length > 0 && length < PATH_MAX)
    return reach.check_file(url, std::string(target, static_cast<size_t>(length)));
  std::error_code error;
  const auto real = std::filesystem::canonical(file_path_of(url), error);
  if (error) return file_error(url, error.value());
  return reach.check_file(url, real.string());
}

Result<Descriptor> open_file(const std::string& url, const ReachPtr& reach) {
  if (reach) UPWELL_CHECK(reach->check_url(url));
  // O_NONBLOCK: opening a named pipe must not wait for a writer.
  Descriptor file(::open(file_path_of(url).c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (file.get() < 0) return file_error(url, errno);
  if (reach) UPWELL_CHECK(check_open_file(url, file, *reach));
  return file;
}

Result<ObjectInfo> info_of_open(const std::string& url, const Descriptor& file) {
  struct stat s;
  if (::fstat(file.get(), &s) != 0) return file_error(url, errno);
  return info_of(url, s);
}

Result<SharedBytes> pread_all(const std::string& url, const Descriptor& file, uint64_t offset,
                              uint64_t length) {
  Bytes bytes;
  try {
    bytes.resize(length);
  } catch (const std::exception&) {  // a sparse file may claim any size
    return fail(Code::kResourceExhausted,
                url + ": no memory for " + std::to_string(length) + " bytes");
  }
  size_t done = 0;
  while (done < length) {
    ssize_t n =
        ::pread(file.get(), bytes.data() + done, length - done, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return file_error(url, errno);
    if (n == 0) return fail(Code::kChanged, url + ": became shorter while it was read");
    done += static_cast<size_t>(n);
  }
  return SharedBytes(std::move(bytes));
}

}  // namespace

StoreTraits FileStore::traits() const {
  // Reading over a gap of a page costs less than another system call; the page cache is the cache.
  return {.coalesce_gap = 4 << 10,
          .max_request = 16 << 20,
          .parallelism = std::max<size_t>(4, core_count()),
          .worth_caching = false};
}

Result<ObjectInfo> FileStore::stat(const std::string& url, const ReachPtr& reach) {
  struct stat s;
  if (reach) {
    UPWELL_TRY(const Descriptor file, open_file(url, reach));
    if (::fstat(file.get(), &s) != 0) return file_error(url, errno);
  } else if (::stat(file_path_of(url).c_str(), &s) != 0) {
    return file_error(url, errno);
  }
  UPWELL_TRY(ObjectInfo info, info_of(url, s));
  UPWELL_CHECK(first_seen_.check(url, info));
  return info;
}

void FileStore::read_object(std::span<const ReadRequest> requests, std::span<const size_t> which,
                            std::vector<Result<SharedBytes>>& results) {
  const std::string& url = requests[which.front()].url;
  auto fail_all = [&](const Error& error) {
    for (size_t i : which) results[i] = fail(error);
  };
  auto file = open_file(url, requests[which.front()].reach);
  if (!file) return fail_all(file.error());
  auto info = info_of_open(url, *file);
  if (!info) return fail_all(info.error());
  if (auto same = first_seen_.check(url, *info); !same) return fail_all(same.error());
  for (size_t i : which) {
    auto range = checked_range(url, requests[i].range, info->size);
    if (!range) {
      results[i] = fail(std::move(range).error());
    } else {
      results[i] = pread_all(url, *file, range->offset, range->length);
    }
  }
  // A writer may have been at work between the first byte and the last.
  auto after = info_of_open(url, *file);
  if (!after) return fail_all(after.error());
  if (auto same = first_seen_.check(url, *after); !same) fail_all(same.error());
}

std::vector<Result<SharedBytes>> FileStore::read(std::span<const ReadRequest> requests) {
  std::vector<Result<SharedBytes>> results(requests.size());
  std::map<std::pair<std::string_view, const Reach*>, std::vector<size_t>> by_object;
  for (size_t i = 0; i < requests.size(); ++i)
    by_object[{requests[i].url, requests[i].reach.get()}].push_back(i);

  // One job reads some of one file's ranges. Small batches stay on the caller's thread: a thread
  // costs more than such a read.
  constexpr uint64_t kJobBytes = 1 << 20;
  std::vector<std::vector<size_t>> jobs;
  for (auto& [object, which] : by_object) {
    uint64_t bytes = kJobBytes;
    for (size_t i : which) {
      if (bytes >= kJobBytes) {
        jobs.emplace_back();
        bytes = 0;
      }
      jobs.back().push_back(i);
      bytes += std::min(requests[i].range.length, kJobBytes);
    }
  }
  size_t threads = jobs.size() <= 2 ? 1 : std::min(traits().parallelism, jobs.size() / 2 + 1);
  (void)blocking_for(jobs.size(), threads, [&](size_t j) -> Result<> {
    read_object(requests, jobs[j], results);
    return {};
  });
  return results;
}

Result<std::vector<std::string>> FileStore::list(const std::string& prefix) {
  namespace fs = std::filesystem;
  std::error_code error;
  fs::path root(file_path_of(prefix));
  fs::file_status status = fs::status(root, error);
  if (!fs::exists(status)) return file_error(prefix, ENOENT);
  if (!fs::is_directory(status)) return file_error(prefix, ENOTDIR);
  std::vector<std::string> urls;
  for (fs::recursive_directory_iterator it(root, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    if (!it->is_regular_file(ignored)) continue;
    std::string below = it->path().lexically_relative(root).string();
    urls.push_back(prefix + (prefix.ends_with('/') ? "" : "/") + below);
  }
  if (error) return file_error(prefix, error.value());
  std::sort(urls.begin(), urls.end());
  return urls;
}

Result<std::vector<std::string>> FileStore::list_directory(const std::string& directory) {
  namespace fs = std::filesystem;
  std::error_code error;
  std::vector<std::string> names;
  for (fs::directory_iterator it(file_path_of(directory), error), end; !error && it != end;
       it.increment(error)) {
    std::error_code ignored;
    const bool below = it->is_directory(ignored);
    if (!below && !it->is_regular_file(ignored)) continue;
    names.push_back(it->path().filename().string() + (below ? "/" : ""));
  }
  if (error) return file_error(directory, error.value());
  std::sort(names.begin(), names.end());
  return names;
}

namespace {

/// Held by every writer while it looks at the target and replaces it. A directory that cannot be
/// locked (some network file systems) hinders only those who depend on it.
Result<Descriptor> lock_directory_of(const std::filesystem::path& path, bool needed) {
  Descriptor directory(::open(path.parent_path().c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  int status = directory.get() < 0 ? -1 : 0;
  if (status == 0) {
    do {
      status = ::flock(directory.get(), LOCK_EX);
    } while (status != 0 && errno == EINTR);
  }
  if (status != 0 && needed) {
    return fail(Code::kCannotWrite, path.parent_path().string() +
                                        ": cannot lock the directory: " + std::strerror(errno));
  }
  return directory;
}

}  // namespace

class FileStore::Writer : public ObjectWriter {
 public:
  Writer(FirstSeen& first_seen, std::string url, std::filesystem::path path, AtomicFile file)
      : first_seen_(first_seen),
        url_(std::move(url)),
        path_(std::move(path)),
        file_(std::move(file)) {}
  Result<> write(ByteSpan bytes) override { return file_.write(bytes); }
  Result<ObjectInfo> commit(const PutCondition& condition) override {
    using When = PutCondition::When;
    UPWELL_TRY(Descriptor lock, lock_directory_of(path_, condition.when == When::kUnchanged));
    if (condition.when == When::kUnchanged) UPWELL_CHECK(check_unchanged(condition.etag));
    UPWELL_CHECK(condition.when == When::kAbsent ? file_.commit_new() : file_.commit());
    first_seen_.forget(url_);
    struct stat s;
    if (::stat(path_.c_str(), &s) != 0) return file_error(url_, errno);
    return info_of(url_, s);
  }

 private:
  Result<> check_unchanged(const std::string& etag) const {
    struct stat s;
    const bool there = ::stat(path_.c_str(), &s) == 0;
    if (!there && errno != ENOENT) return file_error(url_, errno);
    if (there) {
      UPWELL_TRY(ObjectInfo info, info_of(url_, s));
      if (info.etag == etag) return {};
    }
    return fail(Code::kChanged, url_ + ": " + (there ? "is no longer " + etag : "is gone"));
  }

  FirstSeen& first_seen_;
  std::string url_;
  std::filesystem::path path_;
  AtomicFile file_;
};

Result<std::unique_ptr<ObjectWriter>> FileStore::create(const std::string& url) {
  std::error_code error;
  std::filesystem::path path = std::filesystem::absolute(file_path_of(url), error);
  if (!error) std::filesystem::create_directories(path.parent_path(), error);
  if (error) return fail(Code::kCannotWrite, url + ": " + error.message());
  UPWELL_TRY(AtomicFile file, AtomicFile::create(path));
  return std::make_unique<Writer>(first_seen_, url, std::move(path), std::move(file));
}

Result<> FileStore::remove(const std::string& url) {
  if (::unlink(file_path_of(url).c_str()) != 0 && errno != ENOENT && errno != ENOTDIR)
    return fail(Code::kCannotWrite, url + ": " + std::strerror(errno));
  forget(url);
  return {};
}

std::optional<ObjectInfo> FileStore::known(const std::string& url) const {
  return first_seen_.find(url);
}
void FileStore::expect(const std::string& url, const ObjectInfo& state) {
  first_seen_.expect(url, state);
}

void FileStore::forget(const std::string& url) { first_seen_.forget(url); }

}  // namespace upwell::io
