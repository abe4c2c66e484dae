// zlib (RFC 1950, HDF5's deflate filter), gzip (RFC 1952) and bare deflate (RFC 1951).

#include <fmt/format.h>
#include <libdeflate.h>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

enum class DeflateFrame { kZlib, kGzip, kRaw };

struct FreeDecompressor {
  void operator()(libdeflate_decompressor* d) const { libdeflate_free_decompressor(d); }
};
struct FreeCompressor {
  void operator()(libdeflate_compressor* c) const { libdeflate_free_compressor(c); }
};

// 11 kB of tables a thread, built once.
libdeflate_decompressor* thread_decompressor() {
  thread_local const std::unique_ptr<libdeflate_decompressor, FreeDecompressor> decompressor(
      libdeflate_alloc_decompressor());
  return decompressor.get();
}

libdeflate_compressor* thread_compressor(int level) {
  struct Kept {
    int level = -1;
    std::unique_ptr<libdeflate_compressor, FreeCompressor> compressor;
  };
  thread_local Kept kept;
  if (kept.level != level) {
    kept.compressor.reset(libdeflate_alloc_compressor(level));
    kept.level = level;
  }
  return kept.compressor.get();
}

class DeflateCodec : public BufferCodec {
 public:
  DeflateCodec(std::string name, DeflateFrame frame, int level)
      : BufferCodec(std::move(name)), frame_(frame), level_(level) {}

  Result<> encode(ByteSpan in, Bytes& out) const override;
  size_t encoded_bound(size_t decoded) const override { return compressor_bound(decoded); }

 protected:
  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override;

 private:
  DeflateFrame frame_;
  int level_;
};

// Bytes after the end of a zlib or bare stream are ignored, as libhdf5 and zlib do; after the end
// of a gzip member another may follow (RFC 1952 2.2).
Result<size_t> DeflateCodec::decode_to(ByteSpan in, MutableByteSpan out) const {
  libdeflate_decompressor* decompressor = thread_decompressor();
  if (!decompressor) return fail(Code::kResourceExhausted, "no memory for a decompressor");
  uint8_t nothing = 0;
  size_t read_total = 0;
  size_t written_total = 0;
  do {
    const uint8_t* source = in.data() + read_total;
    const size_t source_size = in.size() - read_total;
    uint8_t* target = out.empty() ? &nothing : out.data() + written_total;
    const size_t room = out.size() - written_total;
    size_t read = 0;
    size_t written = 0;
    const auto decompress = frame_ == DeflateFrame::kZlib   ? libdeflate_zlib_decompress_ex
                            : frame_ == DeflateFrame::kGzip ? libdeflate_gzip_decompress_ex
                                                            : libdeflate_deflate_decompress_ex;
    const auto result =
        decompress(decompressor, source, source_size, target, room, &read, &written);
    if (result == LIBDEFLATE_INSUFFICIENT_SPACE) return kDoesNotFit;
    if (result != LIBDEFLATE_SUCCESS) {
      return bad(
          fmt::format("broken or truncated stream of {} bytes at byte {}", in.size(), read_total));
    }
    read_total += read;
    written_total += written;
    // Only another member's magic counts: writers pad the end of a file with zeros.
  } while (frame_ == DeflateFrame::kGzip && in.size() - read_total >= 2 && in[read_total] == 0x1f &&
           in[read_total + 1] == 0x8b);
  return written_total;
}

Result<> DeflateCodec::encode(ByteSpan in, Bytes& out) const {
  libdeflate_compressor* compressor = thread_compressor(level_);
  if (!compressor) return fail(Code::kResourceExhausted, "no memory for a compressor");
  const auto [bound, compress] = [&] {
    using Bound = size_t (*)(libdeflate_compressor*, size_t);
    using Compress = size_t (*)(libdeflate_compressor*, const void*, size_t, void*, size_t);
    switch (frame_) {
      case DeflateFrame::kZlib:
        return std::pair<Bound, Compress>(libdeflate_zlib_compress_bound, libdeflate_zlib_compress);
      case DeflateFrame::kGzip:
        return std::pair<Bound, Compress>(libdeflate_gzip_compress_bound, libdeflate_gzip_compress);
      default:
        return std::pair<Bound, Compress>(libdeflate_deflate_compress_bound,
                                          libdeflate_deflate_compress);
    }
  }();
  out.resize(bound(compressor, in.size()));
  const size_t written = compress(compressor, in.data(), in.size(), out.data(), out.size());
  if (written == 0) return fail(Code::kInternal, name() + ": compression failed");
  out.resize(written);
  return {};
}

CodecResult make_deflate_codec(const Params& params, std::string name, DeflateFrame frame) {
  UPWELL_TRY(int64_t level, params.integer("level", 1, -1, 9));
  if (level < 0) level = 6;  // zlib's default
  return std::make_shared<DeflateCodec>(std::move(name), frame, static_cast<int>(level));
}

}  // namespace

CodecResult make_zlib(const Params& params, size_t) {
  return make_deflate_codec(params, "zlib", DeflateFrame::kZlib);
}
CodecResult make_gzip(const Params& params, size_t) {
  return make_deflate_codec(params, "gzip", DeflateFrame::kGzip);
}
CodecResult make_deflate(const Params& params, size_t) {
  return make_deflate_codec(params, "deflate", DeflateFrame::kRaw);
}

}  // namespace upwell::codec
