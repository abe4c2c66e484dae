#pragma once
// Who asks for S3 objects and where, from the environment and the files that the AWS tools share.
// https://docs.aws.amazon.com/sdkref/latest/guide/file-format.html

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.hpp"

namespace upwell::io {

struct S3Credentials {
  std::string access_key_id;  ///< empty: anonymous, requests are not signed
  std::string secret_access_key;
  std::string session_token;              ///< of temporary credentials
  std::optional<int64_t> expires_unix_s;  ///< nothing: never, or not known
  bool operator==(const S3Credentials&) const = default;
  bool anonymous() const { return access_key_id.empty(); }
};

/// Gives the credentials as they are now; asked again when they are about to expire, or when a
/// server says that they have. May block. One caller at a time.
using S3CredentialsProvider = std::function<Result<S3Credentials>()>;

/// What a user may say about S3; empty or absent: as the environment and the profile say.
struct S3Settings {
  std::string endpoint;  ///< "https://host[:port][/path]" of a service that is not AWS's
  std::string profile;
  std::string region;
  bool anonymous = false;
  bool requester_pays = false;
};

/// Sections of an AWS credentials or config file: "default", "profile name", ...; nested settings
/// ("s3 =" with indented lines below) as "s3.addressing_style". kBadConfiguration with the line.
using AwsProfiles = std::map<std::string, std::map<std::string, std::string>>;
Result<AwsProfiles> parse_aws_profiles(std::string_view text, const std::string& file);

/// Environment variables by name; empty when not set.
using Environment = std::function<std::string(const std::string& name)>;
Environment process_environment();

/// What follows from settings, environment and files, in this order.
struct S3Configuration {
  std::string endpoint;          ///< empty: AWS
  std::string region;            ///< empty: to be found out
  std::string addressing_style;  ///< "path", "virtual", "auto" or empty
  S3CredentialsProvider credentials;
  /// Of single buckets, by name, in place of `credentials`.
  std::map<std::string, S3CredentialsProvider> bucket_credentials = {};
};

/// Reads AWS_PROFILE, AWS_SHARED_CREDENTIALS_FILE, AWS_CONFIG_FILE, AWS_ENDPOINT_URL_S3,
/// AWS_ENDPOINT_URL, AWS_REGION, AWS_DEFAULT_REGION, AWS_NO_SIGN_REQUEST. The provider of the
/// result reads AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN,
/// AWS_CREDENTIAL_EXPIRATION, or the profile's keys, or asks for those of the container's role
/// (container_credentials.hpp), anew each time, and gives anonymous ones where there are none.
/// kBadConfiguration for a profile that is named but not there, half a pair of keys, and ways to
/// log in that are not known here (SSO, assumed roles, processes).
Result<S3Configuration> s3_configuration(const S3Settings& settings, const Environment& env);

/// Seconds since 1970 of "2026-11-26T07:00:00Z", "2026-11-26 07:00:00+00:00" and the like.
std::optional<int64_t> parse_expiration(const std::string& text);

}  // namespace upwell::io
