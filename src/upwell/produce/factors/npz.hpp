#pragma once
// .npz: a zip archive of .npy files (numpy.savez). Read whole from memory, members on demand;
// written without compression and aligned, so that its arrays can be used where the file is mapped.

#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.hpp"
#include "base/result.hpp"
#include "produce/factors/npy.hpp"

namespace upwell::produce {

/// Members of an archive, stored or deflated (APPNOTE.TXT 4.3). Holds the archive; thread-safe.
class NpzReader {
 public:
  /// kInvalidData for an archive that is broken or truncated, kUnsupported for encryption, other
  /// compression, zip64 and several disks.
  static Result<NpzReader> open(SharedBytes archive);

  bool has(std::string_view name) const { return find(name) != nullptr; }
  /// Bytes of a member, checked against its CRC-32: a part of the archive when it is stored, else
  /// decompressed, at most `limit` bytes. kNotFound when there is none of this name.
  Result<SharedBytes> member(std::string_view name, uint64_t limit = uint64_t{1} << 31) const;

 private:
  struct Entry {
    std::string name;
    bool deflated = false;
    uint32_t crc = 0;
    uint64_t offset = 0;  ///< of the local header
    uint64_t stored = 0;
    uint64_t size = 0;
  };
  const Entry* find(std::string_view name) const;
  Result<ByteSpan> stored_bytes(const Entry& entry) const;

  SharedBytes archive_;
  std::vector<Entry> entries_;
};

/// A member's array together with the bytes that it is a view of.
struct OwnedArray {
  SharedBytes owner;
  NpyArray array;
};
/// Array NAME, which is the member NAME.npy.
Result<OwnedArray> read_array(const NpzReader& reader, std::string_view name);

/// Builds an archive in memory. Equal members give equal bytes: there are no times in it.
class NpzWriter {
 public:
  /// The data of every member begins at a multiple of 64.
  void add(const std::string& name, ByteSpan head, ByteSpan body = {});
  /// Array NAME as the member NAME.npy; T: uint8_t, uint32_t, double.
  template <typename T>
  void add_array(const std::string& name, std::span<const T> values,
                 std::span<const uint64_t> shape);
  /// kUnsupported from 4 GiB on.
  Result<Bytes> finish() &&;

 private:
  Bytes out_;
  std::string directory_;
  uint16_t count_ = 0;
};

}  // namespace upwell::produce
