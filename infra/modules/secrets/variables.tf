variable "name" {
  description = "First part of every secret's name, with the country in it"
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the secrets"
  type        = string
}

variable "recovery_window_days" {
  description = "Days for which a deleted secret can be restored; 0 only for emulator runs"
  type        = number
  default     = 30

  validation {
    condition     = var.recovery_window_days == 0 || (var.recovery_window_days >= 7 && var.recovery_window_days <= 30)
    error_message = "Secrets Manager takes 7 to 30 days, or 0 for none."
  }
}
