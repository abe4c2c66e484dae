# The same program as jobs without a machine to keep:
#
#   aws batch submit-job --job-name mur --job-queue service-upwell-generate-ops-queue \
#     --job-definition service-upwell-generate-ops-job \
#     --container-overrides 'environment=[{name=COLLECTION,value=MUR-JPL-L4-GLOB-v4.1}]'

resource "aws_batch_compute_environment" "app" {
  compute_environment_name = "${local.prefix}-compute"
  type                     = "MANAGED"

  compute_resources {
    type               = "FARGATE"
    max_vcpus          = 16
    subnets            = var.subnet_ids
    security_group_ids = [aws_security_group.tasks.id]
  }
}

resource "aws_batch_job_queue" "app" {
  name     = "${local.prefix}-queue"
  state    = "ENABLED"
  priority = 1

  compute_environment_order {
    order               = 1
    compute_environment = aws_batch_compute_environment.app.arn
  }
}

resource "aws_batch_job_definition" "app" {
  name                  = "${local.prefix}-job"
  type                  = "container"
  platform_capabilities = ["FARGATE"]
  propagate_tags        = true

  # 75: the catalogue or a server was not there; everything else stays as it is when tried again.
  retry_strategy {
    attempts = 3

    evaluate_on_exit {
      on_exit_code = "75"
      action       = "RETRY"
    }

    evaluate_on_exit {
      on_exit_code = "*"
      action       = "EXIT"
    }
  }

  timeout {
    attempt_duration_seconds = 21600
  }

  container_properties = jsonencode({
    image                  = var.image
    jobRoleArn             = aws_iam_role.task.arn
    executionRoleArn       = aws_iam_role.execution.arn
    readonlyRootFilesystem = true
    resourceRequirements = [
      { type = "VCPU", value = var.batch_vcpu },
      { type = "MEMORY", value = tostring(var.batch_memory) },
    ]
    environment = [
      for name, value in merge(local.environment, { MEMORY_LIMIT = "${floor(var.batch_memory * 0.9)}MiB" }) :
      { name = name, value = value }
    ]
    logConfiguration = {
      logDriver = "awslogs"
      options = {
        awslogs-region        = var.region
        awslogs-group         = aws_cloudwatch_log_group.app.name
        awslogs-stream-prefix = local.prefix
      }
    }
  })
}

# --- Kept up to date --------------------------------------------------------------------------------------------------

resource "aws_scheduler_schedule" "collection" {
  for_each = var.schedules

  name                = local.schedule_names[each.key]
  schedule_expression = each.value.schedule

  flexible_time_window {
    mode                      = "FLEXIBLE"
    maximum_window_in_minutes = 30
  }

  target {
    arn      = "arn:aws:scheduler:::aws-sdk:batch:submitJob"
    role_arn = aws_iam_role.scheduler.arn

    input = jsonencode({
      JobName       = replace(each.key, "/[^0-9A-Za-z_-]/", "-")
      JobQueue      = aws_batch_job_queue.app.arn
      JobDefinition = aws_batch_job_definition.app.arn
      ContainerOverrides = {
        Environment = [
          { Name = "COLLECTION", Value = each.key },
          { Name = "LOADABLE_VARS", Value = each.value.loadable_vars },
        ]
      }
    })
  }
}
