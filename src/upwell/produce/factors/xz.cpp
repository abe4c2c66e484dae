#include "produce/factors/xz.hpp"

#include <fmt/format.h>
#include <lzma.h>

#include <algorithm>

namespace upwell::produce {
namespace {

constexpr uint64_t kDecoderMemory = uint64_t{128} << 20;  // xz -9 needs 65 MiB

struct EndDecoder {
  void operator()(lzma_stream* stream) const { lzma_end(stream); }
};

Error decoder_error(lzma_ret ret) {
  switch (ret) {
    case LZMA_FORMAT_ERROR:
      return {Code::kInvalidData, "xz: this is no xz file", {}, {}};
    case LZMA_MEM_ERROR:
    case LZMA_MEMLIMIT_ERROR:
      return {Code::kResourceExhausted, "xz: the decoder needs more than 128 MiB", {}, {}};
    case LZMA_OPTIONS_ERROR:
      return {Code::kUnsupported, "xz: unknown options", {}, {}};
    case LZMA_BUF_ERROR:
      return {Code::kInvalidData, "xz: truncated", {}, {}};
    default:
      return {Code::kInvalidData, "xz: broken data or a checksum mismatch", {}, {}};
  }
}

}  // namespace

Result<Bytes> decompress_xz(ByteSpan in, uint64_t limit) {
  lzma_stream stream = LZMA_STREAM_INIT;
  const std::unique_ptr<lzma_stream, EndDecoder> guard(&stream);
  if (const lzma_ret ret = lzma_stream_decoder(&stream, kDecoderMemory, LZMA_CONCATENATED);
      ret != LZMA_OK)
    return fail(decoder_error(ret));
  stream.next_in = in.data();
  stream.avail_in = in.size();
  Bytes out;
  while (true) {
    const uint64_t filled = stream.total_out;
    if (filled == out.size()) {
      if (filled >= limit)
        return fail(Code::kResourceExhausted,
                    fmt::format("xz: decompresses to more than {} bytes", limit));
      out.resize(std::min<uint64_t>(limit, std::max<uint64_t>(out.size() * 2, uint64_t{1} << 16)));
    }
    stream.next_out = out.data() + filled;
    stream.avail_out = out.size() - filled;
    const lzma_ret ret = lzma_code(&stream, LZMA_FINISH);
    if (ret == LZMA_STREAM_END) break;
    if (ret != LZMA_OK) return fail(decoder_error(ret));
  }
  out.resize(stream.total_out);
  return out;
}

}  // namespace upwell::produce
