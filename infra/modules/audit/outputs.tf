output "trail_arn" {
  description = "The trail"
  value       = aws_cloudtrail.this.arn
}

output "bucket_name" {
  description = "Where the files are"
  value       = module.bucket.name
}

output "log_group_name" {
  description = "Where the events can be searched"
  value       = aws_cloudwatch_log_group.trail.name
}

output "topic_arn" {
  description = "Announces each new file"
  value       = aws_sns_topic.trail.arn
}
