#include "codec/hdf5_filters.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>

namespace upwell::codec {
namespace {

std::string cd_values_json(std::span<const uint32_t> cd_values) {
  return fmt::format("{{\"cd_values\":[{}]}}", fmt::join(cd_values, ","));
}

// Client data of filter 32001: revision, format, type size, chunk bytes, level, shuffle,
// compressor.
CodecSpec blosc_spec(std::span<const uint32_t> cd_values) {
  static constexpr const char* kCompressors[] = {"blosclz", "lz4",  "lz4hc",
                                                 "snappy",  "zlib", "zstd"};
  const uint32_t level = cd_values.size() > 4 ? std::min<uint32_t>(cd_values[4], 9) : 5;
  const uint32_t shuffle = cd_values.size() > 5 ? std::min<uint32_t>(cd_values[5], 2) : 1;
  const uint32_t compressor = cd_values.size() > 6 ? cd_values[6] : 0;
  const char* cname = compressor < std::size(kCompressors) ? kCompressors[compressor] : "blosclz";
  return {"blosc", fmt::format(R"({{"blocksize":0,"clevel":{},"cname":"{}","shuffle":{}}})", level,
                               cname, shuffle)};
}

}  // namespace

Result<CodecSpec> from_hdf5_filter(uint16_t id, std::span<const uint32_t> cd_values,
                                   uint32_t element_size, std::string_view name) {
  const auto first_or = [&](uint32_t fallback) {
    return cd_values.empty() ? fallback : cd_values[0];
  };
  const auto needs = [&](size_t count, CodecSpec spec) -> Result<CodecSpec> {
    if (cd_values.size() >= count) return spec;
    return fail(
        Code::kInvalidData,
        fmt::format("HDF5 filter {} \"{}\" has {} client data values, at least {} are needed", id,
                    name, cd_values.size(), count));
  };
  switch (id) {
    case 1:
      return CodecSpec{"zlib", fmt::format("{{\"level\":{}}}", std::min<uint32_t>(first_or(6), 9))};
    case 2:
      return CodecSpec{"shuffle", fmt::format("{{\"elementsize\":{}}}", first_or(element_size))};
    case 3:
      return CodecSpec{"fletcher32", "{}"};
    case 4:
      return needs(4, {"hdf5_szip", cd_values_json(cd_values)});
    case 5:
      return needs(5, {"hdf5_nbit", cd_values_json(cd_values)});
    case 6:
      return needs(8, {"hdf5_scaleoffset", cd_values_json(cd_values)});
    case 307:
      return CodecSpec{"bz2",
                       fmt::format("{{\"level\":{}}}", std::clamp<uint32_t>(first_or(9), 1, 9))};
    case 32000:
      return CodecSpec{"lzf", cd_values_json(cd_values)};
    case 32001:
      return blosc_spec(cd_values);
    case 32004:
      return CodecSpec{"hdf5_lz4", cd_values_json(cd_values)};
    case 32008:
      return needs(3, {"hdf5_bitshuffle", cd_values_json(cd_values)});
    case 32015: {
      const auto level = static_cast<int32_t>(first_or(3));  // may be negative
      return CodecSpec{"zstd", fmt::format("{{\"level\":{}}}", std::clamp(level, -131072, 22))};
    }
    default:
      return fail(Code::kUnsupported, fmt::format("HDF5 filter {} \"{}\" is not read", id, name));
  }
}

bool is_numcodecs(const CodecSpec& spec) {
  static constexpr std::string_view kIds[] = {
      "adler32",  "astype",   "bitround",         "blosc",      "bz2",  "crc32",
      "crc32c",   "delta",    "fixedscaleoffset", "fletcher32", "gzip", "lz4",
      "packbits", "quantize", "shuffle",          "zlib",       "zstd"};
  return std::find(std::begin(kIds), std::end(kIds), spec.id) != std::end(kIds);
}

}  // namespace upwell::codec
