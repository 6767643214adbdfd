variable "country_code" {
  description = "es or mx"
  type        = string

  validation {
    condition     = contains(["es", "mx"], var.country_code)
    error_message = "es or mx."
  }
}

variable "aws_region" {
  description = "Region of the country's root"
  type        = string

  validation {
    condition     = contains({ es = ["eu-south-2"], mx = ["us-east-1", "mx-central-1"] }[var.country_code], var.aws_region)
    error_message = "Spain is served from eu-south-2 only; Mexico from us-east-1 or mx-central-1."
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

variable "app_user" {
  description = "The service's login, a member of pay_app"
  type        = string
  default     = "pay_service"
}

variable "ops_user" {
  description = "The login of the ledger's audit and the purge, a member of pay_ops"
  type        = string
  default     = "pay_operations"

  validation {
    condition     = var.ops_user != var.app_user && var.ops_user != var.owner_user
    error_message = "Operations have a login of their own."
  }
}

variable "owner_user" {
  description = "The login that owns the schema and migrates it"
  type        = string
  default     = "pay_owner"

  validation {
    condition     = var.owner_user != var.app_user
    error_message = "The service and the schema's owner are different logins."
  }
}

variable "versions" {
  description = "Raise a login's number to write a new password"
  type        = object({ db-app = number, db-ops = number, db-owner = number })
  default     = { db-app = 1, db-ops = 1, db-owner = 1 }
}
