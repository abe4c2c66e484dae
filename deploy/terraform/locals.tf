locals {
  prefix               = "service-${var.app_name}-${var.stage}"
  permissions_boundary = var.permissions_boundary_arn == "" ? null : var.permissions_boundary_arn

  tags = merge({
    application = local.prefix
    Environment = var.stage
  }, var.tags)

  # What PO.DAAC's container takes. ECS's run-task and Batch's submit-job override what is empty here.
  environment = {
    COLLECTION       = ""
    LOADABLE_VARS    = ""
    START_DATE       = ""
    END_DATE         = ""
    OUTPUT_BUCKET    = var.output_buckets[0]
    STAGING_BUCKET   = var.staging_bucket
    CPU_COUNT        = "16"
    BATCH_SIZE       = "48"
    SSM_EDL_USERNAME = var.ssm_edl_username
    SSM_EDL_PASSWORD = var.ssm_edl_password
    AWS_REGION       = var.region
  }

  # Names with and without a leading '/' are written alike in ARNs.
  parameter_arns = [
    for name in [var.ssm_edl_username, var.ssm_edl_password] :
    startswith(name, "arn:") ? name : "arn:aws:ssm:${var.region}:${data.aws_caller_identity.current.account_id}:parameter/${trimprefix(name, "/")}"
  ]

  # EventBridge takes 64 characters: the end of a longer name is told by a digest.
  schedule_names = {
    for key in keys(var.schedules) : key => (
      length("${local.prefix}-${key}") <= 64
      ? replace("${local.prefix}-${key}", "/[^0-9A-Za-z_.-]/", "-")
      : replace("${substr("${local.prefix}-${key}", 0, 55)}-${substr(md5(key), 0, 8)}", "/[^0-9A-Za-z_.-]/", "-")
    )
  }

  buckets = distinct(concat(var.output_buckets, compact([var.staging_bucket])))
}

data "aws_caller_identity" "current" {}
