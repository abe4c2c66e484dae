# --- What the program may do ------------------------------------------------------------------------------------------

data "aws_iam_policy_document" "assume_tasks" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ecs-tasks.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "task" {
  statement {
    sid       = "FindSets"
    actions   = ["s3:ListBucket"]
    resources = [for bucket in local.buckets : "arn:aws:s3:::${bucket}"]
  }

  # DeleteObject: a set in Parquet loses its .zmetadata while it is written anew.
  statement {
    sid       = "WriteSets"
    actions   = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
    resources = [for bucket in local.buckets : "arn:aws:s3:::${bucket}/virtual_collections/*"]
  }

  statement {
    sid       = "ReadLogin"
    actions   = ["ssm:GetParameter"]
    resources = local.parameter_arns
  }

  dynamic "statement" {
    for_each = compact([var.ssm_kms_key_arn])

    content {
      sid       = "DecryptLogin"
      actions   = ["kms:Decrypt"]
      resources = [statement.value]
    }
  }
}

resource "aws_iam_role" "task" {
  name                 = "${local.prefix}-task"
  assume_role_policy   = data.aws_iam_policy_document.assume_tasks.json
  permissions_boundary = local.permissions_boundary
}

resource "aws_iam_role_policy" "task" {
  name   = "sets-and-login"
  role   = aws_iam_role.task.id
  policy = data.aws_iam_policy_document.task.json
}

# --- What starts it may do --------------------------------------------------------------------------------------------

resource "aws_iam_role" "execution" {
  name                 = "${local.prefix}-execution"
  assume_role_policy   = data.aws_iam_policy_document.assume_tasks.json
  permissions_boundary = local.permissions_boundary
}

resource "aws_iam_role_policy_attachment" "execution" {
  role       = aws_iam_role.execution.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
}

data "aws_iam_policy_document" "assume_instances" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["ec2.amazonaws.com"]
    }
  }
}

resource "aws_iam_role" "instance" {
  name                 = "${local.prefix}-instance"
  assume_role_policy   = data.aws_iam_policy_document.assume_instances.json
  permissions_boundary = local.permissions_boundary
}

resource "aws_iam_role_policy_attachment" "instance" {
  role       = aws_iam_role.instance.name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonEC2ContainerServiceforEC2Role"
}

resource "aws_iam_instance_profile" "instance" {
  name = "${local.prefix}-instance"
  role = aws_iam_role.instance.name
}

data "aws_iam_policy_document" "assume_scheduler" {
  statement {
    actions = ["sts:AssumeRole"]

    principals {
      type        = "Service"
      identifiers = ["scheduler.amazonaws.com"]
    }
  }
}

data "aws_iam_policy_document" "scheduler" {
  statement {
    actions = ["batch:SubmitJob"]
    resources = [
      aws_batch_job_queue.app.arn,
      "${aws_batch_job_definition.app.arn_prefix}:*",
      aws_batch_job_definition.app.arn_prefix,
    ]
  }
}

resource "aws_iam_role" "scheduler" {
  name                 = "${local.prefix}-scheduler"
  assume_role_policy   = data.aws_iam_policy_document.assume_scheduler.json
  permissions_boundary = local.permissions_boundary
}

resource "aws_iam_role_policy" "scheduler" {
  name   = "submit-jobs"
  role   = aws_iam_role.scheduler.id
  policy = data.aws_iam_policy_document.scheduler.json
}
