output "bucket" {
  description = "bucket of the country's backend file"
  value       = module.state.name
}

output "kms_key_id" {
  description = "kms_key_id of the country's backend file"
  value       = aws_kms_alias.state.arn
}
