# Mexico. aws_region is the one switch: everything else follows it, the state's place included (see backend/).

variable "aws_region" {
  description = "us-east-1 as the assignment says, or mx-central-1, which keeps the data in Mexico (adr/: the residency consequence)"
  type        = string
  default     = "us-east-1"

  validation {
    condition     = contains(["us-east-1", "mx-central-1"], var.aws_region)
    error_message = "Mexico is served from us-east-1 or mx-central-1."
  }
}

variable "account_id" {
  description = "Mexico's own AWS account; the provider refuses any other"
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id is 12 digits."
  }
}

variable "vpc_cidr" {
  description = "Addresses of the VPC"
  type        = string
  default     = "10.20.0.0/16"
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
  description = "RDS Proxy beside the database; not on the service's path; not confirmed in mx-central-1"
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
