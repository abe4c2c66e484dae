#include "produce/grid/tar.hpp"

#include <fmt/format.h>
#include <zlib.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <optional>

namespace upwell::produce {
namespace {

constexpr size_t kBlock = 512;
constexpr size_t kLongestName = 64 << 10;  // of a pax or GNU header

using Block = std::array<uint8_t, kBlock>;

tl::unexpected<Error> bad_archive(const std::string& what) {
  return fail(Code::kInvalidData, what);
}

/// The bytes of an archive one after the other, decompressed where they are gzip's (RFC 1952).
class ArchiveBytes {
 public:
  explicit ArchiveBytes(ByteSpan file) : rest_(file) {}
  ~ArchiveBytes() {
    if (inflating_) inflateEnd(&stream_);
  }
  ArchiveBytes(const ArchiveBytes&) = delete;
  ArchiveBytes& operator=(const ArchiveBytes&) = delete;

  /// Whether more bytes follow, of which the first is what `next` gives.
  Result<bool> more() {
    if (peeked_) return true;
    uint8_t byte = 0;
    UPWELL_TRY(const size_t count, some({&byte, 1}));
    if (count == 1) peeked_ = byte;
    return count == 1;
  }

  /// Fills `out`, or tells that the archive is cut short.
  Result<> next(MutableByteSpan out) {
    if (!out.empty() && peeked_) {
      out[0] = *peeked_;
      peeked_.reset();
      out = out.subspan(1);
    }
    while (!out.empty()) {
      UPWELL_TRY(const size_t count, some(out));
      if (count == 0) return bad_archive("the archive is cut short");
      out = out.subspan(count);
    }
    return {};
  }

 private:
  bool is_gzip() const { return rest_.size() >= 2 && rest_[0] == 0x1f && rest_[1] == 0x8b; }

  Result<size_t> some(MutableByteSpan out) {
    if (!begun_) {
      begun_ = true;
      if (is_gzip()) {
        constexpr int kGzip = 16;
        if (inflateInit2(&stream_, kGzip + MAX_WBITS) != Z_OK)
          return fail(Code::kResourceExhausted, "no memory for zlib");
        inflating_ = true;
      }
    }
    if (inflating_) return inflated(out);
    const size_t count = std::min(out.size(), rest_.size());
    std::copy_n(rest_.begin(), count, out.begin());
    rest_ = rest_.subspan(count);
    return count;
  }

  Result<size_t> inflated(MutableByteSpan out) {
    constexpr size_t kAtOnce = size_t{1} << 30;  // zlib counts in 32 bits
    const auto wanted = static_cast<uInt>(std::min(out.size(), kAtOnce));
    stream_.next_out = out.data();
    stream_.avail_out = wanted;
    while (stream_.avail_out == wanted && !ended_) {
      const auto given = static_cast<uInt>(std::min(rest_.size(), kAtOnce));
      stream_.next_in = const_cast<Bytef*>(rest_.data());
      stream_.avail_in = given;
      const int status = inflate(&stream_, Z_NO_FLUSH);
      rest_ = rest_.subspan(given - stream_.avail_in);
      if (status == Z_STREAM_END) {
        // gzip files may follow each other; what else follows is padding.
        ended_ = !is_gzip() || inflateReset(&stream_) != Z_OK;
      } else if (status == Z_BUF_ERROR && rest_.empty()) {
        return bad_archive("the gzip stream is cut short");
      } else if (status != Z_OK) {
        return bad_archive(
            fmt::format("gzip: {}", stream_.msg != nullptr ? stream_.msg : "a broken stream"));
      }
    }
    return wanted - stream_.avail_out;
  }

