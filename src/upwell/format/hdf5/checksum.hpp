#pragma once
// The checksum of HDF5 metadata: Bob Jenkins' lookup3, little-endian variant (format specification,
// "checksum" fields of superblock 2, object headers 2, and of every structure with a signature
// since 1.8).

#include <string_view>

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::format::hdf5 {

/// hashlittle(bytes, initial) of lookup3.
uint32_t lookup3(ByteSpan bytes, uint32_t initial = 0);

/// The last four bytes of `structure` hold the checksum of all before them. kInvalidData naming
/// `what` and `offset` (of the structure in the object) when they do not.
Result<> verify_checksum(ByteSpan structure, std::string_view what, uint64_t offset);

}  // namespace upwell::format::hdf5
