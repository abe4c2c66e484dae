output "cluster" {
  value = aws_ecs_cluster.app.name
}

output "task_definition" {
  value = aws_ecs_task_definition.app.arn
}

output "job_queue" {
  value = aws_batch_job_queue.app.name
}

output "job_definition" {
  value = aws_batch_job_definition.app.name
}

output "security_group" {
  value = aws_security_group.tasks.id
}
