# Inputs of terraform-aws-modules/iam/aws//modules/iam-role-for-service-accounts-eks 5.60.0 that this project sets, with the types it expects.

variable "role_name" {
  type = string
}

variable "role_description" {
  type = string
}

variable "policy_name_prefix" {
  type    = string
  default = "AmazonEKS_"
}

variable "role_policy_arns" {
  type    = map(string)
  default = {}
}

variable "oidc_providers" {
  type = map(object({ provider_arn = string, namespace_service_accounts = list(string) }))
}

variable "attach_load_balancer_controller_policy" {
  type    = bool
  default = false
}

variable "attach_vpc_cni_policy" {
  type    = bool
  default = false
}

variable "vpc_cni_enable_ipv4" {
  type    = bool
  default = false
}

variable "attach_ebs_csi_policy" {
  type    = bool
  default = false
}

variable "ebs_csi_kms_cmk_ids" {
  type    = list(string)
  default = []
}
