// bzip2 streams (numcodecs, HDF5 filter 307), one or more in a row.

#include <bzlib.h>
#include <fmt/format.h>

#include <climits>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

struct BzDecoder {
  bz_stream stream = {};
  bool open = false;
  ~BzDecoder() {
    if (open) BZ2_bzDecompressEnd(&stream);
  }
};

unsigned bz_piece(size_t size) {
  return static_cast<unsigned>(std::min<size_t>(size, UINT_MAX / 2));
}

class Bz2Codec : public BufferCodec {
 public:
  explicit Bz2Codec(int level) : BufferCodec("bz2"), level_(level) {}

  Result<> encode(ByteSpan in, Bytes& out) const override {
    const size_t bound = in.size() + in.size() / 100 + 600;  // bzlib.h's own promise
    if (bound > INT_MAX) {
      return fail(Code::kInvalidArgument, fmt::format("bz2: {} bytes are too many", in.size()));
    }
    out.resize(bound);
    auto written = static_cast<unsigned>(bound);
    char nothing = 0;
    char* source =
        in.empty() ? &nothing : const_cast<char*>(reinterpret_cast<const char*>(in.data()));
    const int status =
        BZ2_bzBuffToBuffCompress(reinterpret_cast<char*>(out.data()), &written, source,
                                 static_cast<unsigned>(in.size()), level_, 0, 0);
    if (status != BZ_OK) return fail(Code::kInternal, fmt::format("bz2: status {}", status));
    out.resize(written);
    return {};
  }

 protected:
  Result<size_t> decode_to(ByteSpan in, MutableByteSpan out) const override {
    size_t read = 0;
    size_t written = 0;
    do {
      UPWELL_TRY(const bool fits, decode_stream(in, read, out, written));
      if (!fits) return kDoesNotFit;
      // Anything but another stream after the end is padding.
    } while (in.size() - read >= 3 && as_text(in.subspan(read, 3)) == "BZh");
    return written;
  }

 private:
  // One stream from in[read...] to out[written...]; false when it does not fit.
  Result<bool> decode_stream(ByteSpan in, size_t& read, MutableByteSpan out,
                             size_t& written) const {
    BzDecoder decoder;
    if (BZ2_bzDecompressInit(&decoder.stream, 0, 0) != BZ_OK) {
      return fail(Code::kResourceExhausted, "no memory for a decompressor");
    }
    decoder.open = true;
    bz_stream& stream = decoder.stream;
    while (true) {
      // Once `out` is full, one spare byte tells the end of the stream from more data.
      char spare = 0;
      const bool full = written == out.size();
      const unsigned in_piece = bz_piece(in.size() - read);
      const unsigned out_piece = full ? 1 : bz_piece(out.size() - written);
      stream.next_in = const_cast<char*>(reinterpret_cast<const char*>(in.data() + read));
      stream.avail_in = in_piece;
      stream.next_out = full ? &spare : reinterpret_cast<char*>(out.data() + written);
      stream.avail_out = out_piece;
      const int status = BZ2_bzDecompress(&stream);
      const size_t consumed = in_piece - stream.avail_in;
      const size_t produced = out_piece - stream.avail_out;
      read += consumed;
      if (full && produced > 0) return false;
      written += produced;
      if (status == BZ_STREAM_END) return true;
      if (status != BZ_OK) return bad(fmt::format("broken stream at byte {}", read));
      if (consumed == 0 && produced == 0) return bad(fmt::format("truncated at byte {}", read));
    }
  }

  int level_;
};

}  // namespace

CodecResult make_bz2(const Params& params, size_t) {
  UPWELL_TRY(const int64_t level, params.integer("level", 1, 1, 9));
  return std::make_shared<Bz2Codec>(static_cast<int>(level));
}

}  // namespace upwell::codec
