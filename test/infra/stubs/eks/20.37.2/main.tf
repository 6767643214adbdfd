# Contract stub: stands in for terraform-aws-modules/eks/aws 20.37.2 where that module is not at hand.
# It is not that module and holds none of its code. The few resources below exist because ours refer to them.

resource "terraform_data" "received" {
  input = {
    cluster_name                             = var.cluster_name
    cluster_version                          = var.cluster_version
    vpc_id                                   = var.vpc_id
    subnet_ids                               = var.subnet_ids
    control_plane_subnet_ids                 = var.control_plane_subnet_ids
    cluster_endpoint_private_access          = var.cluster_endpoint_private_access
    cluster_endpoint_public_access           = var.cluster_endpoint_public_access
    cluster_endpoint_public_access_cidrs     = var.cluster_endpoint_public_access_cidrs
    cluster_enabled_log_types                = var.cluster_enabled_log_types
    create_cloudwatch_log_group              = var.create_cloudwatch_log_group
    cloudwatch_log_group_retention_in_days   = var.cloudwatch_log_group_retention_in_days
    cloudwatch_log_group_kms_key_id          = var.cloudwatch_log_group_kms_key_id
    create_kms_key                           = var.create_kms_key
    cluster_encryption_config                = var.cluster_encryption_config
    authentication_mode                      = var.authentication_mode
    enable_cluster_creator_admin_permissions = var.enable_cluster_creator_admin_permissions
    access_entries                           = var.access_entries
    enable_irsa                              = var.enable_irsa
    include_oidc_root_ca_thumbprint          = var.include_oidc_root_ca_thumbprint
    bootstrap_self_managed_addons            = var.bootstrap_self_managed_addons
    cluster_upgrade_policy                   = var.cluster_upgrade_policy
    cluster_addons                           = var.cluster_addons
    eks_managed_node_groups                  = var.eks_managed_node_groups
  }
}

data "aws_caller_identity" "current" {}

# The database's rule refers to the nodes' security group.
resource "aws_security_group" "node" {
  name_prefix = "${var.cluster_name}-node-"
  description = "nodes"
  vpc_id      = var.vpc_id
}
