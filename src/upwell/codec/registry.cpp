// The one list of codecs: adding one is a file and a line here.

#include <fmt/format.h>

#include <algorithm>

#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

struct RegisteredCodec {
  std::string_view id;
  CodecResult (*make)(const Params& params, size_t item_size);
};

// Sorted by id.
constexpr RegisteredCodec kCodecs[] = {
    {"adler32", make_adler32},
    {"astype", make_astype},
    {"bitround", make_bitround},
    {"blosc", make_blosc},
    {"bz2", make_bz2},
    {"crc32", make_crc32},
    {"crc32c", make_crc32c},
    {"deflate", make_deflate},
    {"delta", make_delta},
    {"fixedscaleoffset", make_fixedscaleoffset},
    {"fletcher32", make_fletcher32},
    {"gzip", make_gzip},
    {"hdf5_bitshuffle", make_hdf5_bitshuffle},
    {"hdf5_lz4", make_hdf5_lz4},
    {"hdf5_nbit", make_hdf5_nbit},
    {"hdf5_scaleoffset", make_hdf5_scaleoffset},
    {"hdf5_szip", make_hdf5_szip},
    {"lz4", make_lz4},
    {"lzf", make_lzf},
    {"packbits", make_packbits},
    {"quantize", make_quantize},
    {"shuffle", make_shuffle},
    {"transpose", make_transpose},
    {"zlib", make_zlib},
    {"zstd", make_zstd},
};

}  // namespace

Result<std::shared_ptr<const Codec>> make_codec(const CodecSpec& spec, size_t item_size) {
  const auto* end = std::end(kCodecs);
  const auto* found = std::find_if(std::begin(kCodecs), end,
                                   [&](const RegisteredCodec& c) { return c.id == spec.id; });
  if (found == end) return fail(Code::kUnsupported, fmt::format("unknown codec \"{}\"", spec.id));
  UPWELL_TRY(const Params params, Params::parse(spec.id, spec.config));
  return found->make(params, item_size);
}

std::vector<std::string> codec_ids() {
  std::vector<std::string> ids;
  for (const RegisteredCodec& codec : kCodecs) ids.emplace_back(codec.id);
  return ids;
}

}  // namespace upwell::codec
