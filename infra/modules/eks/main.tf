# The cluster of one country: private API endpoint, every log type, secrets under an own key, nodes that scale.

locals {
  # Bottlerocket keeps the system on xvda and the containers on xvdb; Amazon Linux has one volume.
  volumes = startswith(var.node_ami_type, "BOTTLEROCKET") ? { "/dev/xvda" = 4, "/dev/xvdb" = var.node_disk_gib } : { "/dev/xvda" = var.node_disk_gib }

  block_device_mappings = {
    for device, size in local.volumes : trimprefix(device, "/dev/") => {
      device_name = device
      ebs = {
        volume_type           = "gp3"
        volume_size           = size
        encrypted             = true
        kms_key_id            = var.ebs_kms_key_arn
        delete_on_termination = true
      }
    }
  }

  addons = {
    # Before the nodes: without its network plug-in a node never becomes ready.
    vpc-cni = {
      before_compute              = true
      service_account_role_arn    = module.vpc_cni_role.iam_role_arn
      configuration_values        = jsonencode({ enableNetworkPolicy = "true" })
      addon_version               = lookup(var.addon_versions, "vpc-cni", null)
      resolve_conflicts_on_create = "OVERWRITE"
      resolve_conflicts_on_update = "OVERWRITE"
    }
    kube-proxy = {
      before_compute              = true
      addon_version               = lookup(var.addon_versions, "kube-proxy", null)
      resolve_conflicts_on_create = "OVERWRITE"
    }
    coredns = {
      addon_version               = lookup(var.addon_versions, "coredns", null)
      resolve_conflicts_on_create = "OVERWRITE"
    }
    # The horizontal pod autoscaler reads its numbers.
    metrics-server = {
      addon_version               = lookup(var.addon_versions, "metrics-server", null)
      resolve_conflicts_on_create = "OVERWRITE"
    }
    aws-ebs-csi-driver = {
      service_account_role_arn    = module.ebs_csi_role.iam_role_arn
      addon_version               = lookup(var.addon_versions, "aws-ebs-csi-driver", null)
      resolve_conflicts_on_create = "OVERWRITE"
    }
  }
}

module "eks" {
  source  = "terraform-aws-modules/eks/aws"
  version = "20.37.2"

  cluster_name    = var.name
  cluster_version = var.kubernetes_version

  vpc_id                   = var.vpc_id
  subnet_ids               = var.private_subnet_ids
  control_plane_subnet_ids = var.private_subnet_ids

  cluster_endpoint_private_access      = true
  cluster_endpoint_public_access       = length(var.endpoint_public_access_cidrs) > 0
  cluster_endpoint_public_access_cidrs = var.endpoint_public_access_cidrs

  cluster_enabled_log_types              = ["api", "audit", "authenticator", "controllerManager", "scheduler"]
  create_cloudwatch_log_group            = true
  cloudwatch_log_group_retention_in_days = var.log_retention_days
  cloudwatch_log_group_kms_key_id        = var.logs_kms_key_arn

  create_kms_key = false
  cluster_encryption_config = {
    provider_key_arn = var.secrets_kms_key_arn
    resources        = ["secrets"]
  }

  authentication_mode                      = "API"
  enable_cluster_creator_admin_permissions = false
  access_entries = {
    for index, arn in var.admin_role_arns : "admin-${index}" => {
      principal_arn = arn
      policy_associations = {
        admin = {
          policy_arn   = "arn:aws:eks::aws:cluster-access-policy/AmazonEKSClusterAdminPolicy"
          access_scope = { type = "cluster" }
        }
      }
    }
  }

  enable_irsa = true
  # IAM checks the issuer's certificate by its own list of authorities; a look-up of the issuer at plan time adds nothing.
  include_oidc_root_ca_thumbprint = false

  bootstrap_self_managed_addons = false
  cluster_upgrade_policy        = { support_type = "STANDARD" }
  cluster_addons                = local.addons

  eks_managed_node_groups = {
    payments = {
      ami_type       = var.node_ami_type
      instance_types = var.node_instance_types
      capacity_type  = "ON_DEMAND"
      subnet_ids     = var.private_subnet_ids

      min_size     = var.node_count.min
      max_size     = var.node_count.max
      desired_size = var.node_count.desired

      block_device_mappings = local.block_device_mappings
      ebs_optimized         = true
      enable_monitoring     = true

      metadata_options = {
        http_endpoint               = "enabled"
        http_tokens                 = "required"
        http_put_response_hop_limit = 1
        instance_metadata_tags      = "disabled"
      }

      update_config              = { max_unavailable = 1 }
      node_repair_config         = { enabled = true }
      iam_role_name              = "${var.name}-node"
      iam_role_use_name_prefix   = false
      iam_role_attach_cni_policy = false # the plug-in has a role of its own
      labels                     = { workload = "payments" }
    }
  }
}
