#include "io/disk_cache.hpp"

#include <fcntl.h>
#include <openssl/evp.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <charconv>
#include <chrono>
#include <utility>

namespace upwell::io {
namespace {

namespace fs = std::filesystem;

using Digest = std::array<uint8_t, 32>;

constexpr std::string_view kBlockMagic = "UPWBLK1\n";
/// Magic, key length (4), data length (8), digest of key and data.
constexpr size_t kBlockHeader = 8 + 4 + 8 + 32;
constexpr size_t kMaxListings = 1 << 16;

Digest digest_of(ByteSpan a, ByteSpan b) {
  Digest out{};
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  EVP_DigestInit_ex(context, EVP_sha256(), nullptr);
  EVP_DigestUpdate(context, a.data(), a.size());
  EVP_DigestUpdate(context, b.data(), b.size());
  EVP_DigestFinal_ex(context, out.data(), nullptr);
  EVP_MD_CTX_free(context);
  return out;
}

std::string short_hash(std::string_view text) {
  static constexpr std::string_view kDigits = "0123456789abcdef";
  Digest digest = digest_of(as_bytes(text), {});
  std::string out;
  for (size_t i = 0; i < 16; ++i) {
    out += kDigits[digest[i] >> 4];
    out += kDigits[digest[i] & 15];
  }
  return out;
}

bool identifies(const ObjectInfo& state) {
  // A weak ETag (W/"...") promises equal meaning, not equal bytes.
  bool strong = !state.etag.empty() && !state.etag.starts_with("W/");
  return strong || state.mtime_ns.has_value();
}

std::string state_key(const std::string& url, const ObjectInfo& state) {
  return url + "\n" + state.etag + "\n" + std::to_string(state.size) + "\n" +
         (state.mtime_ns ? std::to_string(*state.mtime_ns) : std::string("-"));
}

fs::path object_directory(const fs::path& root, const std::string& url) {
  std::string hash = short_hash(url);
  return root / hash.substr(0, 2) / hash;
}

std::string block_name(Range range) {
  return std::to_string(range.offset) + "-" + std::to_string(range.length);
}

std::optional<Range> range_of_name(const std::string& name) {
  Range range;
  const char* end = name.data() + name.size();
  auto first = std::from_chars(name.data(), end, range.offset);
  if (first.ec != std::errc{} || first.ptr == end || *first.ptr != '-') return {};
  auto second = std::from_chars(first.ptr + 1, end, range.length);
  if (second.ec != std::errc{} || second.ptr != end) return {};
  return range;
}

/// What a file of so many bytes takes on disk.
uint64_t disk_use(uint64_t bytes) { return (bytes + 4095) / 4096 * 4096; }

int64_t steady_ms() {
  auto now = std::chrono::steady_clock::now().time_since_epoch();
  return std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
}

class CacheFile {
 public:
  CacheFile(const fs::path& path, int flags)
      : fd_(::open(path.c_str(), flags | O_CLOEXEC | O_NOFOLLOW, 0600)) {}
  ~CacheFile() { close(); }
  CacheFile(const CacheFile&) = delete;
  CacheFile& operator=(const CacheFile&) = delete;

  bool is_open() const { return fd_ >= 0; }
  int fd() const { return fd_; }
  bool close() {
    int fd = std::exchange(fd_, -1);
    return fd >= 0 && ::close(fd) == 0;
  }
  bool read(void* to, size_t n) {
    auto* at = static_cast<uint8_t*>(to);
    while (n > 0) {
      ssize_t got = ::read(fd_, at, n);
      if (got < 0 && errno == EINTR) continue;
      if (got <= 0) return false;
      at += got;
      n -= static_cast<size_t>(got);
    }
    return true;
  }
  bool write(ByteSpan bytes) {
    while (!bytes.empty()) {
      ssize_t put = ::write(fd_, bytes.data(), bytes.size());
      if (put < 0 && errno == EINTR) continue;
      if (put <= 0) return false;
      bytes = bytes.subspan(static_cast<size_t>(put));
    }
    return true;
  }

