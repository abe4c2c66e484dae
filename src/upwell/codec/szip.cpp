// HDF5 filter 4: szip, a little-endian size and then CCSDS 121.0-B entropy-coded blocks.

#include <fmt/format.h>
#include <libaec.h>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"
#include "codec/shuffle.hpp"

namespace upwell::codec {
namespace {

// Bits of the options mask (szlib.h).
constexpr uint32_t kSzipMsb = 16;
constexpr uint32_t kSzipNearestNeighbor = 32;

struct SzipParameters {
  uint32_t options;
  uint32_t pixels_per_block;
  uint32_t bits_per_pixel;
  uint32_t pixels_per_scanline;
};

class SzipCodec : public BufferCodec {
 public:
  explicit SzipCodec(const SzipParameters& p)
      : BufferCodec("hdf5_szip"),
        p_(p),
        // szip codes pixels of 32 and 64 bits as bytes, grouped by their place in the pixel.
        group_(p.bits_per_pixel == 32 || p.bits_per_pixel == 64 ? p.bits_per_pixel / 8 : 1),
        sample_bits_(group_ > 1 ? 8 : p.bits_per_pixel),
        sample_size_(sample_bits_ > 16 ? 4 : (sample_bits_ > 8 ? 2 : 1)) {}

 protected:
  static constexpr size_t kHeader = 4;

  Result<size_t> decoded_size(ByteSpan in) const override {
    if (in.size() < kHeader) return bad("no size before the data");
    return load_le<uint32_t>(in.data());
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    UPWELL_TRY(const size_t size, decoded_size(in));
    if (size > out.size()) return kDoesNotFit;
    if (size == 0) return 0;
    if (size % sample_size_ != 0) {
      return bad(fmt::format("{} bytes are no whole pixels of {} bits", size, p_.bits_per_pixel));
    }
    const ByteSpan coded = in.subspan(kHeader);
    const size_t padding = p_.pixels_per_scanline % p_.pixels_per_block;
    if (padding == 0 && group_ == 1) {
      UPWELL_CHECK(run(coded, out.first(size)));
      return size;
    }
    thread_local Bytes scratch;
    UPWELL_TRY(const ByteSpan samples, decode_samples(coded, size, padding != 0, scratch));
    if (group_ == 1) {
      std::memcpy(out.data(), samples.data(), size);
    } else {
      unshuffle(samples, group_, out.data());
    }
    if (scratch.capacity() > (32U << 20)) Bytes().swap(scratch);
    return size;
  }

 private:
  size_t blocks_per_scanline() const {
    return (p_.pixels_per_scanline + p_.pixels_per_block - 1) / p_.pixels_per_block;
  }

  // The `size` bytes of samples, without what pads each scan line to whole blocks.
  Result<ByteSpan> decode_samples(ByteSpan coded, size_t size, bool padded, Bytes& scratch) const {
    if (!padded) {
      scratch.resize(size);
      UPWELL_CHECK(run(coded, scratch));
      return ByteSpan(scratch);
    }
    const size_t line = p_.pixels_per_scanline * sample_size_;
    const size_t padded_line = blocks_per_scanline() * p_.pixels_per_block * sample_size_;
    const size_t lines = (size + line - 1) / line;
    scratch.resize(lines * padded_line);
    UPWELL_CHECK(run(coded, scratch));
    for (size_t i = 1; i < lines; ++i) {
      std::memmove(scratch.data() + i * line, scratch.data() + i * padded_line, line);
    }
    return ByteSpan(scratch).first(size);
  }

  // Fills `out` or fails.
  Result<> run(ByteSpan coded, MutableByteSpan out) const {
    aec_stream stream = {};
    stream.bits_per_sample = sample_bits_;
    stream.block_size = p_.pixels_per_block;
    stream.rsi = static_cast<unsigned>(blocks_per_scanline());
    stream.flags = (p_.options & kSzipMsb ? AEC_DATA_MSB : 0U) |
                   (p_.options & kSzipNearestNeighbor ? AEC_DATA_PREPROCESS : 0U);
    stream.next_in = coded.data();
    stream.avail_in = coded.size();
    stream.next_out = out.data();
    stream.avail_out = out.size();
    const int begun = aec_decode_init(&stream);
    if (begun != AEC_OK) return bad(fmt::format("libaec refuses the parameters ({})", begun));
    const int status = aec_decode(&stream, AEC_FLUSH);
    const size_t missing = stream.avail_out;
    aec_decode_end(&stream);
    if (status != AEC_OK || missing > 0) {
      return bad(fmt::format("broken or truncated: {} of {} bytes decoded", out.size() - missing,
                             out.size()));
    }
    return {};
  }

  SzipParameters p_;
  uint32_t group_;
  uint32_t sample_bits_;
  uint32_t sample_size_;
};

}  // namespace

CodecResult make_hdf5_szip(const Params& params, size_t) {
  UPWELL_TRY(const auto values, params.cd_values(4));
  const SzipParameters p{values[0], values[1], values[2], values[3]};
  if (p.pixels_per_block < 2 || p.pixels_per_block > 32 || p.pixels_per_block % 2 != 0) {
    return params.bad(fmt::format("{} pixels per block", p.pixels_per_block));
  }
  // HDF5 allows 128 blocks a scan line; libaec 4096.
  if (p.pixels_per_scanline < p.pixels_per_block ||
      p.pixels_per_scanline > 4096 * p.pixels_per_block) {
    return params.bad(fmt::format("{} pixels per scan line", p.pixels_per_scanline));
  }
  const bool wide = p.bits_per_pixel == 32 || p.bits_per_pixel == 64;
  if (p.bits_per_pixel == 0 || (p.bits_per_pixel > 24 && !wide)) {
    return params.bad(fmt::format("{} bits per pixel", p.bits_per_pixel));
  }
  return std::make_shared<SzipCodec>(p);
}

}  // namespace upwell::codec
