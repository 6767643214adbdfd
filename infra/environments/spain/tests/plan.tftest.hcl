# One plan of the whole root. test/infra/test_terraform_quick.py reads it as JSON and asserts on what the public modules receive
# and on every policy of ours, which assertions here cannot see.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["zone-a", "zone-b", "zone-c", "zone-d"] }
  }

  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }

  # Known while planning, so that the policies which name them are too.
  mock_resource "aws_kms_key" {
    override_during = plan
    defaults        = { arn = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001" }
  }

  mock_resource "aws_secretsmanager_secret" {
    override_during = plan
    defaults        = { arn = "arn:aws:secretsmanager:eu-south-2:111122223333:secret:mocked-AbCdEf" }
  }

  mock_resource "aws_sns_topic" {
    override_during = plan
    defaults        = { arn = "arn:aws:sns:eu-south-2:111122223333:mocked" }
  }
}

run "whole" {
  command = plan

  variables {
    account_id              = "111122223333"
    cluster_admin_role_arns = ["arn:aws:iam::111122223333:role/payments-operators"]
    rds_proxy_enabled       = true
  }
}
