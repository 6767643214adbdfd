# Inputs of terraform-aws-modules/rds-proxy/aws 3.2.1 that this project sets, with the types it expects.

variable "name" {
  type = string
}

variable "engine_family" {
  type = string
}

variable "require_tls" {
  type = bool
}

variable "debug_logging" {
  type = bool
}

variable "auth" {
  type = map(object({ description = string, auth_scheme = string, client_password_auth_type = string, iam_auth = string, secret_arn = string }))
}

variable "iam_role_name" {
  type = string
}

variable "use_role_name_prefix" {
  type = bool
}

variable "iam_policy_name" {
  type = string
}

variable "kms_key_arns" {
  type = list(string)
}

variable "vpc_subnet_ids" {
  type = list(string)
}

variable "vpc_security_group_ids" {
  type = list(string)
}

variable "target_db_instance" {
  type = bool
}

variable "db_instance_identifier" {
  type = string
}

variable "manage_log_group" {
  type = bool
}

variable "log_group_retention_in_days" {
  type = number
}

variable "log_group_kms_key_id" {
  type = string
}
