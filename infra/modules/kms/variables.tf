variable "name" {
  description = "First part of every alias: alias/NAME/PURPOSE"
  type        = string
}

variable "account_id" {
  description = "The account that owns the keys"
  type        = string

  validation {
    condition     = can(regex("^[0-9]{12}$", var.account_id))
    error_message = "An account id is 12 digits."
  }
}

variable "region" {
  description = "The region of the keys"
  type        = string
}

variable "trail_arn" {
  description = "The one trail that may use the audit key"
  type        = string
}

variable "deletion_window_days" {
  description = "Days between a key's scheduled deletion and its end"
  type        = number
  default     = 30

  validation {
    condition     = var.deletion_window_days >= 7 && var.deletion_window_days <= 30
    error_message = "KMS takes 7 to 30 days."
  }
}
