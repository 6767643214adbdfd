output "key_arns" {
  description = "Purpose (eks, ebs, rds, secrets, logs, ecr, audit) to key ARN"
  value       = { for purpose, key in aws_kms_key.this : purpose => key.arn }
}
