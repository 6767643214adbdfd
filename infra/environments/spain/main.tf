terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # The rest is in backend/REGION.s3.tfbackend: state lies in the country's region, in the country's account.
  backend "s3" {
    key          = "payments/spain/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.aws_region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      Project            = "payment-latency-api"
      Country            = "spain"
      DataResidency      = "eu"
      DataClassification = "payments"
      Region             = var.aws_region
      ManagedBy          = "terraform"
    }
  }
}

module "platform" {
  source = "../../modules/platform"

  name           = "payments-es"
  country        = "spain"
  country_code   = "es"
  data_residency = "eu"
  region         = var.aws_region
  account_id     = var.account_id
  vpc_cidr       = var.vpc_cidr
  namespace      = "payments-spain"

  nat_gateway_per_zone         = var.nat_gateway_per_zone
  kubernetes_version           = var.kubernetes_version
  endpoint_public_access_cidrs = var.endpoint_public_access_cidrs
  cluster_admin_role_arns      = var.cluster_admin_role_arns
  node_instance_types          = var.node_instance_types
  node_count                   = var.node_count
  database_instance_class      = var.database_instance_class
  rds_proxy_enabled            = var.rds_proxy_enabled
  trail_multi_region           = var.trail_multi_region
  guardrails_enabled           = var.guardrails_enabled
  guardrails_target_ids        = var.guardrails_target_ids
  deletion_protection          = var.deletion_protection
}
