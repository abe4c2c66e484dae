#include "produce/grid/tar.hpp"

#include <archive.h>
#include <archive_entry.h>
#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

namespace upwell::produce {
namespace {

/// The bytes of an archive in parts, decompressed where they are gzip's (RFC 1952). libarchive's
/// own filter does not look at gzip's checksums, and tar has none of contents.
class ArchiveBytes {
 public:
  explicit ArchiveBytes(const ArchiveSource& source) : source_(source) {}
  ~ArchiveBytes() {
    if (inflating_) inflateEnd(&stream_);
  }
  ArchiveBytes(const ArchiveBytes&) = delete;
  ArchiveBytes& operator=(const ArchiveBytes&) = delete;

  /// None at the end.
  Result<ByteSpan> next() {
    if (!begun_) UPWELL_CHECK(begin());
    if (inflating_) return inflated();
    UPWELL_CHECK(refill());
    return std::exchange(rest_, {});
  }

 private:
  bool is_gzip() const { return rest_.size() >= 2 && rest_[0] == 0x1f && rest_[1] == 0x8b; }

  /// More of the source, if nothing is left of what it gave.
  Result<> refill() {
    if (!rest_.empty()) return {};
    UPWELL_TRY(part_, source_());
    rest_ = part_.span();
    return {};
  }

  Result<> begin() {
    begun_ = true;
    UPWELL_CHECK(refill());
    if (!is_gzip()) return {};
    constexpr int kGzip = 16;
    if (inflateInit2(&stream_, kGzip + MAX_WBITS) != Z_OK)
      return fail(Code::kResourceExhausted, "no memory for zlib");
    inflating_ = true;
    return {};
  }

  Result<ByteSpan> inflated() {
    constexpr size_t kMost = size_t{1} << 30;  // zlib counts in 32 bits
    buffer_.resize(256 << 10);
    stream_.next_out = buffer_.data();
    stream_.avail_out = static_cast<uInt>(buffer_.size());
    while (stream_.avail_out == buffer_.size() && !ended_) {
      UPWELL_CHECK(refill());
      if (rest_.empty()) return fail(Code::kInvalidData, "gzip: the stream is cut short");
      const auto given = static_cast<uInt>(std::min(rest_.size(), kMost));
      stream_.next_in = const_cast<Bytef*>(rest_.data());
      stream_.avail_in = given;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      rest_ = rest_.subspan(given - stream_.avail_in);
      if (status == Z_STREAM_END) {
        // gzip streams may follow each other; what else follows is padding.
        UPWELL_CHECK(refill());
        ended_ = !is_gzip() || inflateReset(&stream_) != Z_OK;
      } else if (status != Z_OK && status != Z_BUF_ERROR) {
        return fail(Code::kInvalidData,
                    fmt::format("gzip: {}", stream_.msg != nullptr ? stream_.msg : "broken"));
      }
    }
    return ByteSpan(buffer_).first(buffer_.size() - stream_.avail_out);
  }

  const ArchiveSource& source_;
  SharedBytes part_;
  ByteSpan rest_;  ///< of part_
  Bytes buffer_;
  z_stream stream_{};
  bool begun_ = false, inflating_ = false, ended_ = false;
};

class TarReader {
 public:
  TarReader(const ArchiveSource& source, const std::function<bool(std::string_view)>& wanted,
            uint64_t limit)
      : bytes_(source), wanted_(wanted), limit_(limit) {}

  Result<std::vector<TarFile>> read() {
    archive* const reader = archive_.get();
    if (reader == nullptr) return fail(Code::kResourceExhausted, "no memory for libarchive");
    archive_read_support_format_tar(reader);
    archive_read_support_format_empty(reader);
    UPWELL_CHECK(check(archive_read_open(reader, this, nullptr, give, nullptr)));
    for (;;) {
      archive_entry* entry = nullptr;
      const int status = archive_read_next_header(reader, &entry);
      if (status == ARCHIVE_EOF) break;
      UPWELL_CHECK(check(status));
      UPWELL_CHECK(take(entry));
    }
    // What follows the end counts for gzip's checksum.
    for (;;) {
      UPWELL_TRY(const ByteSpan more, bytes_.next());
      if (more.empty()) return std::move(files_);
    }
  }

