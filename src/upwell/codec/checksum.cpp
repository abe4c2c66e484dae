// Checksums beside the data: fletcher32 (HDF5 filter 3), crc32c (Zarr v3), crc32 and adler32
// (numcodecs).

#include <fmt/format.h>
#include <libdeflate.h>

#include <array>

#include "codec/buffer_codec.hpp"
#include "codec/factories.hpp"

namespace upwell::codec {
namespace {

constexpr size_t kChecksumSize = 4;

// Sums modulo 65535 of big-endian 16-bit words, an odd last byte as the high half of a word. A sum
// that is not zero but divisible is 65535, as folding the carries leaves it.
uint32_t fletcher32_sum(ByteSpan data) {
  constexpr size_t kBlock = 16;
  constexpr uint64_t kModulus = 65535;
  uint64_t sum1 = 0;
  uint64_t sum2 = 0;
  const auto reduce = [](uint64_t sum) {
    const uint64_t rest = sum % kModulus;
    return rest == 0 && sum != 0 ? kModulus : rest;
  };
  const uint8_t* p = data.data();
  size_t words = data.size() / 2;
  while (words >= kBlock) {
    // 64 bits hold 4096 blocks without a carry: 2^12 * 16 * 2^32 at most.
    const size_t blocks = std::min<size_t>(words / kBlock, 4096);
    for (size_t block = 0; block < blocks; ++block, p += 2 * kBlock) {
      uint32_t plain = 0;
      uint32_t weighted = 0;
      for (size_t i = 0; i < kBlock; ++i) {
        const uint32_t word = static_cast<uint32_t>(p[2 * i] << 8 | p[2 * i + 1]);
        plain += word;
        weighted += word * static_cast<uint32_t>(kBlock - i);
      }
      sum2 += kBlock * sum1 + weighted;
      sum1 += plain;
    }
    words -= blocks * kBlock;
    sum1 = reduce(sum1);
    sum2 = reduce(sum2);
  }
  for (; words > 0; --words, p += 2) {
    sum1 += static_cast<uint32_t>(p[0] << 8 | p[1]);
    sum2 += sum1;
  }
  if (data.size() % 2 != 0) {
    sum1 += static_cast<uint32_t>(p[0] << 8);
    sum2 += sum1;
  }
  return static_cast<uint32_t>(reduce(sum2) << 16 | reduce(sum1));
}

constexpr auto kCrc32cTables = [] {
  std::array<std::array<uint32_t, 256>, 8> tables{};
  for (uint32_t i = 0; i < 256; ++i) {
    uint32_t crc = i;
    for (int bit = 0; bit < 8; ++bit) crc = (crc >> 1) ^ ((crc & 1U) ? 0x82f63b78U : 0U);
    tables[0][i] = crc;
  }
  for (size_t t = 1; t < 8; ++t) {
    for (size_t i = 0; i < 256; ++i) {
      tables[t][i] = (tables[t - 1][i] >> 8) ^ tables[0][tables[t - 1][i] & 0xffU];
    }
  }
  return tables;
}();

uint32_t crc32c_by_table(uint32_t crc, const uint8_t* p, size_t size) {
  for (; size >= 8; p += 8, size -= 8) {
    const uint64_t word = load_le<uint64_t>(p) ^ crc;
    crc = 0;
    for (size_t i = 0; i < 8; ++i) crc ^= kCrc32cTables[7 - i][word >> (8 * i) & 0xffU];
  }
  for (; size > 0; ++p, --size) crc = (crc >> 8) ^ kCrc32cTables[0][(crc ^ *p) & 0xffU];
  return crc;
}

#if defined(__x86_64__)
__attribute__((target("sse4.2"))) uint32_t crc32c_by_instruction(uint32_t crc, const uint8_t* p,
                                                                 size_t size) {
  uint64_t wide = crc;
  for (; size >= 8; p += 8, size -= 8) wide = __builtin_ia32_crc32di(wide, load_le<uint64_t>(p));
  crc = static_cast<uint32_t>(wide);
  for (; size > 0; ++p, --size) crc = __builtin_ia32_crc32qi(crc, *p);
  return crc;
}
#endif

uint32_t crc32c_sum(ByteSpan data) {
#if defined(__x86_64__)
  static const bool has_instruction = __builtin_cpu_supports("sse4.2");
  if (has_instruction) return ~crc32c_by_instruction(~0U, data.data(), data.size());
#endif
  return ~crc32c_by_table(~0U, data.data(), data.size());
}

uint32_t crc32_sum(ByteSpan data) { return libdeflate_crc32(0, data.data(), data.size()); }
uint32_t adler32_sum(ByteSpan data) { return libdeflate_adler32(1, data.data(), data.size()); }

// Early libhdf5 on little-endian machines swapped the bytes of each half; libhdf5 accepts both.
uint32_t swap_halves(uint32_t sum) { return (sum & 0x00ff00ffU) << 8 | (sum >> 8 & 0x00ff00ffU); }

struct ChecksumKind {
  const char* name;
  uint32_t (*sum)(ByteSpan);
  bool accepts_swapped;
};
constexpr ChecksumKind kFletcher32{"fletcher32", fletcher32_sum, true};
constexpr ChecksumKind kCrc32c{"crc32c", crc32c_sum, false};
constexpr ChecksumKind kCrc32{"crc32", crc32_sum, false};
constexpr ChecksumKind kAdler32{"adler32", adler32_sum, false};

class ChecksumCodec : public Codec {
 public:
  ChecksumCodec(const ChecksumKind& kind, bool at_start) : kind_(kind), at_start_(at_start) {}

