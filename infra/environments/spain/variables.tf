# Spain. The region is a variable only so that a wrong one is refused loudly instead of being typed somewhere unseen.

variable "aws_region" {
  description = "Europe (Spain)"
  type        = string
  default     = "eu-south-2"

  validation {
    condition     = var.aws_region == "eu-south-2"
    error_message = "Spain's data stays in eu-south-2. (eu-south-1 is Milan.)"
  }
}

variable "account_id" {
  description = "Spain's own AWS account; the provider refuses any other"
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id is 12 digits."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC"
  type        = string
  default     = "10.10.0.0/16"
}

variable "nat_gateway_per_zone" {
  description = "One NAT gateway in each zone; false: one for all, not for production"
  type        = bool
  default     = true
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes"
  type        = string
  default     = "1.35"
}

variable "endpoint_public_access_cidrs" {
  description = "Networks of /24 or smaller that may reach the Kubernetes API from outside; empty: private only"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.endpoint_public_access_cidrs : can(cidrnetmask(cidr)) && try(tonumber(split("/", cidr)[1]) >= 24, false)])
    error_message = "Name IPv4 networks of /24 or smaller; the open internet (0.0.0.0/0) is refused."
  }
}

variable "cluster_admin_role_arns" {
  description = "Roles that administer the cluster"
  type        = list(string)
  default     = []
}

variable "node_instance_types" {
  description = "Instance types of the nodes"
  type        = list(string)
  default     = ["m7g.large"]
}

variable "node_count" {
  description = "How far the node group scales"
  type        = object({ min = number, max = number, desired = number })
  default     = { min = 3, max = 9, desired = 3 }
}

variable "database_instance_class" {
  description = "Size of the database instance"
  type        = string
  default     = "db.m7g.large"
}

variable "rds_proxy_enabled" {
  description = "RDS Proxy beside the database; not on the service's path"
  type        = bool
  default     = false
}

variable "trail_multi_region" {
  description = "The trail records all regions; false only where two countries share one account"
  type        = bool
  default     = true
}

variable "guardrails_enabled" {
  description = "Create the residency policy; needs the organization's management account"
  type        = bool
  default     = false
}

variable "guardrails_target_ids" {
  description = "Accounts or organizational units the residency policy is attached to"
  type        = list(string)
  default     = []
}

variable "deletion_protection" {
  description = "Refuse deletion of database, buckets, images, secrets and trail files. false only for emulator runs"
  type        = bool
  default     = true
}
