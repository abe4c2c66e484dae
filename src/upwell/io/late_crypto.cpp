// libcrypto's functions as io calls them, each handed on to the library, which is loaded at the
// first call: relocating it takes a quarter of the start of a command that neither signs nor keeps
// a cache.
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstdio>
#include <cstdlib>

#include "base/late_library.hpp"
#include "base/result.hpp"

namespace upwell::io {
namespace {

/// Without the library there is nothing to go on with, as when it is missing at the start.
template <typename Function>
Function late_crypto(const char* name) {
  static LateLibrary library(UPWELL_LIBCRYPTO);
  const auto real = library.function<Function>(name);
  if (!real) {
    std::fprintf(stderr, "upwell: cannot load %s\n", UPWELL_LIBCRYPTO);
    std::_Exit(exit_status(Code::kInternal));
  }
  return real;
}

}  // namespace
}  // namespace upwell::io

#define UPWELL_LATE_CRYPTO(name) \
  static const auto real = upwell::io::late_crypto<decltype(&::name)>(#name)

extern "C" {

EVP_MD_CTX* EVP_MD_CTX_new(void) {
  UPWELL_LATE_CRYPTO(EVP_MD_CTX_new);
  return real();
}
void EVP_MD_CTX_free(EVP_MD_CTX* context) {
  UPWELL_LATE_CRYPTO(EVP_MD_CTX_free);
  real(context);
}
int EVP_DigestInit_ex(EVP_MD_CTX* context, const EVP_MD* type, ENGINE* engine) {
  UPWELL_LATE_CRYPTO(EVP_DigestInit_ex);
  return real(context, type, engine);
}
int EVP_DigestUpdate(EVP_MD_CTX* context, const void* data, size_t size) {
  UPWELL_LATE_CRYPTO(EVP_DigestUpdate);
  return real(context, data, size);
}
int EVP_DigestFinal_ex(EVP_MD_CTX* context, unsigned char* digest, unsigned* size) {
  UPWELL_LATE_CRYPTO(EVP_DigestFinal_ex);
  return real(context, digest, size);
}
int EVP_Digest(const void* data, size_t count, unsigned char* digest, unsigned* size,
               const EVP_MD* type, ENGINE* engine) {
  UPWELL_LATE_CRYPTO(EVP_Digest);
  return real(data, count, digest, size, type, engine);
}
const EVP_MD* EVP_sha256(void) {
  UPWELL_LATE_CRYPTO(EVP_sha256);
  return real();
}
const EVP_MD* EVP_md5(void) {
  UPWELL_LATE_CRYPTO(EVP_md5);
  return real();
}
const EVP_MD* EVP_sha1(void) {
  UPWELL_LATE_CRYPTO(EVP_sha1);
  return real();
}
const EVP_MD* EVP_sha384(void) {
  UPWELL_LATE_CRYPTO(EVP_sha384);
  return real();
}
const EVP_MD* EVP_sha512(void) {
  UPWELL_LATE_CRYPTO(EVP_sha512);
  return real();
}
int EVP_EncodeBlock(unsigned char* to, const unsigned char* from, int size) {
  UPWELL_LATE_CRYPTO(EVP_EncodeBlock);
  return real(to, from, size);
}
unsigned char* HMAC(const EVP_MD* type, const void* key, int key_size, const unsigned char* data,
                    size_t size, unsigned char* digest, unsigned* digest_size) {
  UPWELL_LATE_CRYPTO(HMAC);
  return real(type, key, key_size, data, size, digest, digest_size);
}

}  // extern "C"

#undef UPWELL_LATE_CRYPTO
