# Outputs of terraform-aws-modules/rds/aws 6.13.1 that this project reads.

output "db_instance_address" {
  value = "${var.identifier}.stub.invalid"
}

output "db_instance_port" {
  value = var.port
}

output "db_instance_identifier" {
  value = var.identifier
}

output "db_instance_arn" {
  value = "arn:aws:rds:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:db:${var.identifier}"
}

output "db_instance_master_user_secret_arn" {
  value = "arn:aws:secretsmanager:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:secret:rds!db-stub"
}
