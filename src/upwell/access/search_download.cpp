#include "access/search_download.hpp"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <condition_variable>
#include <cstring>
#include <functional>
#include <future>
#include <mutex>
#include <optional>
#include <unordered_map>
#include <utility>

#include "access/umm_records.hpp"
#include "base/files.hpp"
#include "base/parallel.hpp"
#include "base/text.hpp"
#include "io/digest.hpp"
#include "io/url.hpp"
#include "io/whole_only.hpp"

namespace upwell::access {
namespace {

namespace files = std::filesystem;

/// One batch: requests of this size, so many at once.
constexpr uint64_t kDownloadPiece = 4 << 20;
constexpr size_t kDownloadPieces = 4;

tl::unexpected<Error> cannot_store(const files::path& path) {
  return fail(Code::kCannotWrite, path.string() + ": " + std::strerror(errno));
}

struct NamedDigest {
  std::string_view name;  // in lower case, without hyphens
  size_t digits;
  io::DigestKind kind;
};
/// SHA-2 is a family, of which the number of digits tells the member.
constexpr std::array<NamedDigest, 8> kDigests{{{"md5", 32, io::DigestKind::kMd5},
                                               {"sha1", 40, io::DigestKind::kSha1},
                                               {"sha256", 64, io::DigestKind::kSha256},
                                               {"sha384", 96, io::DigestKind::kSha384},
                                               {"sha512", 128, io::DigestKind::kSha512},
                                               {"sha2", 64, io::DigestKind::kSha256},
                                               {"sha2", 96, io::DigestKind::kSha384},
                                               {"sha2", 128, io::DigestKind::kSha512}}};

/// Nothing: there is no checksum, or of a kind that is not known here.
std::optional<io::DigestKind> digest_kind(const DownloadItem& item) {
  std::string name = lower_case(item.checksum_algorithm);
  std::erase_if(name, [](char c) { return c == '-' || c == '_'; });
  for (const NamedDigest& digest : kDigests) {
    const bool same = digest.name == name;
    if (same && (name != "sha2" || digest.digits == item.checksum.size()) && !item.checksum.empty())
      return digest.kind;
  }
  return {};
}

bool has_checksum(const DownloadItem& item) { return digest_kind(item).has_value(); }

/// The digest of a whole file, through the page cache.
Result<std::string> file_digest(const files::path& path, io::DigestKind kind) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return fail(Code::kNotFound, path.string() + ": " + std::strerror(errno));
  struct stat state{};
  const bool known = ::fstat(fd, &state) == 0;
  const auto size = static_cast<size_t>(known ? state.st_size : 0);
  void* begin = size > 0 ? ::mmap(nullptr, size, PROT_READ, MAP_SHARED, fd, 0) : nullptr;
  ::close(fd);
  if (!known || begin == MAP_FAILED)
    return fail(Code::kNotFound, path.string() + " cannot be read back");
  if (begin != nullptr) ::madvise(begin, size, MADV_SEQUENTIAL);
  std::string digest = io::hex_digest(kind, {static_cast<const uint8_t*>(begin), size});
  if (begin != nullptr) ::munmap(begin, size);
  return digest;
}

Result<> check_digest(const files::path& path, const DownloadItem& item) {
  UPWELL_TRY(const std::string digest, file_digest(path, *digest_kind(item)));
  if (digest == item.checksum) return {};
  return fail(Code::kInvalidData, item.name + ": its " + item.checksum_algorithm + " is " + digest +
                                      ", not " + item.checksum +
                                      " as recorded, so it was thrown away: run this again; if it "
                                      "comes the same, the archive's copy or the catalogue's "
                                      "record is wrong, which the archive should hear of (the URL "
                                      "by itself is downloaded without a comparison)");
}

/// A file that grows where it broke off, beside the one that it becomes.
class PartFile {
 public:
  PartFile(const files::path& target, std::string state)
      : path_(target.parent_path() / ("." + target.filename().string() + ".part")),
        state_path_(path_.string() + ".state"),
        state_(std::move(state)) {}
  ~PartFile() {
    if (fd_ >= 0) ::close(fd_);
  }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  /// How much of it is there already: of the same state of the object, or `whatever` was there.
  Result<uint64_t> open(bool whatever, uint64_t most);
  Result<> append(ByteSpan bytes);
  Result<> restart();
  Result<> become(const files::path& target);
  void discard() const {
    ::unlink(path_.c_str());
    ::unlink(state_path_.c_str());
  }
  const files::path& path() const { return path_; }

