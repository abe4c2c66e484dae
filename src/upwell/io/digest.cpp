#include "io/digest.hpp"

#include <openssl/evp.h>

#include "io/sigv4.hpp"

namespace upwell::io {
namespace {

const EVP_MD* type_of(DigestKind kind) {
  switch (kind) {
    case DigestKind::kMd5:
      return EVP_md5();
    case DigestKind::kSha1:
      return EVP_sha1();
    case DigestKind::kSha384:
      return EVP_sha384();
    case DigestKind::kSha512:
      return EVP_sha512();
    default:
      return EVP_sha256();
  }
}

}  // namespace

Bytes digest_of(DigestKind kind, ByteSpan bytes) {
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, type_of(kind), nullptr);
  out.resize(size);
  return out;
}

std::string hex_digest(DigestKind kind, ByteSpan bytes) { return hex_of(digest_of(kind, bytes)); }

}  // namespace upwell::io
