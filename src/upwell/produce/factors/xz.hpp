#pragma once
// The .xz container (liblzma).

#include "base/bytes.hpp"
#include "base/result.hpp"

namespace upwell::produce {

/// Decompresses one or more concatenated .xz streams, checksums verified. kInvalidData when they
/// are broken or truncated; kResourceExhausted beyond `limit` bytes: nothing is allocated ahead of
/// the bytes that come.
Result<Bytes> decompress_xz(ByteSpan in, uint64_t limit = uint64_t{1} << 31);

}  // namespace upwell::produce
