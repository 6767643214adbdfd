variable "name" {
  description = "Name of the cluster and first part of its roles' names"
  type        = string
}

variable "region" {
  description = "The region of the cluster"
  type        = string
}

variable "kubernetes_version" {
  description = "Minor version of Kubernetes; 1.35 has standard support until March 2027"
  type        = string
  default     = "1.35"

  validation {
    condition     = can(regex("^1\\.(3[5-9]|[4-9][0-9])$", var.kubernetes_version))
    error_message = "1.35 or newer: older minors are out of standard support or about to be."
  }
}

variable "vpc_id" {
  description = "The VPC of the cluster"
  type        = string
}

variable "private_subnet_ids" {
  description = "Subnets of the nodes and of the API endpoint"
  type        = list(string)
}

variable "endpoint_public_access_cidrs" {
  description = "Networks that may reach the API endpoint from outside. Empty, the default: there is no public endpoint"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for cidr in var.endpoint_public_access_cidrs : can(cidrnetmask(cidr)) && try(tonumber(split("/", cidr)[1]) >= 24, false)])
    error_message = "Name IPv4 networks of /24 or smaller; the open internet (0.0.0.0/0) is refused."
  }
}

variable "admin_role_arns" {
  description = "IAM roles that administer the cluster; nobody is administrator by having created it"
  type        = list(string)
  default     = []

  validation {
    condition     = alltrue([for arn in var.admin_role_arns : can(regex("^arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "Each is the whole ARN of one role."
  }
}

variable "node_ami_type" {
  description = "Image family of the nodes"
  type        = string
  default     = "BOTTLEROCKET_ARM_64"

  validation {
    condition     = contains(["BOTTLEROCKET_ARM_64", "BOTTLEROCKET_x86_64", "AL2023_ARM_64_STANDARD", "AL2023_x86_64_STANDARD"], var.node_ami_type)
    error_message = "Bottlerocket or Amazon Linux 2023, arm64 or x86_64."
  }
}

variable "node_instance_types" {
  description = "Instance types of the nodes; the default exists in eu-south-2, us-east-1 and mx-central-1"
  type        = list(string)
  default     = ["m7g.large"]

  validation {
    condition     = length(var.node_instance_types) > 0 && alltrue([for type in var.node_instance_types : can(regex("^(m7g|m7gd|m7i|m7i-flex|m6g|m6gd|c7g|c7i|r7g|r7i|r6g|r8g|t4g|t3)\\.", type))])
    error_message = "Use a family that every region of this project has: m7g, m7i, c7g, c7i, r7g, t4g (m6i is not in Spain, m8g and m5 not in Mexico)."
  }
}

variable "node_disk_gib" {
  description = "Size of a node's volume for containers"
  type        = number
  default     = 50
}

variable "node_count" {
  description = "How far the node group scales"
  type        = object({ min = number, max = number, desired = number })
  default     = { min = 3, max = 9, desired = 3 }

  validation {
    condition     = var.node_count.min >= 3 && var.node_count.max > var.node_count.min && var.node_count.desired >= var.node_count.min && var.node_count.desired <= var.node_count.max
    error_message = "At least three nodes (one a zone), and room to scale: 3 <= min <= desired <= max, min < max."
  }
}

variable "addon_versions" {
  description = "Exact versions of add-ons by name; without one, the default of the Kubernetes version"
  type        = map(string)
  default     = {}
}

variable "secret_readers" {
  description = "Service accounts with which External Secrets reads, and exactly what each may read"
  type = map(object({
    namespace       = string
    service_account = string
    secret_arns     = list(string)
  }))

  validation {
    condition     = alltrue([for reader in var.secret_readers : length(reader.secret_arns) > 0])
    error_message = "A reader without secrets is a role without a purpose."
  }
}

variable "secrets_manager_kms_key_arn" {
  description = "Key of the secrets"
  type        = string
}

variable "secrets_kms_key_arn" {
  description = "Key that encrypts Kubernetes secrets in the cluster's store"
  type        = string
}

variable "ebs_kms_key_arn" {
  description = "Key of the nodes' volumes and of persistent volumes"
  type        = string
}

variable "logs_kms_key_arn" {
  description = "Key of the control plane's log group"
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the control plane's logs"
  type        = number
  default     = 365
}