 private:
  Result<> take();
  files::path path_, state_path_;
  std::string state_;
  int fd_ = -1;
};

std::string small_file(const files::path& path) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return {};
  std::string text(4096, '\0');
  const ssize_t n = ::read(fd, text.data(), text.size());
  ::close(fd);
  text.resize(n > 0 ? static_cast<size_t>(n) : 0);
  return text;
}

/// Alone: another process that has it is told by kUnavailable.
Result<> PartFile::take() {
  while (true) {
    fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) return cannot_store(path_);
    if (::flock(fd_, LOCK_EX | LOCK_NB) != 0)
      return fail(Code::kUnavailable, path_.string() + ": another process is fetching it");
    struct stat ours{}, there{};
    const bool same = ::fstat(fd_, &ours) == 0 && ::stat(path_.c_str(), &there) == 0 &&
                      ours.st_ino == there.st_ino;
    if (same) return {};
    ::close(fd_);  // it was finished, and renamed, since it was opened
    fd_ = -1;
  }
}

Result<uint64_t> PartFile::open(bool whatever, uint64_t most) {
  UPWELL_CHECK(take());
  const bool same = !state_.empty() && small_file(state_path_) == state_;
  const off_t size = ::lseek(fd_, 0, SEEK_END);
  if (size > 0 && static_cast<uint64_t>(size) <= most && (same || whatever))
    return static_cast<uint64_t>(size);
  UPWELL_CHECK(restart());
  return 0;
}

Result<> PartFile::restart() {
  if (::ftruncate(fd_, 0) != 0 || ::lseek(fd_, 0, SEEK_SET) != 0) return cannot_store(path_);
  return write_file_atomically(state_path_, as_bytes(state_));
}

Result<> PartFile::append(ByteSpan bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return cannot_store(path_);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  return {};
}

Result<> PartFile::become(const files::path& target) {
  if (::fsync(fd_) != 0) return cannot_store(path_);
  UPWELL_CHECK(move_into_place(path_, target));
  ::unlink(state_path_.c_str());
  return {};
}

/// What another mention of the same URL records.
Result<> add_record(DownloadItem& item, const DownloadItem& other) {
  const bool same_kind = digest_kind(item) == digest_kind(other);
  if ((item.size && other.size && *item.size != *other.size) ||
      (has_checksum(item) && same_kind && item.checksum != other.checksum))
    return fail(Code::kInvalidArgument,
                io::shown_url(item.url) + ": is listed twice, with different sizes or checksums");
  if (!item.size) item.size = other.size;
  if (has_checksum(item) || other.checksum.empty()) return {};
  item.checksum_algorithm = other.checksum_algorithm;
  item.checksum = other.checksum;
  return {};
}

/// Answers of a batch as they come. Thread-safe.
class Pieces {
 public:
  explicit Pieces(size_t n) : here_(n) {}
  void put(size_t i, const SharedBytes& bytes) {
    const std::lock_guard lock(mutex_);
    here_[i] = bytes;
    changed_.notify_all();
  }
  void end() {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    changed_.notify_all();
  }
  /// Waits for it; nothing: it does not come.
  std::optional<SharedBytes> take(size_t i) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [&] { return ended_ || here_[i]; });
    return std::exchange(here_[i], std::nullopt);
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::vector<std::optional<SharedBytes>> here_;
  bool ended_ = false;
};

