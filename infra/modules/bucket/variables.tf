variable "name" {
  description = "Name of the bucket; unique in the world, so callers put the account and the region into it"
  type        = string

  validation {
    condition     = can(regex("^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$", var.name))
    error_message = "A bucket's name is 3 to 63 lower-case letters, digits and hyphens."
  }
}

variable "kms_encrypted" {
  description = "Encrypt with kms_key_arn. false means SSE-S3, for the one writer that cannot do better: load balancer access logs"
  type        = bool
  default     = true
}

variable "kms_key_arn" {
  description = "The customer managed key; needed when kms_encrypted"
  type        = string
  default     = null
}

variable "policy_statements" {
  description = "Further statements of the bucket policy, after those that refuse plain HTTP and old TLS"
  type        = any
  default     = []
}

variable "object_lock_days" {
  description = "Default retention of every object; 0 makes a bucket without object lock"
  type        = number
  default     = 0
}

variable "object_lock_mode" {
  description = "GOVERNANCE lets a principal with s3:BypassGovernanceRetention shorten it; COMPLIANCE lets nobody"
  type        = string
  default     = "GOVERNANCE"

  validation {
    condition     = contains(["GOVERNANCE", "COMPLIANCE"], var.object_lock_mode)
    error_message = "The mode is GOVERNANCE or COMPLIANCE."
  }
}

variable "expire_days" {
  description = "Age at which objects expire"
  type        = number
}

variable "noncurrent_expire_days" {
  description = "Age at which overwritten or deleted versions go"
  type        = number
  default     = 90
}

variable "force_destroy" {
  description = "Let destroy delete a bucket that still has objects; only for emulator runs"
  type        = bool
  default     = false
}
