#include "format/hdf5/superblock.hpp"

#include <algorithm>
#include <array>

#include "format/hdf5/checksum.hpp"
#include "format/hdf5/hdf5.hpp"

namespace upwell::format::hdf5 {
namespace {

constexpr std::array<uint8_t, 8> kSignature = {0x89, 'H', 'D', 'F', '\r', '\n', 0x1a, '\n'};

Result<> check_sizes(const FileFacts& facts, uint64_t offset) {
  auto good = [](uint8_t size) { return size == 2 || size == 4 || size == 8; };
  if (good(facts.offset_size) && good(facts.length_size)) return {};
  auto wide = [](uint8_t size) { return size == 16 || size == 32; };
  if (wide(facts.offset_size) || wide(facts.length_size))
    return fail(Code::kUnsupported,
                fmt::format("superblock at offset {}: addresses of {} and lengths of {} bytes",
                            offset, facts.offset_size, facts.length_size));
  return fail(Code::kInvalidData,
              fmt::format("superblock at offset {}: addresses of {} and lengths of {} bytes make "
                          "no sense",
                          offset, facts.offset_size, facts.length_size));
}

/// Files of the multi and family drivers are several objects that make one address space.
Result<> check_driver(Window& window, const FileFacts& facts, uint64_t address) {
  if (address == kUndefined) return {};
  uint64_t at = facts.base_address + address;
  UPWELL_TRY(ByteSpan block, window.get(at, 16));
  auto name = as_text(block.subspan(8, 8));
  if (name == "NCSAmult" || name.starts_with("NCSAfami"))
    return fail(Code::kUnsupported,
                fmt::format("the file is split over several objects (driver {}, offset {})",
                            name == "NCSAmult" ? "multi" : "family", at));
  return {};
}

Result<> check_end(const Window& window, uint64_t end) {
  if (end == kUndefined || end <= window.object_size()) return {};
  return fail(Code::kInvalidData,
              fmt::format("the file is truncated: its superblock says {} bytes, the object has {}",
                          end, window.object_size()));
}

Result<Superblock> read_version_0(Window& window, uint64_t at, uint8_t version) {
  Superblock sb;
  sb.version = version;
  UPWELL_TRY(ByteSpan sizes, window.get(at, 16));
  sb.facts.offset_size = sizes[13];
  sb.facts.length_size = sizes[14];
  UPWELL_CHECK(check_sizes(sb.facts, at));
  size_t length = 24 + (version == 1 ? 4 : 0) + 4 * sb.facts.offset_size + sb.facts.length_size +
                  sb.facts.offset_size + 24;
  UPWELL_TRY(ByteSpan bytes, window.get(at, length));
  Cursor in(bytes, at, sb.facts);
  in.skip(16);
  sb.facts.group_leaf_k = in.u16();
  sb.facts.group_internal_k = in.u16();
  in.skip(4);  // consistency flags: a file that was not closed may still be whole
  if (version == 1) {
    sb.facts.chunk_internal_k = in.u16();
    in.skip(2);
  }
  uint64_t base = in.address();
  in.address();  // free space
  uint64_t end = in.address();
  uint64_t driver = in.address();
  in.length();  // name of the root in no heap
  sb.root = in.address();
  UPWELL_CHECK(in.check("superblock"));
  // As libhdf5 does, the place where the superblock is found counts, not where it says it is: a
  // user block may have been added or taken away since.
  if (end != kUndefined && base != kUndefined && at < base) end -= std::min(end, base - at);
  sb.facts.base_address = at;
  UPWELL_CHECK(check_driver(window, sb.facts, driver));
  UPWELL_CHECK(check_end(window, end));
  sb.facts.end_address = end == kUndefined ? window.object_size() - at : end - std::min(end, at);
  return sb;
}

Result<Superblock> read_version_2(Window& window, uint64_t at, uint8_t version) {
  Superblock sb;
  sb.version = version;
  UPWELL_TRY(ByteSpan sizes, window.get(at, 12));
  sb.facts.offset_size = sizes[9];
  sb.facts.length_size = sizes[10];
  UPWELL_CHECK(check_sizes(sb.facts, at));
  UPWELL_TRY(ByteSpan bytes, window.get(at, 12 + 4 * sb.facts.offset_size + 4));
  UPWELL_CHECK(verify_checksum(bytes, "superblock", at));
  Cursor in(bytes, at, sb.facts);
  in.skip(12);
  uint64_t base = in.address();
  sb.extension = in.address();
  uint64_t end = in.address();
  sb.root = in.address();
  UPWELL_CHECK(in.check("superblock"));
  if (end != kUndefined && base != kUndefined && at < base) end -= std::min(end, base - at);
  sb.facts.base_address = at;
  UPWELL_CHECK(check_end(window, end));
  sb.facts.end_address = end == kUndefined ? window.object_size() - at : end - std::min(end, at);
  return sb;
}

}  // namespace

std::vector<uint64_t> signature_offsets(uint64_t object_size) {
  std::vector<uint64_t> offsets;
  for (uint64_t at = 0; object_size >= 8 && at <= object_size - 8; at = at ? at * 2 : 512) {
    offsets.push_back(at);
    if (at >> 62) break;
  }
  return offsets;
}

std::optional<uint64_t> find_signature(Window& window) {
  for (uint64_t at : signature_offsets(window.object_size())) {
    if (!window.has(at, 8)) continue;
    auto bytes = window.get(at, 8);
    if (bytes && std::equal(bytes->begin(), bytes->end(), kSignature.begin())) return at;
  }
  return std::nullopt;
}

Result<Superblock> read_superblock(Window& window) {
  auto at = find_signature(window);
  if (!at) return fail(Code::kInvalidData, "no HDF5 signature");
  UPWELL_TRY(ByteSpan front, window.get(*at, 9, 128));
  uint8_t version = front[8];
  if (version <= 1) return read_version_0(window, *at, version);
  if (version <= 3) return read_version_2(window, *at, version);
  return fail(Code::kUnsupported,
              fmt::format("superblock at offset {} has version {}", *at, version));
}

}  // namespace upwell::format::hdf5
