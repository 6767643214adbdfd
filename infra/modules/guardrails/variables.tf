variable "name" {
  description = "First part of the policy's name"
  type        = string
}

variable "country" {
  description = "Country code, for the description"
  type        = string
}

variable "allowed_regions" {
  description = "Regions in which the country's account may act"
  type        = list(string)

  validation {
    condition     = length(var.allowed_regions) > 0 && !anytrue([for region in var.allowed_regions : strcontains(region, "*")])
    error_message = "Name at least one region, none with a wildcard."
  }
}

variable "enabled" {
  description = "Create the policy; needs the management account of an organization"
  type        = bool
  default     = false
}

variable "target_ids" {
  description = "Accounts or organizational units to attach it to"
  type        = list(string)
  default     = []
}

variable "exempt_role_arns" {
  description = "Roles that may change the trail and the public access blocks: the pipeline that applies this code"
  type        = list(string)

  validation {
    condition     = length(var.exempt_role_arns) > 0 && alltrue([for arn in var.exempt_role_arns : can(regex("^arn:aws:iam::[0-9]{12}:role/[A-Za-z0-9+=,.@_/-]+$", arn))])
    error_message = "Name at least one role, by its whole ARN."
  }
}
