#pragma once
// Digests of bytes, by OpenSSL.

#include <string>

#include "base/bytes.hpp"

namespace upwell::io {

enum class DigestKind { kMd5, kSha1, kSha256 };

/// 16, 20 or 32 bytes.
Bytes digest_of(DigestKind kind, ByteSpan bytes);
/// The same in lower-case hex.
std::string hex_digest(DigestKind kind, ByteSpan bytes);

}  // namespace upwell::io
