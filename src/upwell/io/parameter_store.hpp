#pragma once
// Settings and secrets in AWS Systems Manager's Parameter Store.
// https://docs.aws.amazon.com/systems-manager/latest/APIReference/API_GetParameter.html

#include <string>

#include "io/http_store.hpp"
#include "io/s3_credentials.hpp"

namespace upwell::io {

/// The value of a parameter (a name, a path or an ARN), decrypted where it is a secret. Asked by
/// the same identity and in the same region as S3 (see s3_configuration; an ARN has its region
/// itself), of AWS_ENDPOINT_URL_SSM, AWS_ENDPOINT_URL or Amazon's endpoint. kNotFound,
/// kPermissionDenied, kUnauthenticated with the service's words; kBadConfiguration without a region
/// or anybody who asks. The value is in no message.
Result<std::string> get_parameter(const std::string& name, const S3Settings& settings,
                                  const HttpOptions& http, const Environment& env);

}  // namespace upwell::io
