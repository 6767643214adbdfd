mock_provider "aws" {}

variables {
  name        = "payments-es-trail-111122223333-eu-south-2"
  kms_key_arn = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001"
  expire_days = 400
}

run "private_encrypted_and_versioned" {
  command = plan

  variables {
    object_lock_days = 365
  }

  assert {
    condition = alltrue([
      aws_s3_bucket_public_access_block.this.block_public_acls,
      aws_s3_bucket_public_access_block.this.block_public_policy,
      aws_s3_bucket_public_access_block.this.ignore_public_acls,
      aws_s3_bucket_public_access_block.this.restrict_public_buckets,
    ])
    error_message = "All four public access blocks are on."
  }

  assert {
    condition     = one(aws_s3_bucket_ownership_controls.this.rule).object_ownership == "BucketOwnerEnforced"
    error_message = "No access control lists."
  }

  assert {
    condition     = one(aws_s3_bucket_versioning.this.versioning_configuration).status == "Enabled"
    error_message = "Versions are kept."
  }

  assert {
    condition     = one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).sse_algorithm == "aws:kms" && one(one(aws_s3_bucket_server_side_encryption_configuration.this.rule).apply_server_side_encryption_by_default).kms_master_key_id == var.kms_key_arn
    error_message = "Encrypted with the key that was given."
  }

  assert {
    condition     = !aws_s3_bucket.this.force_destroy
    error_message = "A bucket with objects is not deleted."
  }

  assert {
    condition     = aws_s3_bucket.this.object_lock_enabled && one(one(aws_s3_bucket_object_lock_configuration.this[0].rule).default_retention).days == 365
    error_message = "Objects are locked for a year."
  }

  assert {
    condition     = one([for s in jsondecode(aws_s3_bucket_policy.this.policy).Statement : s if s.Sid == "DenyPlainHttp"]).Condition.Bool["aws:SecureTransport"] == "false"
    error_message = "Plain HTTP is denied."
  }

  assert {
    condition     = one([for s in jsondecode(aws_s3_bucket_policy.this.policy).Statement : s if s.Sid == "DenyOldTls"]).Condition.NumericLessThan["s3:TlsVersion"] == "1.2"
    error_message = "TLS older than 1.2 is denied."
  }
}

run "a_bad_name_is_refused" {
  command         = plan
  expect_failures = [var.name]

  variables {
    name = "Payments_ES"
  }
}
