# Contract stub: stands in for terraform-aws-modules/iam/aws//modules/iam-role-for-service-accounts-eks 5.60.0 where that module is not at hand.
# It is not that module and holds none of its code. 

resource "terraform_data" "received" {
  input = {
    role_name                              = var.role_name
    role_description                       = var.role_description
    policy_name_prefix                     = var.policy_name_prefix
    role_policy_arns                       = var.role_policy_arns
    oidc_providers                         = var.oidc_providers
    attach_load_balancer_controller_policy = var.attach_load_balancer_controller_policy
    attach_vpc_cni_policy                  = var.attach_vpc_cni_policy
    vpc_cni_enable_ipv4                    = var.vpc_cni_enable_ipv4
    attach_ebs_csi_policy                  = var.attach_ebs_csi_policy
    ebs_csi_kms_cmk_ids                    = var.ebs_csi_kms_cmk_ids
  }
}

data "aws_caller_identity" "current" {}
