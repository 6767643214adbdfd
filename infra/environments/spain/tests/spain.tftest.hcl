# The whole root of Spain, planned with a mocked AWS.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["eu-south-2a", "eu-south-2b", "eu-south-2c"] }
  }
}

variables {
  account_id = "111122223333"
}

run "defaults" {
  command = plan

  assert {
    condition     = output.chart_values.region == "eu-south-2" && keys(output.chart_values.regions) == ["eu-south-2"]
    error_message = "Spain is served from eu-south-2 and nowhere else."
  }

  assert {
    condition     = output.argocd_cluster.labels == { country = "spain", data-residency = "eu", region = "eu-south-2" }
    error_message = "Argo CD chooses the cluster by these labels."
  }

  assert {
    condition     = output.chart_values.regions["eu-south-2"].databaseCidrs == ["10.10.48.0/24", "10.10.49.0/24", "10.10.50.0/24"]
    error_message = "The chart's network policy lets pods out to the database subnets."
  }

  assert {
    condition     = output.chart_values.regions["eu-south-2"].loadBalancerCidrs == ["10.10.0.0/20", "10.10.16.0/20", "10.10.32.0/20"]
    error_message = "The chart's network policy lets the public subnets' load balancer in."
  }

  assert {
    condition     = output.chart_values.externalSecrets.prefix == "payment-latency-api-es"
    error_message = "External Secrets reads the secrets under the country's own prefix."
  }

  assert {
    condition     = output.database_proxy_endpoint == null
    error_message = "RDS Proxy is off the service's path, and off by default."
  }

  assert {
    condition     = jsondecode(output.residency_policy_json).Statement[0].Condition.StringNotEquals["aws:RequestedRegion"] == ["eu-south-2"]
    error_message = "The guardrail leaves the account eu-south-2 only."
  }

  assert {
    condition     = !strcontains(output.residency_policy_json, "us-east-1") && !strcontains(output.residency_policy_json, "mx-central-1")
    error_message = "Nothing of Spain's policy names a region of Mexico."
  }
}

run "with_proxy" {
  command = plan

  variables {
    rds_proxy_enabled = true
  }

  assert {
    condition     = output.database_proxy_endpoint != null
    error_message = "The flag makes a proxy."
  }
}

run "milan_is_refused" {
  command         = plan
  expect_failures = [var.aws_region]

  variables {
    aws_region = "eu-south-1"
  }
}

run "mexicos_region_is_refused" {
  command         = plan
  expect_failures = [var.aws_region]

  variables {
    aws_region = "mx-central-1"
  }
}

run "open_api_endpoint_is_refused" {
  command         = plan
  expect_failures = [var.endpoint_public_access_cidrs]

  variables {
    endpoint_public_access_cidrs = ["0.0.0.0/0"]
  }
}

run "wide_api_endpoint_is_refused" {
  command         = plan
  expect_failures = [var.endpoint_public_access_cidrs]

  variables {
    endpoint_public_access_cidrs = ["203.0.113.0/24", "198.51.0.0/16"]
  }
}

run "a_wrong_account_is_refused" {
  command         = plan
  expect_failures = [var.account_id]

  variables {
    account_id = "1111-2222-3333"
  }
}
