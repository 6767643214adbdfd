# The whole root of Mexico, planned with a mocked AWS, in both regions it may have.

mock_provider "aws" {
  mock_data "aws_availability_zones" {
    defaults = { names = ["zone-a", "zone-b", "zone-c", "zone-d"] }
  }
}

variables {
  account_id = "444455556666"
}

run "default_is_us_east_1" {
  command = plan

  assert {
    condition     = output.chart_values.region == "us-east-1" && output.argocd_cluster.labels.region == "us-east-1"
    error_message = "The default is us-east-1."
  }

  assert {
    condition     = output.argocd_cluster.labels["data-residency"] == "mx"
    error_message = "The data is Mexico's, wherever it is kept: the tag says so."
  }

  assert {
    condition     = jsondecode(output.residency_policy_json).Statement[0].Condition.StringNotEquals["aws:RequestedRegion"] == ["us-east-1"]
    error_message = "The guardrail follows the region."
  }
}

run "one_switch_moves_it_to_mexico" {
  command = plan

  variables {
    aws_region = "mx-central-1"
  }

  assert {
    condition     = output.chart_values.region == "mx-central-1" && keys(output.chart_values.regions) == ["mx-central-1"]
    error_message = "aws_region alone moves everything."
  }

  assert {
    condition     = !strcontains(jsonencode(output.chart_values.regions), "us-east-1") && !strcontains(output.residency_policy_json, "us-east-1")
    error_message = "Nothing of it stays in us-east-1."
  }

  assert {
    condition     = output.chart_values.externalSecrets.prefix == "payment-latency-api-mx"
    error_message = "External Secrets reads the secrets under the country's own prefix."
  }
}

run "spains_region_is_refused" {
  command         = plan
  expect_failures = [var.aws_region]

  variables {
    aws_region = "eu-south-2"
  }
}

run "another_american_region_is_refused" {
  command         = plan
  expect_failures = [var.aws_region]

  variables {
    aws_region = "us-east-2"
  }
}

run "open_api_endpoint_is_refused" {
  command         = plan
  expect_failures = [var.endpoint_public_access_cidrs]

  variables {
    endpoint_public_access_cidrs = ["::/0"]
  }
}
