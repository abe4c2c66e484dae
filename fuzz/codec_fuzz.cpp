// Codecs on foreign bytes: the first byte picks a codec and its parameters, the second the size of
// the chunk; the rest is what was stored.

#include <cstdlib>

#include "codec/codec.hpp"

namespace {

using upwell::codec::CodecSpec;

const std::vector<std::vector<CodecSpec>>& pipelines() {
  static const std::vector<std::vector<CodecSpec>> all = {
      {{"zlib", "{}"}},
      {{"gzip", "{}"}},
      {{"deflate", "{}"}},
      {{"zstd", "{}"}},
      {{"lz4", "{}"}},
      {{"hdf5_lz4", "{}"}},
      {{"bz2", "{}"}},
      {{"lzf", "{}"}},
      {{"blosc", "{}"}},
      {{"hdf5_bitshuffle", R"({"cd_values":[0,4,4,0,0]})"}},
      {{"hdf5_bitshuffle", R"({"cd_values":[0,4,2,0,2]})"}},
      {{"hdf5_bitshuffle", R"({"cd_values":[0,4,8,64,3]})"}},
      {{"hdf5_szip", R"({"cd_values":[52,16,16,100]})"}},
      {{"hdf5_szip", R"({"cd_values":[36,32,8,64]})"}},
      {{"hdf5_szip", R"({"cd_values":[12,8,32,20]})"}},
      {{"hdf5_szip", R"({"cd_values":[44,10,64,128]})"}},
      {{"hdf5_nbit", R"({"cd_values":[8,0,100,1,4,0,13,5]})"}},
      {{"hdf5_nbit", R"({"cd_values":[17,0,50,3,3,2,0,2,2,1,1,0,4,0,2,4,1]})"}},
      {{"hdf5_nbit", R"({"cd_values":[8,0,20,1,16,1,79,3]})"}},
      {{"hdf5_scaleoffset", R"({"cd_values":[2,0,100,0,2,1,0,1,65535]})"}},
      {{"hdf5_scaleoffset", R"({"cd_values":[0,2,64,1,8,0,1,1,0,0]})"}},
      {{"shuffle", R"({"elementsize":8})"}, {"zlib", "{}"}, {"fletcher32", "{}"}},
      {{"crc32c", "{}"}},
      {{"delta", R"({"astype":"<i2","dtype":"<i4"})"}},
      {{"delta", R"({"astype":"<f2","dtype":"<f8"})"}},
      {{"fixedscaleoffset", R"({"astype":"<f4","dtype":"<u8","offset":1,"scale":0.1})"}},
      {{"astype", R"({"decode_dtype":"<i1","encode_dtype":">f8"})"}},
      {{"astype", R"({"decode_dtype":"<f2","encode_dtype":"<f8"})"}},
      {{"packbits", "{}"}},
      {{"transpose", R"({"itemsize":2,"order":[1,0],"shape":[5,10]})"}},
  };
  return all;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const upwell::ByteSpan stored(data + 2, size - 2);
  (void)upwell::codec::split_vlen(stored, 1000);
  const auto& specs = pipelines()[data[0] % pipelines().size()];
  const auto pipeline = upwell::codec::Pipeline::make(specs, 4);
  if (!pipeline) std::abort();  // the parameters above are good
  constexpr size_t kSizes[] = {0, 1, 50, 100, 150, 200, 256, 300, 320, 400, 512, 1000, 4096, 65536};
  upwell::Bytes out(kSizes[data[1] % std::size(kSizes)]);
  const uint32_t mask = data[1] >> 6;
  (void)pipeline->decode(stored, mask, out);
  const auto unsized = pipeline->decode_unsized(stored, mask, out.size());
  if (unsized && unsized->size() > out.size()) std::abort();
  return 0;
}
