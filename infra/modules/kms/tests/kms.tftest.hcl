mock_provider "aws" {}

variables {
  name       = "payments-es"
  account_id = "111122223333"
  region     = "eu-south-2"
  trail_arn  = "arn:aws:cloudtrail:eu-south-2:111122223333:trail/payments-es-trail"
}

run "one_key_per_purpose" {
  command = plan

  assert {
    condition     = toset(keys(aws_kms_key.this)) == toset(["audit", "ebs", "ecr", "eks", "logs", "rds", "secrets"])
    error_message = "Seven purposes, seven keys."
  }

  assert {
    condition     = alltrue([for key in aws_kms_key.this : key.enable_key_rotation])
    error_message = "Every key rotates."
  }

  assert {
    condition     = alltrue([for key in aws_kms_key.this : !key.multi_region])
    error_message = "No key can be replicated into another country."
  }

  assert {
    condition     = alltrue([for key in aws_kms_key.this : key.deletion_window_in_days == 30])
    error_message = "30 days to notice a deletion."
  }

  assert {
    condition = alltrue(flatten([
      for key in aws_kms_key.this : [for s in jsondecode(key.policy).Statement : [for action in s.Action : !strcontains(action, "*")]]
    ]))
    error_message = "No action of a key policy has a wildcard."
  }

  assert {
    condition = alltrue(flatten([
      for key in aws_kms_key.this : [for s in jsondecode(key.policy).Statement : try(s.Principal.AWS, "") != "*"]
    ]))
    error_message = "No key is open to everyone."
  }

  assert {
    condition = alltrue(flatten([
      for purpose in ["ebs", "rds", "secrets", "ecr", "logs", "audit"] : [
        for s in jsondecode(aws_kms_key.this[purpose].policy).Statement : can(s.Condition.StringEquals["kms:ViaService"])
        if try(s.Principal.AWS, "") == "arn:aws:iam::111122223333:root" && contains(s.Action, "kms:Decrypt")
      ]
    ]))
    error_message = "Principals of the account decrypt through the service only."
  }

  assert {
    condition = alltrue([
      for s in jsondecode(aws_kms_key.this["audit"].policy).Statement : s.Condition.StringEquals["aws:SourceArn"] == var.trail_arn
      if try(s.Principal.Service, "") == "cloudtrail.amazonaws.com"
    ])
    error_message = "Only this trail uses the audit key."
  }

  assert {
    condition     = anytrue([for s in jsondecode(aws_kms_key.this["ebs"].policy).Statement : endswith(try(s.Principal.AWS, ""), "AWSServiceRoleForAutoScaling")])
    error_message = "Without it no node with an encrypted volume starts."
  }
}

run "a_short_window_is_refused" {
  command         = plan
  expect_failures = [var.deletion_window_days]

  variables {
    deletion_window_days = 1
  }
}
