output "arns" {
  description = "Purpose (api-key, db-app, db-owner) to secret ARN"
  value       = { for purpose, secret in aws_secretsmanager_secret.this : purpose => secret.arn }
}

output "names" {
  description = "Purpose to secret name: what an ExternalSecret refers to"
  value       = { for purpose, secret in aws_secretsmanager_secret.this : purpose => secret.name }
}