  Result<ByteSpan> decode_view(ByteSpan in, size_t limit, Bytes&) const override {
    if (in.size() < kChecksumSize) {
      return fail(Code::kInvalidData,
                  fmt::format("{}: {} bytes cannot hold a checksum", kind_.name, in.size()));
    }
    const size_t size = in.size() - kChecksumSize;
    if (size > limit) {
      return fail(Code::kInvalidData,
                  fmt::format("{}: decodes to more than {} bytes", kind_.name, limit));
    }
    const ByteSpan data = at_start_ ? in.subspan(kChecksumSize) : in.first(size);
    const auto stored = load_le<uint32_t>(at_start_ ? in.data() : in.data() + size);
    const uint32_t computed = kind_.sum(data);
    if (stored != computed && !(kind_.accepts_swapped && stored == swap_halves(computed))) {
      return fail(Code::kInvalidData,
                  fmt::format("{}: checksum mismatch: stored {:08x}, computed {:08x}", kind_.name,
                              stored, computed));
    }
    return data;
  }

  Result<> decode(ByteSpan in, size_t limit, Bytes& out) const override {
    UPWELL_TRY(const ByteSpan data, decode_view(in, limit, out));
    out.assign(data.begin(), data.end());
    return {};
  }

  Result<> encode(ByteSpan in, Bytes& out) const override {
    out.resize(in.size() + kChecksumSize);
    const size_t at = at_start_ ? kChecksumSize : 0;
    if (!in.empty()) std::memcpy(out.data() + at, in.data(), in.size());
    store_le<uint32_t>(out.data() + (at_start_ ? 0 : in.size()), kind_.sum(in));
    return {};
  }

  size_t encoded_bound(size_t decoded) const override {
    return add_saturated(decoded, kChecksumSize);
  }

 private:
  ChecksumKind kind_;
  bool at_start_;
};

CodecResult make_checksum(const Params& params, const ChecksumKind& kind, bool start_by_default) {
  UPWELL_TRY(const std::string location,
             params.text("location", start_by_default ? "start" : "end"));
  if (location != "start" && location != "end") {
    return params.bad("\"location\" is neither \"start\" nor \"end\"");
  }
  return std::make_shared<ChecksumCodec>(kind, location == "start");
}

}  // namespace

CodecResult make_fletcher32(const Params&, size_t) {
  return std::make_shared<ChecksumCodec>(kFletcher32, /*at_start=*/false);
}
CodecResult make_crc32c(const Params& params, size_t) {
  return make_checksum(params, kCrc32c, /*start_by_default=*/false);
}
CodecResult make_crc32(const Params& params, size_t) {
  return make_checksum(params, kCrc32, /*start_by_default=*/true);
}
CodecResult make_adler32(const Params& params, size_t) {
  return make_checksum(params, kAdler32, /*start_by_default=*/true);
}

}  // namespace upwell::codec
