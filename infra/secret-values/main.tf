# The values of one country's secrets: made by Secrets Manager, passed on as ephemeral results into write-only arguments, and so in
# no plan, no state and no variable. A root of its own, so that a rotation is an apply of this and touches nothing else:
#
#   terraform -chdir=infra/secret-values apply -var country_code=es -var aws_region=eu-south-2 -var account_id=111122223333 \
#     -var 'versions={"db-app"=2,"db-ops"=1,"db-owner"=1}'
#
# Raising a secret's version writes a new value. The database must learn a new password as well (adr/RUNBOOK.md).
# The API key is made here once; its rotation keeps the key before it in API_SECRET_KEY_PREVIOUS, which only the runbook's steps know.

terraform {
  required_version = ">= 1.11.0, < 2.0.0"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }

  # -backend-config=../environments/COUNTRY/backend/REGION.s3.tfbackend -backend-config="key=payments/COUNTRY/secret-values.tfstate"
  backend "s3" {
    encrypt      = true
    use_lockfile = true
  }
}

provider "aws" {
  region              = var.aws_region
  allowed_account_ids = [var.account_id]
}

locals {
  prefix = "payment-latency-api-${var.country_code}"
  logins = { db-app = var.app_user, db-ops = var.ops_user, db-owner = var.owner_user }
}

ephemeral "aws_secretsmanager_random_password" "this" {
  for_each = toset(["api-key", "db-app", "db-ops", "db-owner"])

  password_length     = 64
  exclude_punctuation = true
}

resource "aws_secretsmanager_secret_version" "api_key" {
  secret_id                = "${local.prefix}/api-key"
  secret_string_wo_version = 1
  secret_string_wo = jsonencode({
    API_SECRET_KEY          = ephemeral.aws_secretsmanager_random_password.this["api-key"].random_password
    API_SECRET_KEY_PREVIOUS = ""
  })

  lifecycle {
    create_before_destroy = true # the secret always has a current value
  }
}

resource "aws_secretsmanager_secret_version" "login" {
  for_each = local.logins

  secret_id                = "${local.prefix}/${each.key}"
  secret_string_wo_version = var.versions[each.key]
  secret_string_wo = jsonencode({
    username = each.value
    password = ephemeral.aws_secretsmanager_random_password.this[each.key].random_password
  })

  lifecycle {
    create_before_destroy = true
  }
}