 private:
  struct Free {
    void operator()(archive* reader) const { archive_read_free(reader); }
  };

  static la_ssize_t give(archive* reader, void* self, const void** bytes) {
    auto& to = *static_cast<TarReader*>(self);
    auto next = to.bytes_.next();
    if (next) {
      *bytes = next->data();
      return static_cast<la_ssize_t>(next->size());
    }
    to.error_ = std::move(next).error();
    archive_set_error(reader, EIO, "no more bytes");
    return ARCHIVE_FATAL;
  }

  /// Of the warnings that count which say that a header is not well formed, but not the one that
  /// the locale lacks a letter of a name: it is taken as UTF-8.
  Result<> check(la_ssize_t status) {
    if (status >= ARCHIVE_OK) return {};
    if (status == ARCHIVE_WARN && archive_errno(archive_.get()) == EILSEQ) return {};
    if (error_) return fail(std::move(*error_));
    const char* text = archive_error_string(archive_.get());
    return fail(
        archive_errno(archive_.get()) == ENOMEM ? Code::kResourceExhausted : Code::kInvalidData,
        fmt::format("tar: {}", text != nullptr ? text : "broken"));
  }

  Result<> take(archive_entry* entry) {
    const char* name = archive_entry_pathname_utf8(entry);
    if (name == nullptr) name = archive_entry_pathname(entry);
    std::string path(name != nullptr ? name : "");
    while (path.starts_with("./")) path.erase(0, 2);
    if (archive_entry_filetype(entry) != AE_IFREG || archive_entry_hardlink(entry) != nullptr ||
        path.empty() || path.ends_with('/') || !wanted_(path))
      return {};
    auto bytes = content(static_cast<uint64_t>(std::max<la_int64_t>(archive_entry_size(entry), 0)));
    if (!bytes) return fail(std::move(bytes).error().with(path));
    files_.push_back({std::move(path), std::move(*bytes)});
    return {};
  }

  /// In parts, so that a size that is a lie takes no memory.
  Result<Bytes> content(uint64_t size) {
    constexpr uint64_t kPart = 1 << 20;
    if (size > limit_ - taken_)
      return fail(
          Code::kResourceExhausted,
          fmt::format("{} bytes, and {} before it; there is memory for {}", size, taken_, limit_));
    Bytes bytes;
    while (bytes.size() < size) {
      const size_t begin = bytes.size();
      if (bytes.capacity() < begin + kPart)
        bytes.reserve(std::min<uint64_t>(size, std::max<uint64_t>(2 * begin, kPart)));
      bytes.resize(std::min<uint64_t>(size, begin + kPart));
      const la_ssize_t count =
          archive_read_data(archive_.get(), bytes.data() + begin, bytes.size() - begin);
      UPWELL_CHECK(check(count));
      if (count <= 0) return fail(Code::kInvalidData, "tar: the file is cut short");
      bytes.resize(begin + static_cast<size_t>(count));
    }
    taken_ += size;
    return bytes;
  }

  ArchiveBytes bytes_;
  const std::function<bool(std::string_view)>& wanted_;
  uint64_t limit_, taken_ = 0;
  std::optional<Error> error_;  ///< of the source, or gzip's
  std::vector<TarFile> files_;
  std::unique_ptr<archive, Free> archive_{archive_read_new()};
};

}  // namespace

Result<std::vector<TarFile>> read_tar(const ArchiveSource& source,
                                      const std::function<bool(std::string_view path)>& wanted,
                                      uint64_t limit) {
  return TarReader(source, wanted, limit).read();
}

}  // namespace upwell::produce
