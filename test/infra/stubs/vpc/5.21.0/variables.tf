# Inputs of terraform-aws-modules/vpc/aws 5.21.0 that this project sets, with the types it expects.

variable "name" {
  type = string
}

variable "cidr" {
  type = string
}

variable "azs" {
  type = list(string)
}

variable "private_subnets" {
  type = list(string)
}

variable "public_subnets" {
  type = list(string)
}

variable "database_subnets" {
  type = list(string)
}

variable "enable_dns_hostnames" {
  type = bool
}

variable "enable_dns_support" {
  type = bool
}

variable "map_public_ip_on_launch" {
  type = bool
}

variable "enable_nat_gateway" {
  type = bool
}

variable "single_nat_gateway" {
  type = bool
}

variable "one_nat_gateway_per_az" {
  type = bool
}

variable "create_database_subnet_group" {
  type = bool
}

variable "database_subnet_group_name" {
  type = string
}

variable "create_database_subnet_route_table" {
  type = bool
}

variable "create_database_internet_gateway_route" {
  type = bool
}

variable "create_database_nat_gateway_route" {
  type = bool
}

variable "manage_default_security_group" {
  type = bool
}

variable "default_security_group_ingress" {
  type = list(map(string))
}

variable "default_security_group_egress" {
  type = list(map(string))
}

variable "enable_flow_log" {
  type = bool
}

variable "flow_log_destination_type" {
  type = string
}

variable "flow_log_traffic_type" {
  type = string
}

variable "flow_log_max_aggregation_interval" {
  type = number
}

variable "create_flow_log_cloudwatch_log_group" {
  type = bool
}

variable "create_flow_log_cloudwatch_iam_role" {
  type = bool
}

variable "flow_log_cloudwatch_log_group_name_prefix" {
  type = string
}

variable "flow_log_cloudwatch_log_group_name_suffix" {
  type = string
}

variable "flow_log_cloudwatch_log_group_retention_in_days" {
  type = number
}

variable "flow_log_cloudwatch_log_group_kms_key_id" {
  type = string
}

variable "flow_log_cloudwatch_iam_role_conditions" {
  type = list(object({ test = string, variable = string, values = list(string) }))
}

variable "public_subnet_tags" {
  type = map(string)
}

variable "private_subnet_tags" {
  type = map(string)
}
