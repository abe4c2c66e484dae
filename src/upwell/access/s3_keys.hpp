#pragma once
// Temporary keys for the buckets of NASA's data centres, which these give to users who are logged
// in. They hold for an hour, and only inside of Amazon's region us-west-2.

#include <memory>
#include <string>

#include "access/earthdata.hpp"
#include "io/s3_credentials.hpp"

namespace upwell::access {

/// Asks this endpoint ("https://archive.podaac.earthdata.nasa.gov/s3credentials") each time; when
/// that is, the S3 store knows.
io::S3CredentialsProvider earthdata_s3_keys(std::shared_ptr<EarthdataLogin> login,
                                            std::string endpoint);

/// {"accessKeyId", "secretAccessKey", "sessionToken", "expiration"}; kInvalidData without one of
/// them.
Result<io::S3Credentials> parse_s3_keys(ByteSpan json);

}  // namespace upwell::access
