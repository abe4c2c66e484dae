// LZF, HDF5 filter 32000. A byte below 32 starts a run of literals; any other starts a copy of 3 or
// more bytes from up to 8 KiB back.

#include <fmt/format.h>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

class LzfCodec : public BufferCodec {
 public:
  LzfCodec() : BufferCodec("lzf") {}

 protected:
  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    size_t at = 0;
    size_t written = 0;
    while (at < in.size()) {
      const size_t control = in[at++];
      if (control < 32) {
        const size_t run = control + 1;
        if (run > in.size() - at) return bad(fmt::format("truncated at byte {}", at));
        if (run > out.size() - written) return kDoesNotFit;
        std::memcpy(out.data() + written, in.data() + at, run);
        at += run;
        written += run;
        continue;
      }
      size_t length = control >> 5;
      const size_t length_bytes = length == 7 ? 1 : 0;
      if (in.size() - at < length_bytes + 1) return bad(fmt::format("truncated at byte {}", at));
      if (length_bytes == 1) length += in[at++];
      length += 2;
      const size_t distance = ((control & 0x1fU) << 8U | in[at++]) + 1;
      if (distance > written)
        return bad(fmt::format("a copy from before the start at byte {}", at));
      if (length > out.size() - written) return kDoesNotFit;
      copy_back(out.data() + written, distance, length);
      written += length;
    }
    return written;
  }

 private:
  static void copy_back(uint8_t* to, size_t distance, size_t length) {
    const uint8_t* from = to - distance;
    if (distance >= length) {
      std::memcpy(to, from, length);
    } else {
      // The copy repeats what it has just written.
      for (size_t i = 0; i < length; ++i) to[i] = from[i];
    }
  }
};

}  // namespace

CodecResult make_lzf(const Params&, size_t) { return std::make_shared<LzfCodec>(); }

}  // namespace upwell::codec
