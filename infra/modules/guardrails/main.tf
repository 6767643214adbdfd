# The residency guard above the account: a service control policy. It grants nothing; it takes away what no role of a country
# may ever do. Off by default, because it needs the organization's management account.

locals {
  # Services with one endpoint for the whole world; they hold no payment data.
  global_actions = [
    "account:*",
    "aws-portal:*",
    "budgets:*",
    "ce:*",
    "cloudfront:*",
    "cloudtrail:LookupEvents",
    "globalaccelerator:*",
    "health:*",
    "iam:*",
    "organizations:*",
    "route53:*",
    "route53domains:*",
    "shield:*",
    "sts:*",
    "support:*",
    "trustedadvisor:*",
    "waf:*",
    "wafv2:*",
  ]

  statements = [
    {
      Sid       = "StayInTheCountry"
      Effect    = "Deny"
      NotAction = local.global_actions
      Resource  = "*"
      Condition = { StringNotEquals = { "aws:RequestedRegion" = var.allowed_regions } }
    },
    {
      Sid    = "KeepTheTrail"
      Effect = "Deny"
      Action = [
        "cloudtrail:DeleteTrail",
        "cloudtrail:PutEventSelectors",
        "cloudtrail:StopLogging",
        "cloudtrail:UpdateTrail",
      ]
      Resource  = "*"
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = var.exempt_role_arns } }
    },
    {
      Sid    = "NoCopyToAnotherPlace"
      Effect = "Deny"
      Action = [
        "ec2:CopyImage",
        "ec2:CopySnapshot",
        "ec2:CreateStoreImageTask",
        "ecr:PutReplicationConfiguration",
        "kms:ReplicateKey",
        "rds:CopyDBClusterSnapshot",
        "rds:CopyDBSnapshot",
        "rds:CreateGlobalCluster",
        "rds:StartDBInstanceAutomatedBackupsReplication",
        "rds:StartExportTask",
        "s3:PutReplicationConfiguration",
        "secretsmanager:ReplicateSecretToRegions",
      ]
      Resource = "*"
    },
    {
      Sid    = "NoSharingOfData"
      Effect = "Deny"
      Action = [
        "ec2:ModifySnapshotAttribute",
        "rds:ModifyDBClusterSnapshotAttribute",
        "rds:ModifyDBSnapshotAttribute",
      ]
      Resource = "*"
    },
    {
      Sid       = "NoPublicDatabase"
      Effect    = "Deny"
      Action    = ["rds:CreateDBInstance", "rds:ModifyDBInstance"]
      Resource  = "*"
      Condition = { Bool = { "rds:PubliclyAccessible" = "true" } }
    },
    {
      Sid       = "NoUnencryptedDatabase"
      Effect    = "Deny"
      Action    = ["rds:CreateDBInstance"]
      Resource  = "*"
      Condition = { Bool = { "rds:StorageEncrypted" = "false" } }
    },
    {
      Sid       = "KeepBucketsPrivate"
      Effect    = "Deny"
      Action    = ["s3:PutAccountPublicAccessBlock", "s3:PutBucketPublicAccessBlock"]
      Resource  = "*"
      Condition = { ArnNotEquals = { "aws:PrincipalArn" = var.exempt_role_arns } }
    },
  ]

  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements })
}

resource "aws_organizations_policy" "this" {
  count = var.enabled ? 1 : 0

  name        = "${var.name}-residency"
  description = "Data of ${var.country} stays in ${join(", ", var.allowed_regions)}"
  type        = "SERVICE_CONTROL_POLICY"
  content     = local.policy

  lifecycle {
    precondition {
      condition     = length(local.policy) <= 5120
      error_message = "A service control policy has at most 5120 characters."
    }
  }
}

resource "aws_organizations_policy_attachment" "this" {
  for_each = var.enabled ? toset(var.target_ids) : toset([])

  policy_id = aws_organizations_policy.this[0].id
  target_id = each.value
}
