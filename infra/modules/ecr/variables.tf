variable "name" {
  description = "Name of the repository"
  type        = string
}

variable "kms_key_arn" {
  description = "Key that encrypts the images"
  type        = string
}

variable "pull_role_arns" {
  description = "Roles that may pull"
  type        = list(string)
  default     = []
}

variable "keep_images" {
  description = "How many images stay"
  type        = number
  default     = 50
}

variable "force_delete" {
  description = "Let destroy delete a repository that still has images; only for emulator runs"
  type        = bool
  default     = false
}
