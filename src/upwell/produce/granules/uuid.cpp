#include "produce/granules/uuid.hpp"

#include <fmt/format.h>

#include <array>
#include <random>

#include "io/digest.hpp"

namespace upwell::produce {
namespace {

/// 6ba7b811-9dad-11d1-80b4-00c04fd430c8
constexpr std::array<uint8_t, 16> kUrlNamespace{0x6b, 0xa7, 0xb8, 0x11, 0x9d, 0xad, 0x11, 0xd1,
                                                0x80, 0xb4, 0x00, 0xc0, 0x4f, 0xd4, 0x30, 0xc8};

/// The first 16 bytes, with version and variant put in.
std::string uuid_text(Bytes bytes, uint8_t version) {
  bytes[6] = static_cast<uint8_t>((bytes[6] & 0x0f) | (version << 4));
  bytes[8] = static_cast<uint8_t>((bytes[8] & 0x3f) | 0x80);
  std::string text;
  for (size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", bytes[i]);
  }
  return text;
}

}  // namespace

std::string random_uuid() {
  std::random_device random;
  Bytes bytes(16);
  for (size_t i = 0; i < bytes.size(); i += 4) store_le(bytes.data() + i, uint32_t{random()});
  return uuid_text(std::move(bytes), 4);
}

std::string name_uuid(std::string_view name) {
  Bytes bytes(kUrlNamespace.begin(), kUrlNamespace.end());
  const ByteSpan text = as_bytes(name);
  bytes.insert(bytes.end(), text.begin(), text.end());
  return uuid_text(io::digest_of(io::DigestKind::kSha1, bytes), 5);
}

}  // namespace upwell::produce
