#pragma once
// Digests of bytes, by OpenSSL.

#include <string>

#include "base/bytes.hpp"

namespace upwell::io {

enum class DigestKind { kMd5, kSha1, kSha256, kSha384, kSha512 };

/// 16, 20, 32, 48 or 64 bytes.
Bytes digest_of(DigestKind kind, ByteSpan bytes);
/// The same in lower-case hex.
std::string hex_digest(DigestKind kind, ByteSpan bytes);

}  // namespace upwell::io