 private:
  int fd_;
};

/// The bytes of a block file, or nothing if it is not exactly what its name and key say.
std::optional<SharedBytes> read_block(CacheFile& file, std::string_view key, uint64_t length) {
  struct stat s;
  if (::fstat(file.fd(), &s) != 0) return {};
  if (static_cast<uint64_t>(s.st_size) != kBlockHeader + key.size() + length) return {};
  std::array<uint8_t, kBlockHeader> header;
  if (!file.read(header.data(), header.size())) return {};
  if (as_text({header.data(), 8}) != kBlockMagic) return {};
  if (load_le<uint32_t>(header.data() + 8) != key.size()) return {};
  if (load_le<uint64_t>(header.data() + 12) != length) return {};
  std::string stored_key(key.size(), '\0');
  if (!file.read(stored_key.data(), stored_key.size()) || stored_key != key) return {};
  Bytes bytes(length);
  if (!file.read(bytes.data(), bytes.size())) return {};
  Digest digest = digest_of(as_bytes(key), bytes);
  if (!std::equal(digest.begin(), digest.end(), header.begin() + 20)) return {};
  return SharedBytes(std::move(bytes));
}

}  // namespace

DiskCache::DiskCache(fs::path directory, uint64_t limit)
    : root_(std::move(directory)), limit_(limit) {
  std::error_code error;
  const bool made = fs::create_directories(root_, error);
  broken_ = static_cast<bool>(error);
  // One that was there has the permissions that its owner wants.
  if (made) fs::permissions(root_, fs::perms::owner_all, error);
}

bool DiskCache::has_object(const std::string& url) const {
  return ::access(object_directory(root_, url).c_str(), F_OK) == 0;
}

void DiskCache::refresh(const fs::path& directory, Listing& listing) const {
  // Other processes write here too; but one look a second at the directory's time is enough.
  int64_t now = steady_ms();
  if (listing.checked_ms != 0 && now - listing.checked_ms < 1000) return;
  listing.checked_ms = now;
  std::error_code error;
  auto changed = fs::last_write_time(directory, error);
  if (error || changed == listing.listed) return;
  listing.listed = changed;
  listing.lengths.clear();
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    auto range = range_of_name(it->path().filename().string());
    if (!range) continue;
    uint64_t& length = listing.lengths[range->offset];
    length = std::max(length, range->length);
  }
}

std::optional<Range> DiskCache::locate(const fs::path& directory, Range range) {
  std::lock_guard lock(mutex_);
  if (listings_.size() > kMaxListings) listings_.clear();
  Listing& listing = listings_[directory.string()];
  auto search = [&]() -> std::optional<Range> {
    // Blocks may overlap: look at a few that begin before.
    auto it = listing.lengths.upper_bound(range.offset);
    for (int tries = 0; tries < 4 && it != listing.lengths.begin(); ++tries) {
      --it;
      uint64_t skip = range.offset - it->first;
      if (skip <= it->second && range.length <= it->second - skip) {
        return Range{it->first, it->second};
      }
    }
    return {};
  };
  if (auto found = search()) return found;
  refresh(directory, listing);
  return search();
}

std::optional<SharedBytes> DiskCache::find(const std::string& url, const ObjectInfo& state,
                                           Range range) {
  if (!identifies(state)) return {};
  std::string key = state_key(url, state);
  fs::path directory = object_directory(root_, url) / short_hash(key);
  auto block = locate(directory, range);
  if (!block) return {};
  fs::path path = directory / block_name(*block);
  CacheFile file(path, O_RDONLY);
  if (file.is_open()) {
    if (auto bytes = read_block(file, key, block->length)) {
      ::futimens(file.fd(), nullptr);  // used now
      return bytes->slice(range.offset - block->offset, range.length);
    }
    ::unlink(path.c_str());
  }
  std::lock_guard lock(mutex_);
  listings_[directory.string()].lengths.erase(block->offset);
  return {};
}

std::optional<SharedBytes> DiskCache::find_front(const std::string& url, const ObjectInfo& state) {
  if (!identifies(state)) return {};
  const fs::path directory = object_directory(root_, url) / short_hash(state_key(url, state));
  const auto block = locate(directory, {0, 1});
  if (!block || block->offset != 0) return {};
  return find(url, state, *block);
}

void DiskCache::put_front(const std::string& url, const ObjectInfo& state, ByteSpan bytes) {
  if (!identifies(state) || bytes.empty()) return;
  const fs::path directory = object_directory(root_, url) / short_hash(state_key(url, state));
  const auto before = locate(directory, {0, 1});
  if (before && before->offset == 0 && before->length != bytes.size()) {
    ::unlink((directory / block_name(*before)).c_str());
    std::lock_guard lock(mutex_);
    listings_[directory.string()].lengths.erase(0);
  }
  put(url, state, 0, bytes);
}

