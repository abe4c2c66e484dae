// Answers of S3 in XML: listings, errors, uploads.

#include <cstddef>
#include <cstdint>
#include <string_view>

#include "io/s3_answer.hpp"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view document(reinterpret_cast<const char*>(data), size);
  (void)upwell::io::parse_s3_list(document);
  (void)upwell::io::parse_s3_error(document);
  (void)upwell::io::xml_text(document, "UploadId");
  return 0;
}
