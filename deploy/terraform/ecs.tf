# A cluster of at most one small instance, which is there only while a task runs:
#
#   aws ecs run-task --cluster service-upwell-generate-ops-cluster --task-definition service-upwell-generate-ops-task \
#     --network-configuration 'awsvpcConfiguration={subnets=[...],securityGroups=[...]}' \
#     --overrides '{"containerOverrides": [{"name": "generate", "environment": [
#       {"name": "COLLECTION", "value": "MUR-JPL-L4-GLOB-v4.1"}, {"name": "LOADABLE_VARS", "value": "lat,lon,time"}]}]}'

resource "aws_ecs_cluster" "app" {
  name = "${local.prefix}-cluster"
}

resource "aws_ecs_task_definition" "app" {
  family                   = "${local.prefix}-task"
  requires_compatibilities = ["EC2"]
  network_mode             = "awsvpc"
  task_role_arn            = aws_iam_role.task.arn
  execution_role_arn       = aws_iam_role.execution.arn

  runtime_platform {
    operating_system_family = "LINUX"
    cpu_architecture        = "X86_64"
  }

  container_definitions = jsonencode([{
    name                   = "generate"
    image                  = var.image
    essential              = true
    cpu                    = 0
    memory                 = var.task_memory
    readonlyRootFilesystem = true
    environment = [
      for name, value in merge(local.environment, { MEMORY_LIMIT = "${floor(var.task_memory * 0.9)}MiB" }) :
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
  }])
}

data "aws_ssm_parameter" "ecs_ami" {
  name = var.ecs_ami_parameter
}

resource "aws_launch_template" "app" {
  name                   = "${local.prefix}-instance"
  image_id               = data.aws_ssm_parameter.ecs_ami.value
  instance_type          = var.instance_type
  vpc_security_group_ids = [aws_security_group.tasks.id]
  update_default_version = true

  iam_instance_profile {
    name = aws_iam_instance_profile.instance.name
  }

  metadata_options {
    http_tokens = "required"
  }

  user_data = base64encode("#!/bin/sh\necho ECS_CLUSTER=${aws_ecs_cluster.app.name} >> /etc/ecs/ecs.config\n")
}

resource "aws_autoscaling_group" "app" {
  name                = "${local.prefix}-instances"
  vpc_zone_identifier = var.subnet_ids
  min_size            = 0
  max_size            = 1
  desired_capacity    = 0

  launch_template {
    id      = aws_launch_template.app.id
    version = "$Latest"
  }

  tag {
    key                 = "AmazonECSManaged"
    value               = true
    propagate_at_launch = true
  }

  lifecycle {
    ignore_changes = [desired_capacity] # ECS decides
  }
}

resource "aws_ecs_capacity_provider" "app" {
  name = "${local.prefix}-capacity"

  auto_scaling_group_provider {
    auto_scaling_group_arn         = aws_autoscaling_group.app.arn
    managed_termination_protection = "DISABLED"

    managed_scaling {
      status                    = "ENABLED"
      target_capacity           = 100
      minimum_scaling_step_size = 1
      maximum_scaling_step_size = 1
    }
  }
}

resource "aws_ecs_cluster_capacity_providers" "app" {
  cluster_name       = aws_ecs_cluster.app.name
  capacity_providers = [aws_ecs_capacity_provider.app.name]

  default_capacity_provider_strategy {
    capacity_provider = aws_ecs_capacity_provider.app.name
    base              = 1
    weight            = 100
  }
}