  ByteSpan rest_;
  z_stream stream_{};
  bool begun_ = false, inflating_ = false, ended_ = false;
  std::optional<uint8_t> peeked_;
};

std::string_view text_field(const Block& header, size_t at, size_t size) {
  const char* begin = reinterpret_cast<const char*>(header.data()) + at;
  return {begin, strnlen(begin, size)};
}

/// Octal digits with blanks and zero bytes around, or GNU's base 256.
Result<uint64_t> number_field(const Block& header, size_t at, size_t size) {
  uint64_t value = 0;
  if ((header[at] & 0x80) != 0) {
    for (size_t i = 0; i < size; ++i) {
      const uint8_t byte = i == 0 ? header[at] & 0x7f : header[at + i];
      if (value > std::numeric_limits<uint64_t>::max() >> 8)
        return bad_archive("a header has a number that is too large");
      value = value << 8 | byte;
    }
    return value;
  }
  std::string_view digits = text_field(header, at, size);
  while (digits.starts_with(' ')) digits.remove_prefix(1);
  while (digits.ends_with(' ')) digits.remove_suffix(1);
  for (const char c : digits) {
    if (c < '0' || c > '7') return bad_archive("a header has a number that is not octal");
    value = value << 3 | static_cast<uint64_t>(c - '0');  // 12 digits fit
  }
  return value;
}

/// The sum of a header's bytes, its own field taken as blanks.
Result<> check_sum(const Block& header) {
  constexpr size_t kSum = 148, kSumSize = 8;
  const Result<uint64_t> said = number_field(header, kSum, kSumSize);
  uint64_t sum = kSumSize * ' ';
  for (size_t i = 0; i < kBlock; ++i) {
    if (i < kSum || i >= kSum + kSumSize) sum += header[i];
  }
  if (!said || *said != sum)
    return bad_archive("no tar archive, or a header with a wrong checksum");
  return {};
}

/// What extended headers say of the file that follows.
struct Override {
  std::string path;
  std::optional<uint64_t> size;
};

/// Records "LENGTH KEY=VALUE\n" (pax).
Result<> read_pax(std::string_view records, Override& to) {
  while (!records.empty() && records[0] != '\0') {
    size_t length = 0, digits = 0;
    while (digits < records.size() && records[digits] >= '0' && records[digits] <= '9' &&
           digits < 8)
      length = length * 10 + static_cast<size_t>(records[digits++] - '0');
    if (digits == 0 || digits + 2 > length || length > records.size() || records[digits] != ' ' ||
        records[length - 1] != '\n')
      return bad_archive("a pax header that is not well formed");
    const std::string_view record = records.substr(digits + 1, length - digits - 2);
    records.remove_prefix(length);
    const size_t equals = record.find('=');
    if (equals == std::string_view::npos) return bad_archive("a pax header that has no '='");
    const std::string_view key = record.substr(0, equals), value = record.substr(equals + 1);
    if (key == "path") to.path = value;
    if (key == "GNU.sparse.name" || key == "GNU.sparse.map")
      return fail(Code::kUnsupported, "a sparse file in the archive");
    if (key != "size") continue;
    uint64_t size = 0;
    for (const char c : value) {
      if (c < '0' || c > '9' || size > uint64_t{1} << 58)
        return bad_archive("a pax header whose size is no number");
      size = size * 10 + static_cast<uint64_t>(c - '0');
    }
    to.size = size;
  }
  return {};
}

class TarReader {
 public:
  TarReader(ByteSpan archive, const std::function<bool(std::string_view)>& wanted, uint64_t limit)
      : bytes_(archive), wanted_(wanted), left_(limit) {}

  Result<std::vector<TarFile>> read() {
    for (;;) {
      UPWELL_TRY(const bool more, bytes_.more());
      if (!more) break;  // GNU tar's padding may be missing
      Block header;
      UPWELL_CHECK(bytes_.next(header));
      if (std::all_of(header.begin(), header.end(), [](uint8_t b) { return b == 0; })) {
        UPWELL_CHECK(drain());
        break;
      }
      UPWELL_CHECK(check_sum(header));
      UPWELL_CHECK(entry(header));
    }
    return std::move(files_);
  }

