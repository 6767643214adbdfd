# The bucket and the key of one country's state. Applied once per country, before everything else:
#   terraform -chdir=infra/bootstrap apply -var country_code=es -var aws_region=eu-south-2 -var account_id=111122223333
# Its own state is a local file that holds no secret; keep it, or import the four resources again.

terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region              = var.aws_region
  allowed_account_ids = [var.account_id]

  default_tags {
    tags = {
      Project       = "payment-latency-api"
      DataResidency = { es = "eu", mx = "mx" }[var.country_code]
      Region        = var.aws_region
      ManagedBy     = "terraform"
    }
  }
}

locals {
  name = "payments-${var.country_code}"
}

resource "aws_kms_key" "state" {
  description             = "${local.name}: Terraform state"
  enable_key_rotation     = true
  rotation_period_in_days = 365
  multi_region            = false
  deletion_window_in_days = 30

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "AdministrationAndUseByIamOfThisAccount"
        Effect    = "Allow"
        Principal = { AWS = "arn:aws:iam::${var.account_id}:root" }
        Action = [
          "kms:CancelKeyDeletion",
          "kms:CreateAlias",
          "kms:Decrypt",
          "kms:DeleteAlias",
          "kms:DescribeKey",
          "kms:EnableKeyRotation",
          "kms:GenerateDataKey",
          "kms:GetKeyPolicy",
          "kms:GetKeyRotationStatus",
          "kms:ListResourceTags",
          "kms:PutKeyPolicy",
          "kms:ScheduleKeyDeletion",
          "kms:TagResource",
          "kms:UntagResource",
          "kms:UpdateKeyDescription",
        ]
        Resource = "*" # in a key policy: this key
      },
    ]
  })
}

resource "aws_kms_alias" "state" {
  name          = "alias/${local.name}/state"
  target_key_id = aws_kms_key.state.key_id
}

module "state" {
  source = "../modules/bucket"

  name                   = "${local.name}-state-${var.account_id}-${var.aws_region}"
  kms_key_arn            = aws_kms_key.state.arn
  expire_days            = 36500 # state has no age
  noncurrent_expire_days = 365
  force_destroy          = var.force_destroy
}
