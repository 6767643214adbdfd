variable "name" {
  description = "Name of the cluster, the VPC and the database, and first part of all other names"
  type        = string
}

variable "country" {
  description = "spain or mexico"
  type        = string

  validation {
    condition     = contains(["spain", "mexico"], var.country)
    error_message = "The countries are spain and mexico."
  }
}

variable "country_code" {
  description = "es or mx"
  type        = string

  validation {
    condition     = var.country_code == { spain = "es", mexico = "mx" }[var.country]
    error_message = "Spain is es, Mexico is mx."
  }
}

variable "region" {
  description = "The region, one of the country's"
  type        = string

  validation {
    condition     = contains({ spain = ["eu-south-2"], mexico = ["us-east-1", "mx-central-1"] }[var.country], var.region)
    error_message = "Spain is served from eu-south-2 only; Mexico from us-east-1 or mx-central-1."
  }
}

variable "data_residency" {
  description = "What the residency label says: eu or mx"
  type        = string

  validation {
    condition     = var.data_residency == { spain = "eu", mexico = "mx" }[var.country]
    error_message = "Spain keeps eu data, Mexico mx data."
  }
}

variable "account_id" {
  description = "The country's own AWS account"
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id is 12 digits."
  }
}

variable "terraform_role_name" {
  description = "Role that applies this code; the guardrails leave it the trail and the public access blocks"
  type        = string
  default     = "payments-terraform"
}

variable "vpc_cidr" {
  description = "Addresses of the VPC: a private /16 of this country's own"
  type        = string
}

variable "nat_gateway_per_zone" {
  description = "One NAT gateway in each zone"
  type        = bool
  default     = true
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes"
  type        = string
  default     = "1.35"
}

variable "endpoint_public_access_cidrs" {
  description = "Networks that may reach the Kubernetes API from outside; empty: private only"
  type        = list(string)
  default     = []
}

variable "cluster_admin_role_arns" {
  description = "Roles that administer the cluster"
  type        = list(string)
  default     = []
}

variable "node_ami_type" {
  description = "Image family of the nodes"
  type        = string
  default     = "BOTTLEROCKET_ARM_64"
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

variable "addon_versions" {
  description = "Exact versions of cluster add-ons by name"
  type        = map(string)
  default     = {}
}

variable "namespace" {
  description = "Kubernetes namespace of the service; the readers' roles trust service accounts of this one"
  type        = string
}

variable "release_name" {
  description = "Helm release; the chart derives its service accounts and the prefix of the load balancer's logs from it"
  type        = string
  default     = "payment-latency-api"
}

variable "database_engine_version" {
  description = "PostgreSQL 17, or an exact minor of it"
  type        = string
  default     = "17"
}

variable "database_instance_class" {
  description = "Size of the database instance"
  type        = string
  default     = "db.m7g.large"
}

variable "database_storage_gib" {
  description = "Storage at the start, and how far it may grow by itself"
  type        = object({ initial = number, max = number })
  default     = { initial = 100, max = 1000 }
}

variable "database_multi_az" {
  description = "A standby in another zone"
  type        = bool
  default     = true
}

variable "database_backup_retention_days" {
  description = "Days for which a point in time can be restored"
  type        = number
  default     = 35
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

variable "trail_global_events" {
  description = "The trail records IAM, STS and CloudFront"
  type        = bool
  default     = true
}

variable "trail_lock_days" {
  description = "Days for which a trail file cannot be deleted"
  type        = number
  default     = 365
}

variable "log_retention_days" {
  description = "Retention of every log group"
  type        = number
  default     = 365

  validation {
    condition     = contains([365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "Logs are kept for a year or longer, in one of the steps CloudWatch has."
  }
}

variable "guardrails_enabled" {
  description = "Create the service control policy; needs the organization's management account"
  type        = bool
  default     = false
}

variable "guardrails_target_ids" {
  description = "Accounts or organizational units the policy is attached to"
  type        = list(string)
  default     = []
}

variable "deletion_protection" {
  description = "Refuse deletion of database, buckets, images, secrets and trail files. false only for emulator runs"
  type        = bool
  default     = true
}
