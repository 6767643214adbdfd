# Inputs of terraform-aws-modules/rds/aws 6.13.1 that this project sets, with the types it expects.

variable "identifier" {
  type = string
}

variable "engine" {
  type = string
}

variable "engine_version" {
  type = string
}

variable "family" {
  type = string
}

variable "create_db_option_group" {
  type = bool
}

variable "auto_minor_version_upgrade" {
  type = bool
}

variable "allow_major_version_upgrade" {
  type = bool
}

variable "instance_class" {
  type = string
}

variable "storage_type" {
  type = string
}

variable "allocated_storage" {
  type = number
}

variable "max_allocated_storage" {
  type = number
}

variable "storage_encrypted" {
  type = bool
}

variable "kms_key_id" {
  type = string
}

variable "db_name" {
  type = string
}

variable "username" {
  type = string
}

variable "port" {
  type = number
}

variable "manage_master_user_password" {
  type = bool
}

variable "master_user_secret_kms_key_id" {
  type = string
}

variable "manage_master_user_password_rotation" {
  type = bool
}

variable "master_user_password_rotation_automatically_after_days" {
  type = number
}

variable "iam_database_authentication_enabled" {
  type = bool
}

variable "multi_az" {
  type = bool
}

variable "publicly_accessible" {
  type = bool
}

variable "create_db_subnet_group" {
  type = bool
}

variable "db_subnet_group_name" {
  type = string
}

variable "vpc_security_group_ids" {
  type = list(string)
}

variable "ca_cert_identifier" {
  type = string
}

variable "parameters" {
  type = list(object({ name = string, value = string, apply_method = string }))
}

variable "backup_retention_period" {
  type = number
}

variable "backup_window" {
  type = string
}

variable "maintenance_window" {
  type = string
}

variable "copy_tags_to_snapshot" {
  type = bool
}

variable "delete_automated_backups" {
  type = bool
}

variable "deletion_protection" {
  type = bool
}

variable "skip_final_snapshot" {
  type = bool
}

variable "final_snapshot_identifier_prefix" {
  type = string
}

variable "performance_insights_enabled" {
  type = bool
}

variable "performance_insights_kms_key_id" {
  type = string
}

variable "performance_insights_retention_period" {
  type = number
}

variable "monitoring_interval" {
  type = number
}

variable "create_monitoring_role" {
  type = bool
}

variable "monitoring_role_name" {
  type = string
}

variable "monitoring_role_use_name_prefix" {
  type = bool
}

variable "enabled_cloudwatch_logs_exports" {
  type = list(string)
}

variable "create_cloudwatch_log_group" {
  type = bool
}

variable "cloudwatch_log_group_retention_in_days" {
  type = number
}

variable "cloudwatch_log_group_kms_key_id" {
  type = string
}