void DiskCache::put(const std::string& url, const ObjectInfo& state, uint64_t offset,
                    ByteSpan bytes) {
  if (!identifies(state) || bytes.empty()) return;
  {
    std::lock_guard lock(mutex_);
    if (broken_) return;
  }
  std::string key = state_key(url, state);
  uint64_t file_size = kBlockHeader + key.size() + bytes.size();
  if (disk_use(file_size) > limit_ / 4) return;
  Digest digest = digest_of(as_bytes(key), bytes);

  // Locked until the file is there: an eviction must not count without it.
  CacheFile usage(root_ / "usage", O_RDWR | O_CREAT);
  if (!usage.is_open() || ::flock(usage.fd(), LOCK_EX) != 0) return;
  if (!reserve(usage.fd(), disk_use(file_size))) return;

  static std::atomic<uint64_t> counter{0};
  fs::path directory = object_directory(root_, url) / short_hash(key);
  std::error_code error;
  fs::create_directories(directory, error);
  fs::path temporary =
      directory / ("tmp-" + std::to_string(::getpid()) + "-" + std::to_string(counter++));
  Bytes header(kBlockHeader);
  std::copy(kBlockMagic.begin(), kBlockMagic.end(), header.begin());
  store_le(header.data() + 8, static_cast<uint32_t>(key.size()));
  store_le(header.data() + 12, uint64_t{bytes.size()});
  std::copy(digest.begin(), digest.end(), header.begin() + 20);

  CacheFile file(temporary, O_WRONLY | O_CREAT | O_EXCL);
  bool ok = file.is_open() && file.write(header) && file.write(as_bytes(key)) &&
            file.write(bytes) && file.close();
  Range range{offset, bytes.size()};
  ok = ok && ::rename(temporary.c_str(), (directory / block_name(range)).c_str()) == 0;
  std::lock_guard lock(mutex_);
  if (!ok) {
    ::unlink(temporary.c_str());
    broken_ = true;  // disk full or read-only: do not try for every range
    return;
  }
  uint64_t& length = listings_[directory.string()].lengths[offset];
  length = std::max(length, range.length);
}

bool DiskCache::reserve(int usage, uint64_t bytes) const {
  // The count is raised before the file is there: a process that dies between leaves it too high,
  // never too low, and the next eviction counts anew.
  std::array<uint8_t, 8> raw;
  ssize_t n = ::pread(usage, raw.data(), raw.size(), 0);
  uint64_t used = n == 8 ? load_le<uint64_t>(raw.data()) : evict();
  if (used > limit_ || bytes > limit_ - used) used = evict();
  bool fits = used <= limit_ && bytes <= limit_ - used;
  store_le(raw.data(), used + (fits ? bytes : 0));
  return ::pwrite(usage, raw.data(), raw.size(), 0) == 8 && fits;
}

uint64_t DiskCache::evict() const {
  struct Old {
    fs::file_time_type used;
    uint64_t size;
    fs::path path;
  };
  std::vector<Old> files;
  std::vector<fs::path> directories;
  uint64_t total = 0;
  auto now = fs::file_time_type::clock::now();
  std::error_code error;
  for (fs::recursive_directory_iterator it(root_, error), end; !error && it != end;
       it.increment(error)) {
    std::error_code gone;
    if (it->is_directory(gone)) directories.push_back(it->path());
    std::string name = it->path().filename().string();
    bool temporary = name.starts_with("tmp-");
    if (!temporary && !range_of_name(name)) continue;
    auto used = it->last_write_time(gone);
    uint64_t size = gone ? 0 : disk_use(it->file_size(gone));
    if (gone) continue;
    // What a killed process left behind; a younger one may be at work.
    if (temporary && now - used > std::chrono::hours(1)) used = fs::file_time_type::min();
    total += size;
    if (!temporary || used == fs::file_time_type::min()) files.push_back({used, size, it->path()});
  }
  std::sort(files.begin(), files.end(), [](const Old& a, const Old& b) { return a.used < b.used; });
  for (const Old& file : files) {
    if (total <= limit_ / 5 * 4) break;
    if (::unlink(file.path.c_str()) == 0) total -= file.size;
  }
  for (auto it = directories.rbegin(); it != directories.rend(); ++it) ::rmdir(it->c_str());
  return total;
}

}  // namespace upwell::io
