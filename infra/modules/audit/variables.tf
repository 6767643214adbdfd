variable "name" {
  description = "First part of every name"
  type        = string
}

variable "account_id" {
  description = "The account that is recorded"
  type        = string
}

variable "region" {
  description = "Home region of the trail, its bucket and its log group"
  type        = string
}

variable "kms_key_arn" {
  description = "Key of the trail, the bucket and the topic"
  type        = string
}

variable "logs_kms_key_arn" {
  description = "Key of the log group"
  type        = string
}

variable "multi_region" {
  description = "Record all regions. Right when each country has an account of its own; with one shared account it would carry the other country's events here"
  type        = bool
  default     = true
}

variable "global_events" {
  description = "Record IAM, STS and CloudFront; outside us-east-1 only a trail of all regions receives them"
  type        = bool
  default     = true
}

variable "data_bucket_arns" {
  description = "Buckets whose object reads and writes are recorded"
  type        = list(string)
  default     = []
}

variable "object_lock_days" {
  description = "Days for which a log file cannot be deleted; 0 only for emulator runs"
  type        = number
  default     = 365
}

variable "object_lock_mode" {
  description = "GOVERNANCE or COMPLIANCE"
  type        = string
  default     = "GOVERNANCE"
}

variable "retention_days" {
  description = "Days after which log files expire"
  type        = number
  default     = 2557

  validation {
    condition     = var.retention_days >= 365
    error_message = "Audit files are kept for a year or longer."
  }
}

variable "log_retention_days" {
  description = "Retention of the log group"
  type        = number
  default     = 365
}

variable "force_destroy" {
  description = "Let destroy delete a bucket with files; only for emulator runs"
  type        = bool
  default     = false
}
