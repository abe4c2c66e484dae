#pragma once
// Keys of the role of a container's task, as ECS, Batch and EKS give them, and of an EC2 instance.
// https://docs.aws.amazon.com/sdkref/latest/guide/feature-container-credentials.html

#include "io/s3_credentials.hpp"

namespace upwell::io {

/// From AWS_CONTAINER_CREDENTIALS_RELATIVE_URI or AWS_CONTAINER_CREDENTIALS_FULL_URI, with
/// AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE or AWS_CONTAINER_AUTHORIZATION_TOKEN. Anonymous ones
/// where neither is set. kBadConfiguration for a FULL_URI that leads over plain http to another
/// host than this machine, ECS's or EKS's agent.
Result<S3Credentials> container_credentials(const Environment& env);

/// Of the role of the EC2 instance that this is, or that AWS_EC2_METADATA_SERVICE_ENDPOINT speaks
/// for (IMDSv2). Anonymous ones where there is no role, no answer, or
/// AWS_EC2_METADATA_DISABLED=true.
/// https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instance-metadata-security-credentials.html
Result<S3Credentials> instance_credentials(const Environment& env);

}  // namespace upwell::io
