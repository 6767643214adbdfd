mock_provider "aws" {}

variables {
  name             = "payments-es"
  country          = "spain"
  allowed_regions  = ["eu-south-2"]
  exempt_role_arns = ["arn:aws:iam::111122223333:role/payments-terraform"]
}

run "off_by_default" {
  command = plan

  assert {
    condition     = length(aws_organizations_policy.this) == 0 && length(aws_organizations_policy_attachment.this) == 0
    error_message = "It is created only where somebody asks for it."
  }
}

run "the_policy" {
  command = plan

  variables {
    enabled    = true
    target_ids = ["111122223333"]
  }

  assert {
    condition     = alltrue([for s in jsondecode(output.policy_json).Statement : s.Effect == "Deny"])
    error_message = "A guardrail grants nothing."
  }

  assert {
    condition     = one([for s in jsondecode(output.policy_json).Statement : s if s.Sid == "StayInTheCountry"]).Condition.StringNotEquals["aws:RequestedRegion"] == ["eu-south-2"]
    error_message = "Every other region is denied."
  }

  assert {
    condition     = contains(one([for s in jsondecode(output.policy_json).Statement : s if s.Sid == "KeepTheTrail"]).Action, "cloudtrail:StopLogging")
    error_message = "Nobody but the pipeline stops the trail."
  }

  assert {
    condition = alltrue([
      for action in ["s3:PutReplicationConfiguration", "kms:ReplicateKey", "secretsmanager:ReplicateSecretToRegions", "rds:CopyDBSnapshot", "ecr:PutReplicationConfiguration"] :
      contains(one([for s in jsondecode(output.policy_json).Statement : s if s.Sid == "NoCopyToAnotherPlace"]).Action, action)
    ])
    error_message = "No way to copy data out."
  }

  assert {
    condition     = length(output.policy_json) <= 5120 && length(aws_organizations_policy_attachment.this) == 1
    error_message = "It fits, and is attached."
  }
}

run "a_wildcard_region_is_refused" {
  command         = plan
  expect_failures = [var.allowed_regions]

  variables {
    allowed_regions = ["eu-*"]
  }
}
