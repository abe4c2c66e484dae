// Zstandard frames (RFC 8878), as numcodecs and HDF5 filter 32015 store them.

#include <fmt/format.h>
#include <zstd.h>

#include <algorithm>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

struct FreeZstdDecoder {
  void operator()(ZSTD_DCtx* context) const { ZSTD_freeDCtx(context); }
};
struct FreeZstdEncoder {
  void operator()(ZSTD_CCtx* context) const { ZSTD_freeCCtx(context); }
};

class ZstdCodec : public BufferCodec {
 public:
  ZstdCodec(int level, bool checksum) : BufferCodec("zstd"), level_(level), checksum_(checksum) {}

  Result<> encode(ByteSpan in, Bytes& out) const override {
    thread_local const std::unique_ptr<ZSTD_CCtx, FreeZstdEncoder> context(ZSTD_createCCtx());
    if (!context) return fail(Code::kResourceExhausted, "no memory for a compressor");
    ZSTD_CCtx_reset(context.get(), ZSTD_reset_session_and_parameters);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_compressionLevel, level_);
    ZSTD_CCtx_setParameter(context.get(), ZSTD_c_checksumFlag, checksum_ ? 1 : 0);
    out.resize(ZSTD_compressBound(in.size()));
    const size_t written =
        ZSTD_compress2(context.get(), out.data(), out.size(), in.data(), in.size());
    if (ZSTD_isError(written)) {
      return fail(Code::kInternal, fmt::format("zstd: {}", ZSTD_getErrorName(written)));
    }
    out.resize(written);
    return {};
  }

 protected:
  Result<size_t> decoded_size(ByteSpan in) const override {
    size_t total = 0;
    for (ByteSpan rest = in; !rest.empty();) {
      const size_t frame = ZSTD_findFrameCompressedSize(rest.data(), rest.size());
      if (ZSTD_isError(frame)) return bad(ZSTD_getErrorName(frame));
      const unsigned long long content = ZSTD_getFrameContentSize(rest.data(), rest.size());
      if (content == ZSTD_CONTENTSIZE_ERROR) return bad("broken frame header");
      if (content == ZSTD_CONTENTSIZE_UNKNOWN) return SIZE_MAX;
      total = add_saturated(total, content);
      rest = rest.subspan(frame);
    }
    return total;
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    thread_local const std::unique_ptr<ZSTD_DCtx, FreeZstdDecoder> context(ZSTD_createDCtx());
    if (!context) return fail(Code::kResourceExhausted, "no memory for a decompressor");
    if (in.empty()) return bad("empty input");
    const size_t written =
        ZSTD_decompressDCtx(context.get(), out.data(), out.size(), in.data(), in.size());
    if (!ZSTD_isError(written)) return written;
    if (ZSTD_getErrorName(written) == std::string_view("Destination buffer is too small")) {
      return kDoesNotFit;
    }
    return bad(ZSTD_getErrorName(written));
  }

 private:
  int level_;
  bool checksum_;
};

}  // namespace

CodecResult make_zstd(const Params& params, size_t) {
  UPWELL_TRY(int64_t level, params.integer("level", 0, INT32_MIN, INT32_MAX));
  // As the library does, and no reason to refuse to decode: there are files that say level 100.
  level = std::clamp<int64_t>(level, ZSTD_minCLevel(), ZSTD_maxCLevel());
  UPWELL_TRY(const bool checksum, params.boolean("checksum", false));
  return std::make_shared<ZstdCodec>(static_cast<int>(level), checksum);
}

}  // namespace upwell::codec