/// Gives the answers to `take` one after the other, each as soon as it and those before it are
/// there: what breaks off then loses no more than it has to.
Result<> in_order(io::ByteStore& store, std::span<const io::ReadRequest> requests,
                  const std::function<Result<>(ByteSpan)>& take) {
  Pieces pieces(requests.size());
  auto reading = std::async(std::launch::async, [&] {
    const struct End {
      Pieces& pieces;
      ~End() { pieces.end(); }
    } at_the_end{pieces};  // whatever is thrown
    return store.read_and_tell(requests,
                               [&](size_t i, const SharedBytes& bytes) { pieces.put(i, bytes); });
  });
  size_t next = 0;
  for (; next < requests.size(); ++next) {
    const auto piece = pieces.take(next);
    if (!piece) break;  // it was not told of
    UPWELL_CHECK(take(piece->span()));
  }
  auto answers = reading.get();
  for (; next < requests.size(); ++next) {
    if (!answers[next]) return fail(std::move(answers[next]).error());
    UPWELL_CHECK(take(answers[next]->span()));
  }
  return {};
}

/// One file.
struct Download {
  io::Session& session;
  const DownloadItem& item;
  const DownloadOptions& options;
  DownloadResult result;

  Result<> run();
  Result<bool> is_present();
  /// All from `from` on, which is 0 afterwards if there was no going on.
  Result<> fetch(io::ByteStore& store, PartFile& part, uint64_t& from, uint64_t size);
  Result<> fetch_pieces(io::ByteStore& store, PartFile& part, uint64_t from, uint64_t size);
  Result<> fetch_whole(io::ByteStore& store, PartFile& part);
};

Result<bool> Download::is_present() {
  std::error_code error;
  const uint64_t size = files::file_size(result.path, error);
  if (error || options.again) return false;
  if (item.size && *item.size != size) return false;
  if (has_checksum(item)) {
    result.verified = check_digest(result.path, item).has_value();
    return result.verified;
  }
  if (item.size) return true;
  UPWELL_TRY(const io::ObjectInfo info, session.stat(item.url));
  return info.size == size;
}

Result<> Download::fetch(io::ByteStore& store, PartFile& part, uint64_t& from, uint64_t size) {
  auto done = fetch_pieces(store, part, from, size);
  if (done || !io::is_whole_only(done.error())) return done;
  from = 0;
  return fetch_whole(store, part);
}

/// In memory: of one file at a time.
Result<> Download::fetch_whole(io::ByteStore& store, PartFile& part) {
  static std::mutex one_at_a_time;
  const std::lock_guard lock(one_at_a_time);
  const io::ReadRequest all{item.url, {0, io::kToEnd}};
  auto answers = store.read({&all, 1});
  if (!answers[0]) return fail(std::move(answers[0]).error());
  UPWELL_CHECK(part.restart());  // not before all is there: what was there may be gone on with
  result.bytes += answers[0]->size();
  return part.append(answers[0]->span());
}

Result<> Download::fetch_pieces(io::ByteStore& store, PartFile& part, uint64_t from,
                                uint64_t size) {
  while (from < size) {
    std::vector<io::ReadRequest> requests;
    uint64_t to = from;
    while (to < size && requests.size() < kDownloadPieces) {
      const uint64_t length = std::min(kDownloadPiece, size - to);
      requests.push_back({item.url, {to, length}});
      to += length;
    }
    UPWELL_CHECK(in_order(store, requests, [&](ByteSpan piece) -> Result<> {
      UPWELL_CHECK(part.append(piece));
      result.bytes += piece.size();
      return {};
    }));
    from = to;
  }
  return {};
}

