#include "produce/factors/npz.hpp"

#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <bit>
#include <limits>

namespace upwell::produce {
namespace {

constexpr uint32_t kLocalHeader = 0x04034b50;
constexpr uint32_t kCentralHeader = 0x02014b50;
constexpr uint32_t kEndRecord = 0x06054b50;
constexpr size_t kLocalSize = 30;
constexpr size_t kCentralSize = 46;
constexpr size_t kEndSize = 22;
// An extra field that other zip programs know as alignment.
constexpr uint16_t kAlignmentField = 0xd935;
constexpr size_t kAlignment = 64;
constexpr uint16_t kDos1980 = 0x21;  // 1980-01-01, the first day that zip can say

tl::unexpected<Error> bad_zip(const std::string& what) {
  return fail(Code::kInvalidData, "npz: " + what);
}

/// The end record is at the end, but for a comment of up to 64 KiB.
Result<size_t> find_end_record(ByteSpan archive) {
  if (archive.size() < kEndSize) return bad_zip("too short to be an archive");
  const size_t last = archive.size() - kEndSize;
  const size_t first = last > 0xffff ? last - 0xffff : 0;
  for (size_t at = last + 1; at-- > first;) {
    if (load_le<uint32_t>(archive.data() + at) != kEndRecord) continue;
    if (at + kEndSize + load_le<uint16_t>(archive.data() + at + 20) == archive.size()) return at;
  }
  return bad_zip("no end record: truncated, or no zip archive");
}

void put16(std::string& out, uint64_t v) {
  for (int i = 0; i < 2; ++i) out += static_cast<char>(v >> (8 * i) & 0xff);
}
void put32(std::string& out, uint64_t v) {
  for (int i = 0; i < 4; ++i) out += static_cast<char>(v >> (8 * i) & 0xff);
}

Result<> inflate(ByteSpan in, MutableByteSpan out) {
  const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)>
      decompressor(libdeflate_alloc_decompressor(), &libdeflate_free_decompressor);
  if (!decompressor) return fail(Code::kResourceExhausted, "no memory to decompress");
  if (libdeflate_deflate_decompress(decompressor.get(), in.data(), in.size(), out.data(),
                                    out.size(), nullptr) != LIBDEFLATE_SUCCESS)
    return bad_zip("a deflate stream that is broken or of another size");
  return {};
}

}  // namespace

Result<NpzReader> NpzReader::open(SharedBytes archive) {
  NpzReader reader;
  const ByteSpan bytes = archive.span();
  UPWELL_TRY(const size_t end, find_end_record(bytes));
  const uint8_t* record = bytes.data() + end;
  const uint16_t count = load_le<uint16_t>(record + 10);
  const uint64_t directory_size = load_le<uint32_t>(record + 12);
  const uint64_t directory = load_le<uint32_t>(record + 16);
  if (load_le<uint16_t>(record + 4) != 0 || count != load_le<uint16_t>(record + 8))
    return fail(Code::kUnsupported, "npz: an archive of several files");
  if (directory == 0xffffffff || count == 0xffff) return fail(Code::kUnsupported, "npz: zip64");
  if (directory > end || directory_size != end - directory)
    return bad_zip("the directory is not where the end record says");

  uint64_t at = directory;
  for (uint16_t i = 0; i < count; ++i) {
    if (end - at < kCentralSize || load_le<uint32_t>(bytes.data() + at) != kCentralHeader)
      return bad_zip(fmt::format("entry {} of the directory is broken", i));
    const uint8_t* p = bytes.data() + at;
    const uint64_t name_size = load_le<uint16_t>(p + 28);
    const uint64_t rest = uint64_t{load_le<uint16_t>(p + 30)} + load_le<uint16_t>(p + 32);
    if (name_size + rest > end - at - kCentralSize)
      return bad_zip(fmt::format("entry {} of the directory is broken", i));
    Entry entry;
    entry.name = as_text(bytes.subspan(at + kCentralSize, name_size));
    const uint16_t method = load_le<uint16_t>(p + 10);
    if ((load_le<uint16_t>(p + 8) & 1) != 0)
      return fail(Code::kUnsupported, "npz: " + entry.name + " is encrypted");
    if (method != 0 && method != 8)
      return fail(Code::kUnsupported,
                  fmt::format("npz: {} has compression method {}", entry.name, method));
    entry.deflated = method == 8;
    entry.crc = load_le<uint32_t>(p + 16);
    entry.stored = load_le<uint32_t>(p + 20);
    entry.size = load_le<uint32_t>(p + 24);
    entry.offset = load_le<uint32_t>(p + 42);
    if (entry.stored == 0xffffffff || entry.size == 0xffffffff || entry.offset == 0xffffffff)
      return fail(Code::kUnsupported, "npz: zip64");
    if (reader.find(entry.name) != nullptr) return bad_zip(entry.name + " is there twice");
    reader.entries_.push_back(std::move(entry));
    at += kCentralSize + name_size + rest;
  }
  if (at != end) return bad_zip("the directory is longer than its entries");
  reader.archive_ = std::move(archive);
  return reader;
}

const NpzReader::Entry* NpzReader::find(std::string_view name) const {
  for (const Entry& entry : entries_) {
    if (entry.name == name) return &entry;
  }
  return nullptr;
}

