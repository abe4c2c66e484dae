#include "format/hdf5/cache_image.hpp"

#include "format/hdf5/checksum.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr std::string_view kCacheImage = "metadata cache image";

}  // namespace

Result<> read_cache_image(Window& window, const FileFacts& facts, uint64_t address,
                          uint64_t length) {
  UPWELL_TRY(ByteSpan block, span_at(window, facts, address, length, kCacheImage));
  uint64_t at = facts.base_address + address;
  UPWELL_CHECK(verify_checksum(block, kCacheImage, at));
  Cursor in(block.first(block.size() - 4), at, facts);
  UPWELL_CHECK(expect_signature(in, "MDCI", kCacheImage));
  uint8_t version = in.u8();
  in.skip(1);   // flags: of use to the cache alone
  in.length();  // of this block
  uint32_t count = in.u32();
  UPWELL_CHECK(in.check(kCacheImage));
  if (version != 0)
    return fail(Code::kUnsupported,
                fmt::format("{} at offset {} has version {}", kCacheImage, at, version));
  for (uint32_t i = 0; i < count; ++i) {
    in.skip(4);  // type, flags, ring, age
    in.skip(4);  // counts of entries that must be flushed before this one
    uint16_t parents = in.u16();
    in.skip(4);  // rank
    uint64_t entry = in.address();
    uint64_t size = in.length();
    in.skip(size_t{parents} * facts.offset_size);
    uint64_t image_at = in.file_offset();
    ByteSpan image = in.bytes(size);
    UPWELL_CHECK(in.check(kCacheImage));
    uint64_t end = window.object_size() - facts.base_address;
    if (entry > end || size > end - entry)
      return fail(Code::kInvalidData,
                  fmt::format("entry of the {} at offset {} belongs outside the file", kCacheImage,
                              image_at));
    window.overlay(facts.base_address + entry, SharedBytes(to_bytes(image)));
  }
  return {};
}

}  // namespace upwell::format::hdf5
