// Blosc 1 buffers (numcodecs, Zarr v3, HDF5 filter 32001). Only the context calls: no state is
// shared and no threads are started.

#include <blosc.h>
#include <fmt/format.h>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

constexpr size_t kBloscSizesEnd = 16;

class BloscCodec : public BufferCodec {
 public:
  BloscCodec(std::string cname, int clevel, int shuffle, size_t block_size, size_t type_size)
      : BufferCodec("blosc"),
        cname_(std::move(cname)),
        clevel_(clevel),
        shuffle_(shuffle),
        block_size_(block_size),
        type_size_(type_size) {}

  Result<> encode(ByteSpan in, Bytes& out) const override {
    if (in.size() > BLOSC_MAX_BUFFERSIZE) {
      return fail(Code::kInvalidArgument, fmt::format("blosc: {} bytes are too many", in.size()));
    }
    out.resize(in.size() + BLOSC_MAX_OVERHEAD);
    const int written =
        blosc_compress_ctx(clevel_, shuffle_, type_size_, in.size(), in.data(), out.data(),
                           out.size(), cname_.c_str(), block_size_, /*numinternalthreads=*/1);
    if (written <= 0) {
      return fail(Code::kUnsupported, fmt::format("blosc: cannot compress with \"{}\"", cname_));
    }
    out.resize(static_cast<size_t>(written));
    return {};
  }

 protected:
  Result<size_t> decoded_size(ByteSpan in) const override {
    if (in.size() < kBloscSizesEnd) return bad(fmt::format("a header of {} bytes", in.size()));
    const size_t stored = load_le<uint32_t>(in.data() + 12);
    if (stored < kBloscSizesEnd || stored > in.size()) {
      return bad(fmt::format("claims {} bytes, has {}", stored, in.size()));
    }
    size_t size = 0;
    if (blosc_cbuffer_validate(in.data(), stored, &size) != 0) return bad("broken header");
    return size;
  }

  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    UPWELL_TRY(const size_t size, decoded_size(in));
    if (size > out.size()) return kDoesNotFit;
    if (size == 0) return 0;
    const int written = blosc_decompress_ctx(in.data(), out.data(), size, 1);
    if (written < 0 || static_cast<size_t>(written) != size) {
      return bad(fmt::format("broken buffer (status {})", written));
    }
    return size;
  }

 private:
  std::string cname_;
  int clevel_;
  int shuffle_;
  size_t block_size_;
  size_t type_size_;
};

// Numbers in Zarr v2, names in Zarr v3.
Result<int64_t> blosc_shuffle(const Params& params, size_t item_size) {
  if (params.has("shuffle") && !params.is_integer("shuffle")) {
    UPWELL_TRY(const std::string name, params.text("shuffle", std::nullopt));
    if (name == "noshuffle") return BLOSC_NOSHUFFLE;
    if (name == "shuffle") return BLOSC_SHUFFLE;
    if (name == "bitshuffle") return BLOSC_BITSHUFFLE;
    return params.bad(fmt::format("shuffle \"{}\"", name));
  }
  UPWELL_TRY(const int64_t number, params.integer("shuffle", BLOSC_SHUFFLE, -1, BLOSC_BITSHUFFLE));
  if (number == -1) return item_size == 1 ? BLOSC_BITSHUFFLE : BLOSC_SHUFFLE;
  return number;
}

}  // namespace

CodecResult make_blosc(const Params& params, size_t item_size) {
  UPWELL_TRY(std::string cname, params.text("cname", "lz4"));
  UPWELL_TRY(const int64_t clevel, params.integer("clevel", 5, 0, 9));
  UPWELL_TRY(const int64_t block_size, params.integer("blocksize", 0, 0, INT32_MAX));
  UPWELL_TRY(const int64_t type_size,
             params.integer("typesize", static_cast<int64_t>(item_size), 0, INT32_MAX));
  const bool fits = type_size >= 1 && type_size <= BLOSC_MAX_TYPESIZE;
  UPWELL_TRY(const int64_t shuffle, blosc_shuffle(params, static_cast<size_t>(type_size)));
  return std::make_shared<BloscCodec>(std::move(cname), static_cast<int>(clevel),
                                      static_cast<int>(shuffle), static_cast<size_t>(block_size),
                                      fits ? static_cast<size_t>(type_size) : 1);
}

}  // namespace upwell::codec