Result<ByteSpan> NpzReader::stored_bytes(const Entry& entry) const {
  const ByteSpan bytes = archive_.span();
  if (entry.offset > bytes.size() || bytes.size() - entry.offset < kLocalSize ||
      load_le<uint32_t>(bytes.data() + entry.offset) != kLocalHeader)
    return bad_zip(entry.name + " is not where the directory says");
  const uint8_t* p = bytes.data() + entry.offset;
  const uint64_t begin =
      entry.offset + kLocalSize + load_le<uint16_t>(p + 26) + load_le<uint16_t>(p + 28);
  if (begin > bytes.size() || entry.stored > bytes.size() - begin)
    return bad_zip(entry.name + " goes beyond the end: truncated");
  return bytes.subspan(begin, entry.stored);
}

Result<SharedBytes> NpzReader::member(std::string_view name, uint64_t limit) const {
  const Entry* entry = find(name);
  if (entry == nullptr)
    return fail(Code::kNotFound, fmt::format("npz: there is no member {}", name));
  if (entry->size > limit)
    return fail(
        Code::kResourceExhausted,
        fmt::format("npz: {} says that it has {} bytes, more than {}", name, entry->size, limit));
  UPWELL_TRY(const ByteSpan stored, stored_bytes(*entry));
  SharedBytes result;
  if (entry->deflated) {
    // Deflate makes at most 1032 bytes of one (RFC 1951: a length of 258 in two bits).
    if (entry->size / 1032 > entry->stored) return bad_zip(entry->name + ": a size that cannot be");
    Bytes out(entry->size);
    UPWELL_CHECK(inflate(stored, out));
    result = SharedBytes(std::move(out));
  } else {
    if (entry->stored != entry->size) return bad_zip(entry->name + " has two sizes");
    result = archive_.slice(static_cast<size_t>(stored.data() - archive_.data()), stored.size());
  }
  if (libdeflate_crc32(0, result.data(), result.size()) != entry->crc)
    return bad_zip(entry->name + ": checksum mismatch");
  return result;
}

Result<OwnedArray> read_array(const NpzReader& reader, std::string_view name) {
  const std::string member = std::string(name) + ".npy";
  OwnedArray result;
  UPWELL_TRY(result.owner, reader.member(member));
  auto array = parse_npy(result.owner.span());
  if (!array) return fail(std::move(array).error().with(member));
  result.array = std::move(*array);
  return result;
}

void NpzWriter::add(const std::string& name, ByteSpan head, ByteSpan body) {
  // Of a null pointer libdeflate gives the checksum of nothing, whatever came before.
  uint32_t crc = libdeflate_crc32(0, head.data(), head.size());
  if (!body.empty()) crc = libdeflate_crc32(crc, body.data(), body.size());
  const uint64_t size = head.size() + body.size();
  const uint64_t offset = out_.size();
  const uint64_t unpadded = offset + kLocalSize + name.size() + 4;
  const uint64_t padding = (kAlignment - unpadded % kAlignment) % kAlignment;

  std::string common;  // version needed .. sizes, alike in both headers
  put16(common, 20);
  put16(common, 0);
  put16(common, 0);
  put16(common, 0);
  put16(common, kDos1980);
  put32(common, crc);
  put32(common, size);
  put32(common, size);
  put16(common, name.size());

  std::string local;
  put32(local, kLocalHeader);
  local += common;
  put16(local, 4 + padding);
  local += name;
  put16(local, kAlignmentField);
  put16(local, padding);
  local.append(padding, '\0');

  put32(directory_, kCentralHeader);
  put16(directory_, 20);
  directory_ += common;
  directory_.append(12, '\0');  // no extra field, no comment, first disk, no attributes
  put32(directory_, offset);
  directory_ += name;
  ++count_;

  const ByteSpan header = as_bytes(local);
  out_.insert(out_.end(), header.begin(), header.end());
  out_.insert(out_.end(), head.begin(), head.end());
  out_.insert(out_.end(), body.begin(), body.end());
}

template <typename T>
void NpzWriter::add_array(const std::string& name, std::span<const T> values,
                          std::span<const uint64_t> shape) {
  static_assert(std::endian::native == std::endian::little,
                "arrays are written as they lie in memory");
  const char* type = sizeof(T) == 1 ? "|u1" : sizeof(T) == 4 ? "<u4" : "<f8";
  const std::string header = npy_header(type, shape);
  add(name + ".npy", as_bytes(header),
      {reinterpret_cast<const uint8_t*>(values.data()), values.size() * sizeof(T)});
}
template void NpzWriter::add_array(const std::string&, std::span<const uint8_t>,
                                   std::span<const uint64_t>);
template void NpzWriter::add_array(const std::string&, std::span<const uint32_t>,
                                   std::span<const uint64_t>);
template void NpzWriter::add_array(const std::string&, std::span<const double>,
                                   std::span<const uint64_t>);

Result<Bytes> NpzWriter::finish() && {
  if (out_.size() + directory_.size() >= std::numeric_limits<uint32_t>::max())
    return fail(Code::kUnsupported, "npz: archives of 4 GiB and more are not written");
  std::string end;
  put32(end, kEndRecord);
  put32(end, 0);
  put16(end, count_);
  put16(end, count_);
  put32(end, directory_.size());
  put32(end, out_.size());
  put16(end, 0);
  for (const std::string& part : {directory_, end}) {
    const ByteSpan bytes = as_bytes(part);
    out_.insert(out_.end(), bytes.begin(), bytes.end());
  }
  return std::move(out_);
}

}  // namespace upwell::produce
