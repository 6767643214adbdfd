# Everything one country needs, wired. Both countries call this module; what differs is in their values.

data "aws_availability_zones" "available" {
  state            = "available"
  exclude_zone_ids = ["use1-az3"] # has no EKS control plane

  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

locals {
  trail_arn       = "arn:aws:cloudtrail:${var.region}:${var.account_id}:trail/${var.name}-trail"
  secret_prefix   = "payment-latency-api-${var.country_code}"
  alb_logs_bucket = "${var.name}-alb-logs-${var.account_id}-${var.region}"
}

module "kms" {
  source = "../kms"

  name                 = var.name
  account_id           = var.account_id
  region               = var.region
  trail_arn            = local.trail_arn
  deletion_window_days = var.deletion_protection ? 30 : 7
}

module "vpc" {
  source = "../vpc"

  name                 = var.name
  account_id           = var.account_id
  region               = var.region
  cidr                 = var.vpc_cidr
  availability_zones   = slice(data.aws_availability_zones.available.names, 0, 3)
  nat_gateway_per_zone = var.nat_gateway_per_zone
  logs_kms_key_arn     = module.kms.key_arns["logs"]
  log_retention_days   = var.log_retention_days
}

module "eks" {
  source = "../eks"

  name                         = var.name
  region                       = var.region
  kubernetes_version           = var.kubernetes_version
  vpc_id                       = module.vpc.vpc_id
  private_subnet_ids           = module.vpc.private_subnet_ids
  endpoint_public_access_cidrs = var.endpoint_public_access_cidrs
  admin_role_arns              = var.cluster_admin_role_arns
  node_ami_type                = var.node_ami_type
  node_instance_types          = var.node_instance_types
  node_count                   = var.node_count
  addon_versions               = var.addon_versions

  secrets_kms_key_arn         = module.kms.key_arns["eks"]
  ebs_kms_key_arn             = module.kms.key_arns["ebs"]
  logs_kms_key_arn            = module.kms.key_arns["logs"]
  secrets_manager_kms_key_arn = module.kms.key_arns["secrets"]
  log_retention_days          = var.log_retention_days

  # The service's secrets and the schema owner's have different readers.
  secret_readers = {
    api = {
      namespace       = var.namespace
      service_account = "${var.release_name}-secrets"
      secret_arns     = [for purpose in ["api-key", "db-app", "db-ops"] : local.secret_arns[purpose]]
    }
    migrate = {
      namespace       = var.namespace
      service_account = "${var.release_name}-migrate-secrets"
      secret_arns     = [local.secret_arns["db-owner"]]
    }
  }
}

module "rds" {
  source = "../rds"

  name                       = var.name
  engine_version             = var.database_engine_version
  instance_class             = var.database_instance_class
  storage_gib                = var.database_storage_gib
  multi_az                   = var.database_multi_az
  backup_retention_days      = var.database_backup_retention_days
  deletion_protection        = var.deletion_protection
  vpc_id                     = module.vpc.vpc_id
  database_subnet_group_name = module.vpc.database_subnet_group_name
  database_subnet_ids        = module.vpc.database_subnet_ids
  client_security_group_ids  = { nodes = module.eks.node_security_group_id }
  kms_key_arn                = module.kms.key_arns["rds"]
  secrets_kms_key_arn        = module.kms.key_arns["secrets"]
  logs_kms_key_arn           = module.kms.key_arns["logs"]
  log_retention_days         = var.log_retention_days
  proxy_enabled              = var.rds_proxy_enabled
  proxy_secret_arn           = local.secret_arns["db-app"]
}

module "ecr" {
  source = "../ecr"

  name           = "payment-latency-api"
  kms_key_arn    = module.kms.key_arns["ecr"]
  pull_role_arns = [module.eks.node_role_arn]
  force_delete   = !var.deletion_protection
}

# Access logs of the load balancer. Its writer can use SSE-S3 only.
module "alb_logs" {
  source = "../bucket"

  name          = local.alb_logs_bucket
  kms_encrypted = false
  expire_days   = 400
  force_destroy = !var.deletion_protection

  policy_statements = [
    {
      Sid       = "LoadBalancersWriteTheirLogs"
      Effect    = "Allow"
      Principal = { Service = "logdelivery.elasticloadbalancing.amazonaws.com" }
      Action    = ["s3:PutObject"]
      Resource  = ["arn:aws:s3:::${local.alb_logs_bucket}/${var.release_name}/AWSLogs/${var.account_id}/*"]
      Condition = { StringEquals = { "aws:SourceAccount" = var.account_id } }
    },
  ]
}

module "audit" {
  source = "../audit"

  name               = var.name
  account_id         = var.account_id
  region             = var.region
  kms_key_arn        = module.kms.key_arns["audit"]
  logs_kms_key_arn   = module.kms.key_arns["logs"]
  multi_region       = var.trail_multi_region
  global_events      = var.trail_global_events
  data_bucket_arns   = [module.alb_logs.arn]
  object_lock_days   = var.deletion_protection ? var.trail_lock_days : 0
  log_retention_days = var.log_retention_days
  force_destroy      = !var.deletion_protection
}

module "guardrails" {
  source = "../guardrails"

  name             = var.name
  country          = var.country
  allowed_regions  = [var.region]
  enabled          = var.guardrails_enabled
  target_ids       = var.guardrails_target_ids
  exempt_role_arns = ["arn:aws:iam::${var.account_id}:role/${var.terraform_role_name}"]
}
