# Inputs of terraform-aws-modules/eks/aws 20.37.2 that this project sets, with the types it expects.

variable "cluster_name" {
  type = string
}

variable "cluster_version" {
  type = string
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type = list(string)
}

variable "control_plane_subnet_ids" {
  type = list(string)
}

variable "cluster_endpoint_private_access" {
  type = bool
}

variable "cluster_endpoint_public_access" {
  type = bool
}

variable "cluster_endpoint_public_access_cidrs" {
  type = list(string)
}

variable "cluster_enabled_log_types" {
  type = list(string)
}

variable "create_cloudwatch_log_group" {
  type = bool
}

variable "cloudwatch_log_group_retention_in_days" {
  type = number
}

variable "cloudwatch_log_group_kms_key_id" {
  type = string
}

variable "create_kms_key" {
  type = bool
}

variable "cluster_encryption_config" {
  type = object({ provider_key_arn = string, resources = list(string) })
}

variable "authentication_mode" {
  type = string
}

variable "enable_cluster_creator_admin_permissions" {
  type = bool
}

variable "access_entries" {
  type = map(object({
    principal_arn = string
    policy_associations = map(object({
      policy_arn   = string
      access_scope = map(string)
    }))
  }))
}

variable "enable_irsa" {
  type = bool
}

variable "include_oidc_root_ca_thumbprint" {
  type = bool
}

variable "bootstrap_self_managed_addons" {
  type = bool
}

variable "cluster_upgrade_policy" {
  type = object({ support_type = string })
}

variable "cluster_addons" {
  type = map(object({
    addon_version               = optional(string)
    before_compute              = optional(bool)
    configuration_values        = optional(string)
    resolve_conflicts_on_create = optional(string)
    resolve_conflicts_on_update = optional(string)
    service_account_role_arn    = optional(string)
  }))
}

variable "eks_managed_node_groups" {
  type = map(object({
    ami_type                   = string
    instance_types             = list(string)
    capacity_type              = string
    subnet_ids                 = list(string)
    min_size                   = number
    max_size                   = number
    desired_size               = number
    ebs_optimized              = bool
    enable_monitoring          = bool
    update_config              = map(number)
    node_repair_config         = map(bool)
    iam_role_name              = string
    iam_role_use_name_prefix   = bool
    iam_role_attach_cni_policy = bool
    labels                     = map(string)
    block_device_mappings = map(object({
      device_name = string
      ebs = object({
        volume_type           = string
        volume_size           = number
        encrypted             = bool
        kms_key_id            = string
        delete_on_termination = bool
      })
    }))
    metadata_options = object({
      http_endpoint               = string
      http_tokens                 = string
      http_put_response_hop_limit = number
      instance_metadata_tags      = string
    })
  }))
}
