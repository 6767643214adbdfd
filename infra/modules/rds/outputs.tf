output "address" {
  description = "Host name of the database"
  value       = module.db.db_instance_address
}

output "port" {
  description = "Port of the database"
  value       = module.db.db_instance_port
}

output "database_name" {
  description = "Name of the database"
  value       = var.database_name
}

output "arn" {
  description = "ARN of the instance"
  value       = module.db.db_instance_arn
}

output "master_secret_arn" {
  description = "Secret of the master login, made and rotated by RDS; for operators only"
  value       = module.db.db_instance_master_user_secret_arn
}

output "proxy_endpoint" {
  description = "Host name of the proxy, or null"
  value       = one(module.proxy[*].proxy_endpoint)
}

output "security_group_id" {
  description = "Security group of the database"
  value       = aws_security_group.database.id
}
