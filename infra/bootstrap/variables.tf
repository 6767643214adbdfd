variable "country_code" {
  description = "es or mx"
  type        = string

  validation {
    condition     = contains(["es", "mx"], var.country_code)
    error_message = "es or mx."
  }
}

variable "aws_region" {
  description = "Region of the state: the region of the country's root"
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

variable "force_destroy" {
  description = "Let destroy delete a bucket with state in it; only for emulator runs"
  type        = bool
  default     = false
}
