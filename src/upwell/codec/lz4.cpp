// LZ4 blocks in two framings: numcodecs' (u32 size, one block) and HDF5 filter 32004's.

#include <fmt/format.h>
#include <lz4.h>

#include <climits>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

constexpr size_t kNumcodecsHeader = 4;

class Lz4Codec : public BufferCodec {
 public:
  explicit Lz4Codec(int acceleration) : BufferCodec("lz4"), acceleration_(acceleration) {}

  Result<> encode(ByteSpan in, Bytes& out) const override {
    if (in.size() > LZ4_MAX_INPUT_SIZE) {
      return fail(Code::kInvalidArgument, fmt::format("lz4: {} bytes are too many", in.size()));
    }
    const int bound = LZ4_compressBound(static_cast<int>(in.size()));
    out.resize(kNumcodecsHeader + static_cast<size_t>(bound));
    store_le<uint32_t>(out.data(), static_cast<uint32_t>(in.size()));
    const char nothing = 0;
    const int written =
        LZ4_compress_fast(in.empty() ? &nothing : reinterpret_cast<const char*>(in.data()),
                          reinterpret_cast<char*>(out.data() + kNumcodecsHeader),
                          static_cast<int>(in.size()), bound, acceleration_);
    if (written <= 0) return fail(Code::kInternal, "lz4: compression failed");
    out.resize(kNumcodecsHeader + static_cast<size_t>(written));
    return {};
  }

 protected:
  Result<size_t> decoded_size(ByteSpan in) const override {
    if (in.size() < kNumcodecsHeader) return bad("no size before the block");
    return load_le<uint32_t>(in.data());
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    UPWELL_TRY(const size_t size, decoded_size(in));
    if (size > out.size()) return kDoesNotFit;
    const ByteSpan block = in.subspan(kNumcodecsHeader);
    if (size > INT_MAX || block.size() > INT_MAX) return bad("a block of more than 2 GiB");
    char nothing = 0;
    const int written =
        LZ4_decompress_safe(reinterpret_cast<const char*>(block.data()),
                            size == 0 ? &nothing : reinterpret_cast<char*>(out.data()),
                            static_cast<int>(block.size()), static_cast<int>(size));
    if (written < 0 || static_cast<size_t>(written) != size) {
      return bad(fmt::format("broken block of {} bytes for {} bytes", block.size(), size));
    }
    return size;
  }

 private:
  int acceleration_;
};

// be64 decoded size, be32 block size, then be32 stored size and bytes of each block; a block whose
// stored size is its decoded size is not compressed.
class Hdf5Lz4Codec : public BufferCodec {
 public:
  Hdf5Lz4Codec() : BufferCodec("hdf5_lz4") {}

 protected:
  static constexpr size_t kHeader = 12;

  Result<size_t> decoded_size(ByteSpan in) const override {
    if (in.size() < kHeader) return bad(fmt::format("a header of {} bytes", in.size()));
    return load_be<uint64_t>(in.data());
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    UPWELL_TRY(const size_t size, decoded_size(in));
    if (size > out.size()) return kDoesNotFit;
    const size_t block_size = std::min<size_t>(load_be<uint32_t>(in.data() + 8), size);
    if (size > 0 && block_size == 0) return bad("blocks of no bytes");
    size_t at = kHeader;
    for (size_t done = 0; done < size;) {
      const size_t block = std::min(block_size, size - done);
      if (in.size() - at < 4) return bad(fmt::format("truncated at byte {}", at));
      const size_t stored = load_be<uint32_t>(in.data() + at);
      at += 4;
      if (stored > in.size() - at) {
        return bad(fmt::format("a block of {} bytes at byte {} goes beyond the end", stored, at));
      }
      UPWELL_CHECK(decode_block(in.subspan(at, stored), out.subspan(done, block), at));
      at += stored;
      done += block;
    }
    return size;
  }

 private:
  Result<> decode_block(ByteSpan in, MutableByteSpan out, size_t at) const {
    if (in.size() == out.size()) {
      std::memcpy(out.data(), in.data(), out.size());
      return {};
    }
    if (in.size() > INT_MAX || out.size() > INT_MAX) return bad("a block of more than 2 GiB");
    const int written = LZ4_decompress_safe(
        reinterpret_cast<const char*>(in.data()), reinterpret_cast<char*>(out.data()),
        static_cast<int>(in.size()), static_cast<int>(out.size()));
    if (written < 0 || static_cast<size_t>(written) != out.size()) {
      return bad(fmt::format("broken block at byte {}", at));
    }
    return {};
  }
};

}  // namespace

CodecResult make_lz4(const Params& params, size_t) {
  UPWELL_TRY(const int64_t acceleration, params.integer("acceleration", 1, INT32_MIN, INT32_MAX));
  return std::make_shared<Lz4Codec>(static_cast<int>(acceleration));
}
CodecResult make_hdf5_lz4(const Params&, size_t) { return std::make_shared<Hdf5Lz4Codec>(); }

}  // namespace upwell::codec
