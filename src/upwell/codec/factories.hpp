#pragma once
// One function a codec, listed in registry.cpp. `item_size`: bytes of one array element.

#include <memory>

#include "codec/codec.hpp"
#include "codec/params.hpp"

namespace upwell::codec {

using CodecResult = Result<std::shared_ptr<const Codec>>;

/// Hands its bytes on: for filters that say in their parameters that they do nothing.
std::shared_ptr<const Codec> make_no_op();

CodecResult make_zlib(const Params& params, size_t item_size);
CodecResult make_gzip(const Params& params, size_t item_size);
CodecResult make_deflate(const Params& params, size_t item_size);
CodecResult make_zstd(const Params& params, size_t item_size);
CodecResult make_lz4(const Params& params, size_t item_size);
CodecResult make_hdf5_lz4(const Params& params, size_t item_size);
CodecResult make_bz2(const Params& params, size_t item_size);
CodecResult make_lzf(const Params& params, size_t item_size);
CodecResult make_blosc(const Params& params, size_t item_size);
CodecResult make_shuffle(const Params& params, size_t item_size);
CodecResult make_hdf5_bitshuffle(const Params& params, size_t item_size);
CodecResult make_fletcher32(const Params& params, size_t item_size);
CodecResult make_crc32c(const Params& params, size_t item_size);
CodecResult make_crc32(const Params& params, size_t item_size);
CodecResult make_adler32(const Params& params, size_t item_size);
CodecResult make_hdf5_szip(const Params& params, size_t item_size);
CodecResult make_hdf5_nbit(const Params& params, size_t item_size);
CodecResult make_hdf5_scaleoffset(const Params& params, size_t item_size);
CodecResult make_delta(const Params& params, size_t item_size);
CodecResult make_fixedscaleoffset(const Params& params, size_t item_size);
CodecResult make_quantize(const Params& params, size_t item_size);
CodecResult make_bitround(const Params& params, size_t item_size);
CodecResult make_packbits(const Params& params, size_t item_size);
CodecResult make_astype(const Params& params, size_t item_size);
CodecResult make_transpose(const Params& params, size_t item_size);

}  // namespace upwell::codec
