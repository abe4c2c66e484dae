#include "codec/shuffle.hpp"

#include <fmt/format.h>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"
#include "codec/simd/kernels.hpp"

namespace upwell::codec {
namespace {

class ShuffleCodec : public BufferCodec {
 public:
  explicit ShuffleCodec(size_t item_size) : BufferCodec("shuffle"), item_size_(item_size) {}

  Result<> encode(ByteSpan in, Bytes& out) const override {
    out.resize(in.size());
    shuffle(in, item_size_, out.data());
    return {};
  }
  size_t encoded_bound(size_t decoded) const override { return decoded; }

 protected:
  Result<size_t> decoded_size(ByteSpan in) const override { return in.size(); }
  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    if (in.size() > out.size()) return kDoesNotFit;
    unshuffle(in, item_size_, out.data());
    return in.size();
  }

 private:
  size_t item_size_;
};

}  // namespace

void shuffle(ByteSpan in, size_t item_size, uint8_t* out) {
  const size_t count = item_size > 1 ? in.size() / item_size : 0;
  simd::shuffle(in.data(), count, item_size, out);
  const size_t done = count * item_size;
  if (done < in.size()) std::memcpy(out + done, in.data() + done, in.size() - done);
}

void unshuffle(ByteSpan in, size_t item_size, uint8_t* out) {
  const size_t count = item_size > 1 ? in.size() / item_size : 0;
  simd::unshuffle(in.data(), count, item_size, out);
  const size_t done = count * item_size;
  if (done < in.size()) std::memcpy(out + done, in.data() + done, in.size() - done);
}

CodecResult make_shuffle(const Params& params, size_t item_size) {
  UPWELL_TRY(const int64_t size,
             params.integer("elementsize", static_cast<int64_t>(item_size), 0, INT32_MAX));
  return std::make_shared<ShuffleCodec>(static_cast<size_t>(size));
}

}  // namespace upwell::codec
