output "version_ids" {
  description = "The version of each secret that was written; not its value"
  value = merge(
    { api-key = aws_secretsmanager_secret_version.api_key.version_id },
    { for purpose, version in aws_secretsmanager_secret_version.login : purpose => version.version_id },
  )
}
