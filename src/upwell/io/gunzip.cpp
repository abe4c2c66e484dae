#include "io/gunzip.hpp"

#include <libdeflate.h>

#include <algorithm>
#include <memory>
#include <new>

namespace upwell::io {
namespace {

constexpr size_t kSizeAtEnd = 4;  // of what a member holds, modulo 2^32 (RFC 1952 2.3.1)
constexpr size_t kSmallest = 18;  // header and end

uint64_t told_size(const Bytes& body) {
  uint64_t size = 0;
  for (size_t k = 0; k < kSizeAtEnd; ++k)
    size |= uint64_t{body[body.size() - kSizeAtEnd + k]} << (8 * k);
  return size;
}

/// Writers pad the end of a file with zeros, of which no member is begun.
bool is_padding(ByteSpan rest) {
  return std::all_of(rest.begin(), rest.end(), [](uint8_t byte) { return byte == 0; });
}

Result<> replace(Bytes& body, uint64_t limit) {
  const auto broken = [] { return fail(Code::kInvalidData, "a broken gzip stream"); };
  if (body.size() < kSmallest) return broken();
  const std::unique_ptr<libdeflate_decompressor, decltype(&libdeflate_free_decompressor)>
      decompressor(libdeflate_alloc_decompressor(), libdeflate_free_decompressor);
  if (!decompressor) return fail(Code::kResourceExhausted, "no memory for a decompressor");
  // A stream holds at most about a thousand times its size, whatever its end claims.
  constexpr uint64_t kMostRatio = 1032;
  Bytes out(std::min({told_size(body), limit, kMostRatio * body.size()}));
  size_t read = 0, written = 0;
  while (read < body.size()) {  // one member after the other
    size_t taken = 0, given = 0;
    uint8_t nothing = 0;
    const auto result = libdeflate_gzip_decompress_ex(
        decompressor.get(), body.data() + read, body.size() - read,
        out.empty() ? &nothing : out.data() + written, out.size() - written, &taken, &given);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE) {
      if (out.size() >= limit)
        return fail(Code::kResourceExhausted, "more than " + std::to_string(limit) + " bytes");
      out.resize(std::min<uint64_t>(limit, 2 * out.size() + body.size()));
      continue;
    }
    if (result != LIBDEFLATE_SUCCESS) return broken();
    read += taken;
    written += given;
    if (is_padding(ByteSpan(body).subspan(read))) break;
  }
  out.resize(written);
  body = std::move(out);
  return {};
}

}  // namespace

Result<> gunzip(Bytes& body, uint64_t limit) {
  if (body.empty()) return {};  // without a body there is no stream
  try {
    return replace(body, limit);
  } catch (const std::bad_alloc&) {
    return fail(Code::kResourceExhausted, "no memory for what it holds");
  }
}

}  // namespace upwell::io
