variable "name" {
  description = "Name of the VPC and first part of the names inside"
  type        = string
}

variable "account_id" {
  description = "The account of the VPC"
  type        = string
}

variable "region" {
  description = "The region of the VPC"
  type        = string
}

variable "cidr" {
  description = "The VPC's addresses: a private /16"
  type        = string

  validation {
    condition     = can(cidrnetmask(var.cidr)) && can(regex("^(10\\.|172\\.(1[6-9]|2[0-9]|3[01])\\.|192\\.168\\.).*/16$", var.cidr))
    error_message = "The VPC needs a private /16 (RFC 1918)."
  }
}

variable "availability_zones" {
  description = "Exactly three zones of the region"
  type        = list(string)

  validation {
    condition     = length(distinct(var.availability_zones)) == 3
    error_message = "Three different zones."
  }
}

variable "nat_gateway_per_zone" {
  description = "One NAT gateway in each zone, so that a zone's loss does not take the others' way out. false: one for all, cheaper, not for production"
  type        = bool
  default     = true
}

variable "interface_endpoints" {
  description = "AWS services that are reached inside the VPC"
  type        = list(string)
  default = [
    "autoscaling",
    "ec2",
    "ecr.api",
    "ecr.dkr",
    "eks",
    "elasticloadbalancing",
    "kms",
    "logs",
    "secretsmanager",
    "sts",
  ]
}

variable "logs_kms_key_arn" {
  description = "Key of the flow log's group"
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the flow log"
  type        = number
  default     = 365
}