Result<> Download::run() {
  UPWELL_TRY(const bool present, is_present());
  if (present) {
    result.how = DownloadResult::How::kPresent;
    return {};
  }
  UPWELL_TRY(const auto store, session.store(item.url));
  UPWELL_TRY(const io::ObjectInfo info, store->stat(item.url));
  if (item.size && *item.size != info.size)
    return fail(Code::kInvalidData, io::shown_url(item.url) + ": has " + std::to_string(info.size) +
                                        " bytes, not " + std::to_string(*item.size) +
                                        " as recorded");
  std::string state;
  if (!info.etag.empty() || info.mtime_ns)
    state = std::to_string(info.size) + " " + info.etag + " " +
            std::to_string(info.mtime_ns.value_or(0)) + "\n";
  UPWELL_TRY(const files::path place, followed_links(result.path));
  PartFile part(place, std::move(state));
  UPWELL_TRY(uint64_t from, part.open(has_checksum(item), info.size));
  UPWELL_CHECK(fetch(*store, part, from, info.size));
  if (has_checksum(item)) {
    auto right = check_digest(part.path(), item);
    if (!right && from > 0) {  // what was there before may be of another state
      UPWELL_CHECK(part.restart());
      from = 0;
      UPWELL_CHECK(fetch(*store, part, from, info.size));
      right = check_digest(part.path(), item);
    }
    if (!right) {
      part.discard();
      return right;
    }
    result.verified = true;
  }
  UPWELL_CHECK(part.become(place));
  result.how = from > 0 ? DownloadResult::How::kResumed : DownloadResult::How::kFetched;
  return {};
}

}  // namespace

Result<DownloadItem> download_item(const std::string& url) {
  DownloadItem item{.url = url, .name = url_basename(url)};
  const std::string scheme = io::scheme_of(url);
  if (scheme != "https" && scheme != "http" && scheme != "s3")
    return fail(Code::kInvalidArgument,
                io::shown_url(url) + ": only https and s3 URLs are downloaded");
  if (item.name.empty() || item.name == "." || item.name == "..")
    return fail(Code::kInvalidArgument,
                io::shown_url(url) + ": does not end in the name of a file");
  return item;
}

Result<DownloadItem> download_item(const GranuleFile& file, bool prefer_s3) {
  const bool s3 = file.https.empty() || (prefer_s3 && !file.s3.empty());
  UPWELL_TRY(DownloadItem item, download_item(s3 ? file.s3 : file.https));
  if (file.size_is_exact) item.size = file.size;
  item.checksum_algorithm = file.checksum_algorithm;
  item.checksum = lower_case(file.checksum);
  return item;
}

Result<std::vector<DownloadItem>> each_once(std::vector<DownloadItem> items) {
  std::vector<DownloadItem> once;
  std::unordered_map<std::string, size_t> names;
  for (DownloadItem& item : items) {
    const auto [known, is_new] = names.try_emplace(item.name, once.size());
    if (is_new) {
      once.push_back(std::move(item));
      continue;
    }
    DownloadItem& first = once[known->second];
    if (first.url != item.url)
      return fail(Code::kInvalidArgument, "two files would have the name " + item.name + ": " +
                                              io::shown_url(first.url) + " and " +
                                              io::shown_url(item.url));
    UPWELL_CHECK(add_record(first, item));
  }
  return once;
}

std::string unknown_checksum(const DownloadItem& item) {
  if (item.checksum.empty() || has_checksum(item)) return {};
  return item.checksum_algorithm.empty() ? "no name" : item.checksum_algorithm;
}

Result<std::vector<DownloadResult>> download(io::Session& session,
                                             const std::vector<DownloadItem>& items,
                                             const DownloadOptions& options,
                                             const std::function<void(size_t)>& done) {
  std::error_code error;
  files::create_directories(options.directory, error);
  if (error) return fail(Code::kCannotWrite, options.directory.string() + ": " + error.message());
  std::vector<DownloadResult> results(items.size());
  UPWELL_CHECK(blocking_for(items.size(), options.files_at_once, [&](size_t i) -> Result<> {
    Download one{session, items[i], options, {}};
    one.result.path = options.directory / items[i].name;
    if (auto run = one.run(); !run) one.result.error = std::move(run).error();
    results[i] = std::move(one.result);
    done(i);
    return {};
  }));
  return results;
}

}  // namespace upwell::access
