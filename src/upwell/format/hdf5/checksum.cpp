#include "format/hdf5/checksum.hpp"

#include <fmt/core.h>

namespace upwell::format::hdf5 {
namespace {

void lookup3_mix(uint32_t& a, uint32_t& b, uint32_t& c) {
  a -= c, a ^= std::rotl(c, 4), c += b;
  b -= a, b ^= std::rotl(a, 6), a += c;
  c -= b, c ^= std::rotl(b, 8), b += a;
  a -= c, a ^= std::rotl(c, 16), c += b;
  b -= a, b ^= std::rotl(a, 19), a += c;
  c -= b, c ^= std::rotl(b, 4), b += a;
}

void lookup3_final(uint32_t& a, uint32_t& b, uint32_t& c) {
  c ^= b, c -= std::rotl(b, 14);
  a ^= c, a -= std::rotl(c, 11);
  b ^= a, b -= std::rotl(a, 25);
  c ^= b, c -= std::rotl(b, 16);
  a ^= c, a -= std::rotl(c, 4);
  b ^= a, b -= std::rotl(a, 14);
  c ^= b, c -= std::rotl(b, 24);
}

}  // namespace

uint32_t lookup3(ByteSpan bytes, uint32_t initial) {
  const uint8_t* p = bytes.data();
  size_t left = bytes.size();
  uint32_t a = 0xdeadbeefU + static_cast<uint32_t>(left) + initial;
  uint32_t b = a, c = a;
  if (left == 0) return c;
  for (; left > 12; left -= 12, p += 12) {
    a += load_le<uint32_t>(p);
    b += load_le<uint32_t>(p + 4);
    c += load_le<uint32_t>(p + 8);
    lookup3_mix(a, b, c);
  }
  uint8_t tail[12] = {};
  std::memcpy(tail, p, left);
  a += load_le<uint32_t>(tail);
  b += load_le<uint32_t>(tail + 4);
  c += load_le<uint32_t>(tail + 8);
  lookup3_final(a, b, c);
  return c;
}

Result<> verify_checksum(ByteSpan structure, std::string_view what, uint64_t offset) {
  if (structure.size() < 4) {
    return fail(Code::kInvalidData, fmt::format("{} at offset {} is cut short", what, offset));
  }
  size_t body = structure.size() - 4;
  uint32_t stored = load_le<uint32_t>(structure.data() + body);
  uint32_t computed = lookup3(structure.first(body));
  if (stored == computed) return {};
  return fail(Code::kInvalidData, fmt::format("checksum of {} at offset {} is {:08x}, not {:08x}",
                                              what, offset, computed, stored));
}

}  // namespace upwell::format::hdf5
