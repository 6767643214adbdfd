# One role per service account (IRSA). Nothing else in the cluster may assume it, and pods cannot borrow the node's role: the
# metadata service is one hop away from them. The payment service itself has no AWS role, because it calls no AWS API.

locals {
  readers = {
    for reader, settings in var.secret_readers : reader => merge(settings, {
      policy = jsonencode({
        Version = "2012-10-17"
        Statement = [
          {
            Sid      = "ReadExactlyTheseSecrets"
            Effect   = "Allow"
            Action   = ["secretsmanager:DescribeSecret", "secretsmanager:GetSecretValue"]
            Resource = settings.secret_arns
          },
          {
            Sid       = "DecryptThemThroughSecretsManager"
            Effect    = "Allow"
            Action    = ["kms:Decrypt"]
            Resource  = [var.secrets_manager_kms_key_arn]
            Condition = { StringEquals = { "kms:ViaService" = "secretsmanager.${var.region}.amazonaws.com" } }
          },
        ]
      })
    })
  }
}

resource "aws_iam_policy" "secret_reader" {
  for_each = local.readers

  name        = "${var.name}-${each.key}-secrets"
  description = "External Secrets reads what ${each.value.namespace}/${each.value.service_account} needs"
  policy      = each.value.policy
}

module "secret_reader_role" {
  source   = "terraform-aws-modules/iam/aws//modules/iam-role-for-service-accounts-eks"
  version  = "5.60.0"
  for_each = local.readers

  role_name        = "${var.name}-${each.key}-secrets"
  role_description = "External Secrets, as ${each.value.namespace}/${each.value.service_account}"
  role_policy_arns = { read = aws_iam_policy.secret_reader[each.key].arn }

  oidc_providers = {
    cluster = {
      provider_arn               = module.eks.oidc_provider_arn
      namespace_service_accounts = ["${each.value.namespace}:${each.value.service_account}"]
    }
  }
}

module "load_balancer_controller_role" {
  source  = "terraform-aws-modules/iam/aws//modules/iam-role-for-service-accounts-eks"
  version = "5.60.0"

  role_name                              = "${var.name}-load-balancer-controller"
  role_description                       = "AWS Load Balancer Controller"
  policy_name_prefix                     = "${var.name}-"
  attach_load_balancer_controller_policy = true

  oidc_providers = {
    cluster = {
      provider_arn               = module.eks.oidc_provider_arn
      namespace_service_accounts = ["kube-system:aws-load-balancer-controller"]
    }
  }
}

module "vpc_cni_role" {
  source  = "terraform-aws-modules/iam/aws//modules/iam-role-for-service-accounts-eks"
  version = "5.60.0"

  role_name             = "${var.name}-vpc-cni"
  role_description      = "VPC network plug-in"
  policy_name_prefix    = "${var.name}-"
  attach_vpc_cni_policy = true
  vpc_cni_enable_ipv4   = true

  oidc_providers = {
    cluster = {
      provider_arn               = module.eks.oidc_provider_arn
      namespace_service_accounts = ["kube-system:aws-node"]
    }
  }
}

module "ebs_csi_role" {
  source  = "terraform-aws-modules/iam/aws//modules/iam-role-for-service-accounts-eks"
  version = "5.60.0"

  role_name             = "${var.name}-ebs-csi"
  role_description      = "EBS storage driver"
  policy_name_prefix    = "${var.name}-"
  attach_ebs_csi_policy = true
  ebs_csi_kms_cmk_ids   = [var.ebs_kms_key_arn]

  oidc_providers = {
    cluster = {
      provider_arn               = module.eks.oidc_provider_arn
      namespace_service_accounts = ["kube-system:ebs-csi-controller-sa"]
    }
  }
}
