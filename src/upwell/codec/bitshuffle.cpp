// HDF5 filter 32008: bits regrouped by their place in the element, block by block, bare or with
// every block compressed by LZ4 or Zstandard.

#include <fmt/format.h>
#include <lz4.h>
#include <zstd.h>

#include <climits>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

enum class BlockCompressor { kNone, kLz4, kZstd };

// Bit j of byte k goes to bit k of byte j.
uint64_t transpose_bits_8x8(uint64_t x) {
  uint64_t t = (x ^ (x >> 7)) & 0x00aa00aa00aa00aaULL;
  x ^= t ^ (t << 7);
  t = (x ^ (x >> 14)) & 0x0000cccc0000ccccULL;
  x ^= t ^ (t << 14);
  t = (x ^ (x >> 28)) & 0x00000000f0f0f0f0ULL;
  return x ^ t ^ (t << 28);
}

// `count` elements, a multiple of 8. Row r of the input holds bit r of every element, element 0 in
// the lowest bit of the first byte.
void unshuffle_bits(const uint8_t* in, size_t count, size_t item_size, uint8_t* out) {
  const size_t row = count / 8;
  for (size_t byte = 0; byte < item_size; ++byte) {
    const uint8_t* rows = in + byte * 8 * row;
    for (size_t group = 0; group < row; ++group) {
      uint64_t bits = 0;
      for (size_t k = 0; k < 8; ++k)
        bits |= static_cast<uint64_t>(rows[k * row + group]) << (8 * k);
      bits = transpose_bits_8x8(bits);
      uint8_t* target = out + group * 8 * item_size + byte;
      for (size_t k = 0; k < 8; ++k) target[k * item_size] = static_cast<uint8_t>(bits >> (8 * k));
    }
  }
}

// The block size that writers take when none is given: 8 KiB worth, at least 128 elements.
size_t default_block_items(size_t item_size) {
  return std::max<size_t>(8192 / item_size / 8 * 8, 128);
}

class BitshuffleCodec : public BufferCodec {
 public:
  BitshuffleCodec(size_t item_size, size_t block_items, BlockCompressor compressor)
      : BufferCodec("hdf5_bitshuffle"),
        item_size_(item_size),
        block_items_(block_items),
        compressor_(compressor) {}

 protected:
  static constexpr size_t kHeader = 12;

  Result<size_t> decoded_size(ByteSpan in) const override {
    if (compressor_ == BlockCompressor::kNone) return in.size();
    if (in.size() < kHeader) return bad(fmt::format("a header of {} bytes", in.size()));
    return load_be<uint64_t>(in.data());
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    UPWELL_TRY(const size_t size, decoded_size(in));
    if (size > out.size()) return kDoesNotFit;
    if (size % item_size_ != 0) {
      return bad(fmt::format("{} bytes are no whole elements of {} bytes", size, item_size_));
    }
    size_t block_items = block_items_;
    if (compressor_ != BlockCompressor::kNone) {
      block_items = load_be<uint32_t>(in.data() + 8) / item_size_;
      in = in.subspan(kHeader);
    }
    if (block_items == 0 || block_items % 8 != 0) {
      return bad(fmt::format("blocks of {} elements", block_items));
    }
    UPWELL_CHECK(decode_blocks(in, out.first(size), block_items));
    return size;
  }

 private:
  // Whole blocks, then one of the remaining multiple of 8 elements, then the rest as it is.
  Result<> decode_blocks(ByteSpan in, MutableByteSpan out, size_t block_items) const {
    const size_t count = out.size() / item_size_;
    Bytes scratch;
    size_t at = 0;
    size_t done = 0;
    while (count - done >= 8) {
      const size_t items = std::min(block_items, (count - done) / 8 * 8);
      const size_t bytes = items * item_size_;
      UPWELL_TRY(const ByteSpan block, next_block(in, at, bytes, scratch));
      unshuffle_bits(block.data(), items, item_size_, out.data() + done * item_size_);
      done += items;
    }
    const size_t rest = (count - done) * item_size_;
    if (rest > in.size() - at) return bad(fmt::format("truncated at byte {}", at));
    if (rest > 0) std::memcpy(out.data() + done * item_size_, in.data() + at, rest);
    return {};
  }

  // The `bytes` shuffled bytes of the block at `at`, which moves behind it.
  Result<ByteSpan> next_block(ByteSpan in, size_t& at, size_t bytes, Bytes& scratch) const {
    size_t stored = bytes;
    if (compressor_ != BlockCompressor::kNone) {
      if (in.size() - at < 4) return bad(fmt::format("truncated at byte {}", at));
      stored = load_be<uint32_t>(in.data() + at);
      at += 4;
    }
    if (stored > in.size() - at) {
      return bad(fmt::format("a block of {} bytes at byte {} goes beyond the end", stored, at));
    }
    const ByteSpan block = in.subspan(at, stored);
    at += stored;
    if (compressor_ == BlockCompressor::kNone) return block;
    scratch.resize(bytes);
    if (!decompress(block, scratch))
      return bad(fmt::format("broken block at byte {}", at - stored));
    return ByteSpan(scratch);
  }

  bool decompress(ByteSpan in, MutableByteSpan out) const {
    if (compressor_ == BlockCompressor::kZstd) {
      return ZSTD_decompress(out.data(), out.size(), in.data(), in.size()) == out.size();
    }
    if (in.size() > INT_MAX || out.size() > INT_MAX) return false;
    const auto size = static_cast<int>(out.size());
    return LZ4_decompress_safe(reinterpret_cast<const char*>(in.data()),
                               reinterpret_cast<char*>(out.data()), static_cast<int>(in.size()),
                               size) == size;
  }

  size_t item_size_;
  size_t block_items_;
  BlockCompressor compressor_;
};

}  // namespace

CodecResult make_hdf5_bitshuffle(const Params& params, size_t) {
  UPWELL_TRY(const auto values, params.cd_values(3));
  const size_t item_size = values[2];
  if (item_size == 0) return params.bad("elements of no bytes");
  size_t block_items = values.size() > 3 ? values[3] : 0;
  if (block_items == 0) block_items = default_block_items(item_size);
  const uint32_t mode = values.size() > 4 ? values[4] : 0;
  if (mode != 0 && mode != 2 && mode != 3) return params.bad(fmt::format("compression {}", mode));
  const auto compressor = mode == 2   ? BlockCompressor::kLz4
                          : mode == 3 ? BlockCompressor::kZstd
                                      : BlockCompressor::kNone;
  return std::make_shared<BitshuffleCodec>(item_size, block_items, compressor);
}

}  // namespace upwell::codec