 private:
  /// What follows the end, of which gzip's checksum counts.
  Result<> drain() {
    Block block;
    for (;;) {
      UPWELL_TRY(const bool more, bytes_.more());
      if (!more) return {};
      UPWELL_CHECK(bytes_.next({block.data(), 1}));
    }
  }

  Result<> entry(const Block& header) {
    constexpr size_t kName = 0, kSize = 124, kType = 156, kMagic = 257, kPrefix = 345;
    const char type = static_cast<char>(header[kType]);
    UPWELL_TRY(uint64_t size, number_field(header, kSize, 12));
    if (type == 'x' || type == 'L') return extension(type, size);
    if (type == 'g' || type == 'K') return skip(size);
    std::string path(text_field(header, kName, 100));
    const std::string_view prefix = text_field(header, kPrefix, 155);
    if (text_field(header, kMagic, 6) == "ustar" && !prefix.empty())
      path = std::string(prefix) + "/" + path;
    if (!next_.path.empty()) path = next_.path;
    size = next_.size.value_or(size);
    next_ = {};
    while (path.starts_with("./")) path.erase(0, 2);
    // Links and devices have no content, whatever their size says.
    if (type >= '1' && type <= '6') return type == '5' ? skip(size) : Result<>{};
    const bool regular = type == '0' || type == '\0' || type == '7';
    if (path.empty() || path.ends_with('/') || !wanted_(path)) return skip(size);
    if (!regular)
      return fail(Code::kUnsupported,
                  fmt::format("{}: a member of type '{}' in the archive", path, type));
    if (size > left_)
      return fail(
          Code::kResourceExhausted,
          fmt::format("{}: {} bytes, where {} are left for the archive", path, size, left_));
    left_ -= size;
    auto content = this->content(size);
    if (!content) return fail(std::move(content).error().with(path));
    files_.push_back({std::move(path), std::move(*content)});
    return {};
  }

  Result<> extension(char type, uint64_t size) {
    if (size > kLongestName) return bad_archive("a header of too many bytes");
    UPWELL_TRY(const Bytes text_bytes, content(size));
    const std::string_view text = as_text(text_bytes);
    if (type == 'x') return read_pax(text, next_);
    next_.path = text.substr(0, text.find('\0'));
    return {};
  }

  /// In parts, so that a size that is a lie takes no memory.
  Result<Bytes> content(uint64_t size) {
    constexpr uint64_t kPart = 1 << 20;
    Bytes bytes;
    while (bytes.size() < size) {
      const size_t begin = bytes.size();
      if (bytes.capacity() < begin + kPart)
        bytes.reserve(std::min<uint64_t>(size, std::max<uint64_t>(2 * begin, kPart)));
      bytes.resize(std::min<uint64_t>(size, begin + kPart));
      UPWELL_CHECK(bytes_.next(MutableByteSpan(bytes).subspan(begin)));
    }
    UPWELL_CHECK(padding(size));
    return bytes;
  }

  Result<> skip(uint64_t size) {
    Bytes part(std::min<uint64_t>(size, 64 << 10));
    for (uint64_t left = size; left > 0;) {
      const uint64_t count = std::min<uint64_t>(left, part.size());
      UPWELL_CHECK(bytes_.next(MutableByteSpan(part).first(count)));
      left -= count;
    }
    return padding(size);
  }

  Result<> padding(uint64_t size) {
    Block block;
    const size_t count = (kBlock - size % kBlock) % kBlock;
    return bytes_.next(MutableByteSpan(block).first(count));
  }

  ArchiveBytes bytes_;
  const std::function<bool(std::string_view)>& wanted_;
  uint64_t left_;
  Override next_;
  std::vector<TarFile> files_;
};

}  // namespace

Result<std::vector<TarFile>> read_tar(ByteSpan archive,
                                      const std::function<bool(std::string_view path)>& wanted,
                                      uint64_t limit) {
  return TarReader(archive, wanted, limit).read();
}

}  // namespace upwell::produce
