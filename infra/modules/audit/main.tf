# The audit trail of one country: who did what, kept where the data is. Files are signed (validation), encrypted with the
# country's key, locked in the bucket, and copied to CloudWatch for searching.

locals {
  trail_name = "${var.name}-trail"
  trail_arn  = "arn:aws:cloudtrail:${var.region}:${var.account_id}:trail/${local.trail_name}"

  trail_only = { StringEquals = { "aws:SourceArn" = local.trail_arn } }
}

module "bucket" {
  source = "../bucket"

  name             = "${var.name}-trail-${var.account_id}-${var.region}"
  kms_key_arn      = var.kms_key_arn
  object_lock_days = var.object_lock_days
  object_lock_mode = var.object_lock_mode
  expire_days      = var.retention_days
  force_destroy    = var.force_destroy

  policy_statements = [
    {
      Sid       = "CloudTrailAsksForTheAcl"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = ["s3:GetBucketAcl"]
      Resource  = ["arn:aws:s3:::${var.name}-trail-${var.account_id}-${var.region}"]
      Condition = local.trail_only
    },
    {
      Sid       = "CloudTrailWritesItsFiles"
      Effect    = "Allow"
      Principal = { Service = "cloudtrail.amazonaws.com" }
      Action    = ["s3:PutObject"]
      Resource  = ["arn:aws:s3:::${var.name}-trail-${var.account_id}-${var.region}/AWSLogs/${var.account_id}/*"]
      Condition = {
        StringEquals = {
          "aws:SourceArn" = local.trail_arn
          "s3:x-amz-acl"  = "bucket-owner-full-control"
        }
      }
    },
  ]
}

resource "aws_cloudwatch_log_group" "trail" {
  name              = "/aws/cloudtrail/${local.trail_name}"
  retention_in_days = var.log_retention_days
  kms_key_id        = var.logs_kms_key_arn
}

resource "aws_iam_role" "delivery" {
  name        = "${var.name}-trail-to-logs"
  description = "CloudTrail writes its events to the log group"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = ["sts:AssumeRole"]
        Condition = { StringEquals = { "aws:SourceAccount" = var.account_id, "aws:SourceArn" = local.trail_arn } }
      },
    ]
  })
}

resource "aws_iam_role_policy" "delivery" {
  name = "write-events"
  role = aws_iam_role.delivery.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid    = "OwnStreamsOfTheOneGroup"
        Effect = "Allow"
        Action = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = [
          "arn:aws:logs:${var.region}:${var.account_id}:log-group:/aws/cloudtrail/${local.trail_name}:log-stream:${var.account_id}_CloudTrail_*",
        ]
      },
    ]
  })
}

resource "aws_sns_topic" "trail" {
  name              = local.trail_name
  kms_master_key_id = var.kms_key_arn
}

resource "aws_sns_topic_policy" "trail" {
  arn = aws_sns_topic.trail.arn

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "CloudTrailAnnounces"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = ["sns:Publish"]
        Resource  = [aws_sns_topic.trail.arn]
        Condition = local.trail_only
      },
      {
        Sid       = "DenyPlainHttp"
        Effect    = "Deny"
        Principal = "*"
        Action    = ["sns:Publish"]
        Resource  = [aws_sns_topic.trail.arn]
        Condition = { Bool = { "aws:SecureTransport" = "false" } }
      },
    ]
  })
}

resource "aws_cloudtrail" "this" {
  #checkov:skip=CKV_AWS_67:all regions by default; one region only where two countries share an account, see multi_region
  name                          = local.trail_name
  s3_bucket_name                = module.bucket.name
  kms_key_id                    = var.kms_key_arn
  is_multi_region_trail         = var.multi_region
  include_global_service_events = var.global_events
  enable_log_file_validation    = true
  enable_logging                = true
  cloud_watch_logs_group_arn    = "${aws_cloudwatch_log_group.trail.arn}:*"
  cloud_watch_logs_role_arn     = aws_iam_role.delivery.arn
  sns_topic_name                = aws_sns_topic.trail.name

  advanced_event_selector {
    name = "management"

    field_selector {
      field  = "eventCategory"
      equals = ["Management"]
    }
  }

  dynamic "advanced_event_selector" {
    for_each = length(var.data_bucket_arns) > 0 ? [var.data_bucket_arns] : []

    content {
      name = "objects of the data buckets"

      field_selector {
        field  = "eventCategory"
        equals = ["Data"]
      }

      field_selector {
        field  = "resources.type"
        equals = ["AWS::S3::Object"]
      }

      field_selector {
        field       = "resources.ARN"
        starts_with = [for arn in advanced_event_selector.value : "${arn}/"]
      }
    }
  }

  lifecycle {
    precondition {
      condition     = var.global_events || !var.multi_region
      error_message = "A trail of all regions must include the global services' events."
    }
  }

  depends_on = [aws_iam_role_policy.delivery, aws_sns_topic_policy.trail]
}
