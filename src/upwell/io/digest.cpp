#include "io/digest.hpp"

#include <openssl/evp.h>

#include "io/sigv4.hpp"

namespace upwell::io {

Bytes digest_of(DigestKind kind, ByteSpan bytes) {
  const EVP_MD* type = kind == DigestKind::kMd5    ? EVP_md5()
                       : kind == DigestKind::kSha1 ? EVP_sha1()
                                                   : EVP_sha256();
  Bytes out(EVP_MAX_MD_SIZE);
  unsigned size = 0;
  EVP_Digest(bytes.data(), bytes.size(), out.data(), &size, type, nullptr);
  out.resize(size);
  return out;
}

std::string hex_digest(DigestKind kind, ByteSpan bytes) { return hex_of(digest_of(kind, bytes)); }

}  // namespace upwell::io
