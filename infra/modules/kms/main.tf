# One customer managed key per purpose. Single-Region on purpose: a multi-Region key could be replicated into another country.
# In a key policy the resource "*" means "this key"; no action has a wildcard. The account's principals manage the keys through
# IAM, and use them only through the named service (kms:ViaService), so no one decrypts by calling KMS directly.

locals {
  root = "arn:aws:iam::${var.account_id}:root"

  # purpose = services through which the account's principals may use the key
  via_services = {
    ebs     = ["ec2"]
    rds     = ["rds"]
    secrets = ["secretsmanager", "rds"]
    ecr     = ["ecr"]
    audit   = ["s3", "sns"]
    logs    = ["logs"]
  }

  descriptions = {
    eks     = "Kubernetes secrets of the cluster (envelope encryption)"
    ebs     = "Volumes of the nodes and of the cluster"
    rds     = "Database storage, backups and Performance Insights"
    secrets = "Secrets Manager"
    logs    = "CloudWatch log groups"
    ecr     = "Container images"
    audit   = "CloudTrail, its bucket and its topic"
  }

  use_actions = [
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
  ]

  administration = {
    Sid       = "AdministrationByIamOfThisAccount"
    Effect    = "Allow"
    Principal = { AWS = local.root }
    Action = [
      "kms:CancelKeyDeletion",
      "kms:CreateAlias",
      "kms:DeleteAlias",
      "kms:DescribeKey",
      "kms:DisableKey",
      "kms:EnableKey",
      "kms:EnableKeyRotation",
      "kms:GetKeyPolicy",
      "kms:GetKeyRotationStatus",
      "kms:ListGrants",
      "kms:ListKeyPolicies",
      "kms:ListKeyRotations",
      "kms:ListResourceTags",
      "kms:PutKeyPolicy",
      "kms:RevokeGrant",
      "kms:RotateKeyOnDemand",
      "kms:ScheduleKeyDeletion",
      "kms:TagResource",
      "kms:UntagResource",
      "kms:UpdateAlias",
      "kms:UpdateKeyDescription",
    ]
    Resource = "*"
  }

  through_service = {
    for purpose, services in local.via_services : purpose => [
      {
        Sid       = "UseThroughTheService"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action    = local.use_actions
        Resource  = "*"
        Condition = {
          StringEquals = {
            "kms:CallerAccount" = var.account_id
            "kms:ViaService"    = [for service in services : "${service}.${var.region}.amazonaws.com"]
          }
        }
      },
      {
        Sid       = "GrantsForTheServicesOwnResources"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action    = ["kms:CreateGrant"]
        Resource  = "*"
        Condition = {
          Bool = { "kms:GrantIsForAWSResource" = "true" }
          StringEquals = {
            "kms:CallerAccount" = var.account_id
            "kms:ViaService"    = [for service in services : "${service}.${var.region}.amazonaws.com"]
          }
        }
      },
    ]
  }

  autoscaling_role = "arn:aws:iam::${var.account_id}:role/aws-service-role/autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling"

  own_statements = {
    # The cluster's role calls KMS itself; its IAM policy names this key.
    eks = [
      {
        Sid       = "ClusterRoleByIam"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action    = ["kms:Encrypt", "kms:Decrypt", "kms:DescribeKey", "kms:ListGrants"]
        Resource  = "*"
        Condition = { StringEquals = { "kms:CallerAccount" = var.account_id } }
      },
      {
        Sid       = "GrantsForTheCluster"
        Effect    = "Allow"
        Principal = { AWS = local.root }
        Action    = ["kms:CreateGrant"]
        Resource  = "*"
        Condition = {
          Bool         = { "kms:GrantIsForAWSResource" = "true" }
          StringEquals = { "kms:CallerAccount" = var.account_id }
        }
      },
    ]

    # Nodes are started by the Auto Scaling service-linked role, which has no IAM policy of ours.
    ebs = [
      {
        Sid       = "AutoScalingUsesTheKey"
        Effect    = "Allow"
        Principal = { AWS = local.autoscaling_role }
        Action    = local.use_actions
        Resource  = "*"
      },
      {
        Sid       = "AutoScalingAttachesVolumes"
        Effect    = "Allow"
        Principal = { AWS = local.autoscaling_role }
        Action    = ["kms:CreateGrant"]
        Resource  = "*"
        Condition = { Bool = { "kms:GrantIsForAWSResource" = "true" } }
      },
    ]

    logs = [
      {
        Sid       = "CloudWatchLogsOfThisAccount"
        Effect    = "Allow"
        Principal = { Service = "logs.${var.region}.amazonaws.com" }
        Action    = local.use_actions
        Resource  = "*"
        Condition = {
          ArnLike = { "kms:EncryptionContext:aws:logs:arn" = "arn:aws:logs:${var.region}:${var.account_id}:log-group:*" }
        }
      },
    ]

    audit = [
      {
        Sid       = "CloudTrailEncryptsItsLogs"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = ["kms:GenerateDataKey"]
        Resource  = "*"
        Condition = {
          StringEquals = { "aws:SourceArn" = var.trail_arn }
          StringLike   = { "kms:EncryptionContext:aws:cloudtrail:arn" = "arn:aws:cloudtrail:*:${var.account_id}:trail/*" }
        }
      },
      {
        Sid       = "CloudTrailDescribesTheKeyAndPublishes"
        Effect    = "Allow"
        Principal = { Service = "cloudtrail.amazonaws.com" }
        Action    = ["kms:DescribeKey", "kms:Decrypt", "kms:GenerateDataKey"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceArn" = var.trail_arn } }
      },
    ]
  }
}

resource "aws_kms_key" "this" {
  for_each = local.descriptions

  description             = "${var.name}: ${each.value}"
  enable_key_rotation     = true
  rotation_period_in_days = 365
  multi_region            = false
  deletion_window_in_days = var.deletion_window_days

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [local.administration],
      lookup(local.through_service, each.key, []),
      [for statement in lookup(local.own_statements, each.key, []) : statement],
    )
  })

  tags = { Purpose = each.key }
}

resource "aws_kms_alias" "this" {
  for_each = local.descriptions

  name          = "alias/${var.name}/${each.key}"
  target_key_id = aws_kms_key.this[each.key].key_id
}
