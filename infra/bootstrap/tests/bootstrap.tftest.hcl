mock_provider "aws" {
  mock_resource "aws_kms_key" {
    defaults = { arn = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001" }
  }
}

variables {
  country_code = "es"
  aws_region   = "eu-south-2"
  account_id   = "111122223333"
}

run "the_state_stays_in_the_country" {
  command = plan

  assert {
    condition     = aws_kms_key.state.enable_key_rotation && !aws_kms_key.state.multi_region
    error_message = "An own key, that rotates and stays."
  }

  assert {
    condition     = endswith(aws_kms_alias.state.name, "payments-es/state")
    error_message = "The backend file names this alias."
  }
}

run "state_in_another_country_is_refused" {
  command         = plan
  expect_failures = [var.aws_region]

  variables {
    aws_region = "us-east-1"
  }
}
