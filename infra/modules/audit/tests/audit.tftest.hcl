mock_provider "aws" {
  mock_resource "aws_sns_topic" {
    defaults = { arn = "arn:aws:sns:eu-south-2:111122223333:payments-es-trail" }
  }
  mock_resource "aws_cloudwatch_log_group" {
    defaults = { arn = "arn:aws:logs:eu-south-2:111122223333:log-group:/aws/cloudtrail/payments-es-trail" }
  }
  mock_resource "aws_iam_role" {
    defaults = { arn = "arn:aws:iam::111122223333:role/payments-es-trail-to-logs" }
  }
  mock_resource "aws_s3_bucket" {
    defaults = { arn = "arn:aws:s3:::payments-es-trail-111122223333-eu-south-2", id = "payments-es-trail-111122223333-eu-south-2" }
  }
}

variables {
  name             = "payments-es"
  account_id       = "111122223333"
  region           = "eu-south-2"
  kms_key_arn      = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001"
  logs_kms_key_arn = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000002"
  data_bucket_arns = ["arn:aws:s3:::payments-es-alb-logs"]
}

run "everything_is_recorded_and_signed" {
  command = apply

  assert {
    condition     = aws_cloudtrail.this.enable_log_file_validation && aws_cloudtrail.this.enable_logging
    error_message = "Files are signed, and the trail is on."
  }

  assert {
    condition     = aws_cloudtrail.this.kms_key_id == var.kms_key_arn && aws_sns_topic.trail.kms_master_key_id == var.kms_key_arn
    error_message = "Trail and topic use the audit key."
  }

  assert {
    condition     = aws_cloudtrail.this.is_multi_region_trail && aws_cloudtrail.this.include_global_service_events
    error_message = "All regions, IAM and STS included."
  }

  assert {
    condition     = endswith(aws_cloudtrail.this.cloud_watch_logs_group_arn, ":*") && aws_cloudwatch_log_group.trail.kms_key_id == var.logs_kms_key_arn && aws_cloudwatch_log_group.trail.retention_in_days >= 365
    error_message = "Events arrive in an encrypted log group that keeps them for a year."
  }

  assert {
    condition     = anytrue(flatten([for selector in aws_cloudtrail.this.advanced_event_selector : [for f in selector.field_selector : contains(coalesce(f.starts_with, []), "arn:aws:s3:::payments-es-alb-logs/")]]))
    error_message = "Reads and writes of the data buckets are recorded."
  }

  assert {
    condition = alltrue([
      for s in jsondecode(aws_iam_role_policy.delivery.policy).Statement :
      alltrue([for a in s.Action : !strcontains(a, "*")]) && alltrue([for r in s.Resource : startswith(r, "arn:aws:logs:eu-south-2:111122223333:log-group:/aws/cloudtrail/payments-es-trail:")])
    ])
    error_message = "CloudTrail writes its own streams of its own group, nothing else."
  }

  assert {
    condition     = output.bucket_name == "payments-es-trail-111122223333-eu-south-2"
    error_message = "The bucket is in the country, and says so."
  }
}

run "a_trail_of_all_regions_needs_global_events" {
  command         = plan
  expect_failures = [aws_cloudtrail.this]

  variables {
    global_events = false
  }
}

run "short_retention_is_refused" {
  command         = plan
  expect_failures = [var.retention_days]

  variables {
    retention_days = 30
  }
}
