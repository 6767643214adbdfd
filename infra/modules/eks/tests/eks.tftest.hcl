mock_provider "aws" {
  mock_data "aws_caller_identity" {
    defaults = { account_id = "111122223333" }
  }
}

variables {
  name                        = "payments-es"
  region                      = "eu-south-2"
  vpc_id                      = "vpc-00000001"
  private_subnet_ids          = ["subnet-00000001", "subnet-00000002", "subnet-00000003"]
  secrets_kms_key_arn         = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001"
  ebs_kms_key_arn             = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000002"
  logs_kms_key_arn            = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000003"
  secrets_manager_kms_key_arn = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000004"
  secret_readers = {
    api = {
      namespace       = "payments"
      service_account = "payment-latency-api-secrets"
      secret_arns     = ["arn:aws:secretsmanager:eu-south-2:111122223333:secret:payment-latency-api-es/api-key-AbCdEf", "arn:aws:secretsmanager:eu-south-2:111122223333:secret:payment-latency-api-es/db-app-AbCdEf"]
    }
    migrate = {
      namespace       = "payments"
      service_account = "payment-latency-api-migrate-secrets"
      secret_arns     = ["arn:aws:secretsmanager:eu-south-2:111122223333:secret:payment-latency-api-es/db-owner-AbCdEf"]
    }
  }
}

run "volumes_and_add_ons" {
  command = plan

  assert {
    condition     = alltrue([for m in local.block_device_mappings : m.ebs.encrypted && m.ebs.kms_key_id == var.ebs_kms_key_arn && m.ebs.volume_type == "gp3"])
    error_message = "Every volume of a node is gp3 and encrypted with the own key."
  }

  assert {
    condition     = length(local.block_device_mappings) == 2
    error_message = "Bottlerocket has two volumes."
  }

  assert {
    condition     = local.addons["vpc-cni"].before_compute && jsondecode(local.addons["vpc-cni"].configuration_values).enableNetworkPolicy == "true"
    error_message = "Without it the chart's NetworkPolicy is ignored."
  }

  assert {
    condition     = contains(keys(local.addons), "metrics-server")
    error_message = "Without it the autoscaler has no numbers."
  }
}

run "each_reader_reads_its_own" {
  command = plan

  assert {
    condition = alltrue(flatten([
      for policy in aws_iam_policy.secret_reader : [
        for s in jsondecode(policy.policy).Statement : [for x in concat(s.Action, s.Resource) : !strcontains(x, "*")]
      ]
    ]))
    error_message = "No wildcard, neither in actions nor in resources."
  }

  assert {
    condition     = toset(jsondecode(aws_iam_policy.secret_reader["api"].policy).Statement[0].Resource) == toset(var.secret_readers.api.secret_arns)
    error_message = "The service's reader reads the API key and the service's login."
  }

  assert {
    condition     = !strcontains(aws_iam_policy.secret_reader["api"].policy, "db-owner")
    error_message = "The service's reader cannot read the schema owner's login."
  }

  assert {
    condition     = jsondecode(aws_iam_policy.secret_reader["migrate"].policy).Statement[1].Condition.StringEquals["kms:ViaService"] == "secretsmanager.eu-south-2.amazonaws.com"
    error_message = "Decryption only through Secrets Manager of the own region."
  }
}

run "amazon_linux_has_one_volume" {
  command = plan

  variables {
    node_ami_type = "AL2023_ARM_64_STANDARD"
  }

  assert {
    condition     = keys(local.block_device_mappings) == ["xvda"]
    error_message = "One volume."
  }
}

run "the_open_internet_is_refused" {
  command         = plan
  expect_failures = [var.endpoint_public_access_cidrs]

  variables {
    endpoint_public_access_cidrs = ["0.0.0.0/0"]
  }
}

run "an_old_kubernetes_is_refused" {
  command         = plan
  expect_failures = [var.kubernetes_version]

  variables {
    kubernetes_version = "1.33"
  }
}

run "a_family_that_spain_lacks_is_refused" {
  command         = plan
  expect_failures = [var.node_instance_types]

  variables {
    node_instance_types = ["m6i.large"]
  }
}

run "nodes_that_cannot_scale_are_refused" {
  command         = plan
  expect_failures = [var.node_count]

  variables {
    node_count = { min = 3, max = 3, desired = 3 }
  }
}

run "a_wildcard_administrator_is_refused" {
  command         = plan
  expect_failures = [var.admin_role_arns]

  variables {
    admin_role_arns = ["arn:aws:iam::111122223333:role/*"]
  }
}
