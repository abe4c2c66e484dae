#pragma once
// What S3 says in XML: pages of a listing, errors, uploads. Bytes from a network: sizes and nesting
// are bounded, what is not understood is nothing.
// https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.hpp"

namespace upwell::io {

/// Text of the first element of this name, entities resolved; nothing when there is none.
std::optional<std::string> xml_text(std::string_view document, std::string_view element);

struct S3Error {
  std::string code, message, region;
};
/// <Error><Code>...; nothing when the document is no error.
std::optional<S3Error> parse_s3_error(std::string_view document);

struct S3ListPage {
  std::vector<std::string> keys;      ///< decoded, as they are
  std::vector<std::string> prefixes;  ///< with a delimiter: what is below the listed place
  std::string next;                   ///< continuation token; empty: this was the last page
};
/// A ListBucketResult of ListObjectsV2, asked with encoding-type=url. kInvalidData.
Result<S3ListPage> parse_s3_list(std::string_view document);

/// Undoes application/x-www-form-urlencoded, as S3 encodes keys: %41, and '+' for a space.
std::string url_decoded(std::string_view text);

}  // namespace upwell::io
