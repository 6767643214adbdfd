variable "name" {
  description = "Identifier of the instance and first part of the names around it"
  type        = string
}

variable "engine_version" {
  description = "PostgreSQL 17, or an exact minor of it"
  type        = string
  default     = "17"

  validation {
    condition     = can(regex("^17(\\.[0-9]+)?$", var.engine_version))
    error_message = "PostgreSQL 17 (17 or 17.x)."
  }
}

variable "instance_class" {
  description = "Size of the instance; the family exists in eu-south-2, us-east-1 and mx-central-1"
  type        = string
  default     = "db.m7g.large"

  validation {
    condition     = can(regex("^db\\.(m7g|r7g|m7i|r7i|m6g|r6g|t4g)\\.", var.instance_class))
    error_message = "Use db.m7g, db.r7g, db.m7i, db.r7i, db.m6g, db.r6g or db.t4g."
  }
}

variable "storage_gib" {
  description = "Storage at the start, and how far it may grow by itself"
  type        = object({ initial = number, max = number })
  default     = { initial = 100, max = 1000 }

  validation {
    condition     = var.storage_gib.max > var.storage_gib.initial
    error_message = "Storage needs room to grow: max > initial."
  }
}

variable "database_name" {
  description = "Name of the database"
  type        = string
  default     = "pay"
}

variable "multi_az" {
  description = "A standby in another zone"
  type        = bool
  default     = true
}

variable "backup_retention_days" {
  description = "Days for which a point in time can be restored"
  type        = number
  default     = 35

  validation {
    condition     = var.backup_retention_days >= 7 && var.backup_retention_days <= 35
    error_message = "7 to 35 days: no database without backups."
  }
}

variable "backup_window" {
  description = "When the daily snapshot is taken, UTC"
  type        = string
  default     = "03:00-04:00"
}

variable "maintenance_window" {
  description = "When AWS may patch, UTC"
  type        = string
  default     = "sun:04:30-sun:05:30"
}

variable "deletion_protection" {
  description = "Refuse deletion, and take a last snapshot. false only for emulator runs"
  type        = bool
  default     = true
}

variable "performance_insights_days" {
  description = "Retention of Performance Insights: 7, or 31 times 1 to 23, or 731"
  type        = number
  default     = 7
}

variable "vpc_id" {
  description = "The VPC"
  type        = string
}

variable "database_subnet_group_name" {
  description = "Subnet group of the database subnets"
  type        = string
}

variable "database_subnet_ids" {
  description = "The database subnets, for the proxy"
  type        = list(string)
}

variable "client_security_group_ids" {
  description = "Who may connect: a name to security group id. There is no rule by address"
  type        = map(string)
}

variable "kms_key_arn" {
  description = "Key of storage, backups and Performance Insights"
  type        = string
}

variable "secrets_kms_key_arn" {
  description = "Key of the master login's secret and of the service's secrets"
  type        = string
}

variable "logs_kms_key_arn" {
  description = "Key of the log groups"
  type        = string
}

variable "log_retention_days" {
  description = "Retention of the database's logs"
  type        = number
  default     = 365
}

variable "proxy_enabled" {
  description = "RDS Proxy beside the database; see proxy.tf for why it is off. Its presence in mx-central-1 is not confirmed"
  type        = bool
  default     = false
}

variable "proxy_secret_arn" {
  description = "Secret of the service's login, with which the proxy connects"
  type        = string
  default     = null

  validation {
    condition     = !var.proxy_enabled || var.proxy_secret_arn != null
    error_message = "The proxy needs the secret of the service's login."
  }
}
