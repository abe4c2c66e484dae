variable "app_name" {
  description = "Part of the names of all resources"
  type        = string
  default     = "upwell-generate"
}

variable "stage" {
  description = "sit, uat or ops"
  type        = string
}

variable "region" {
  description = "Where granules lie: only there are they read from S3"
  type        = string
  default     = "us-west-2"
}

variable "tags" {
  type    = map(string)
  default = {}
}

variable "image" {
  description = "The image that deploy/Dockerfile makes, in a registry that tasks can reach"
  type        = string
}

variable "output_buckets" {
  description = "Buckets that tasks may write to; the first is where they write unless told otherwise"
  type        = list(string)

  validation {
    condition     = length(var.output_buckets) > 0
    error_message = "At least one bucket is needed."
  }
}

variable "staging_bucket" {
  description = "A second place for the same sets; empty: none"
  type        = string
  default     = ""
}

variable "ssm_edl_username" {
  description = "Parameter in the Parameter Store that holds the Earthdata user's name"
  type        = string
}

variable "ssm_edl_password" {
  description = "Parameter (a SecureString) that holds the password"
  type        = string
}

variable "ssm_kms_key_arn" {
  description = "Key of the SecureString; empty: the account's own for the Parameter Store"
  type        = string
  default     = ""
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  description = "With a way to the internet (CMR, Earthdata Login) and, best, an S3 gateway endpoint"
  type        = list(string)
}

variable "permissions_boundary_arn" {
  description = "Of all roles; empty: none"
  type        = string
  default     = ""
}

variable "instance_type" {
  description = "Of the ECS cluster. A thousand granules take less than 200 MiB"
  type        = string
  default     = "t3.small"
}

variable "ecs_ami_parameter" {
  description = "Parameter that names the machine image of ECS instances"
  type        = string
  default     = "/aws/service/ecs/optimized-ami/amazon-linux-2023/recommended/image_id"
}

variable "task_memory" {
  description = "MiB that a task may take; its MEMORY_LIMIT is a little less"
  type        = number
  default     = 1536
}

variable "batch_vcpu" {
  description = "Of a Batch job on Fargate, as text: 0.25, 0.5, 1, 2, 4"
  type        = string
  default     = "1"
}

variable "batch_memory" {
  description = "MiB of a Batch job; Fargate takes only some together with batch_vcpu"
  type        = number
  default     = 2048
}

variable "schedules" {
  description = "Collections that are kept up to date by Batch: short name to when, and the variables that are copied into the sets"
  type = map(object({
    schedule      = string
    loadable_vars = optional(string, "")
  }))
  default = {}
  # { "MUR-JPL-L4-GLOB-v4.1" = { schedule = "cron(17 10 * * ? *)", loadable_vars = "lat,lon,time" } }
}
