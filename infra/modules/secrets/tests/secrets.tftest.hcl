mock_provider "aws" {}

variables {
  name        = "payment-latency-api-es"
  kms_key_arn = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001"
}

run "three_secrets_under_the_countrys_key" {
  command = plan

  assert {
    condition     = toset(keys(aws_secretsmanager_secret.this)) == toset(["api-key", "db-app", "db-owner"])
    error_message = "The API key, the service's login, the owner's login."
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.kms_key_id == var.kms_key_arn])
    error_message = "All encrypted with the country's key."
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : length(coalesce(secret.replica, [])) == 0])
    error_message = "No secret is replicated into another region."
  }

  assert {
    condition     = alltrue([for secret in aws_secretsmanager_secret.this : secret.recovery_window_in_days == 30])
    error_message = "A deleted secret can be restored for 30 days."
  }

  assert {
    condition     = output.names["api-key"] == "payment-latency-api-es/api-key"
    error_message = "The chart's ExternalSecret asks for this name."
  }
}

run "a_window_of_a_day_is_refused" {
  command         = plan
  expect_failures = [var.recovery_window_days]

  variables {
    recovery_window_days = 1
  }
}
