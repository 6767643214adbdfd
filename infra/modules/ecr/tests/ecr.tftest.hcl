mock_provider "aws" {}

variables {
  name           = "payment-latency-api"
  kms_key_arn    = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001"
  pull_role_arns = ["arn:aws:iam::111122223333:role/payments-es-node"]
}

run "immutable_scanned_encrypted" {
  command = plan

  assert {
    condition     = aws_ecr_repository.this.image_tag_mutability == "IMMUTABLE"
    error_message = "A tag never changes its image."
  }

  assert {
    condition     = one(aws_ecr_repository.this.image_scanning_configuration).scan_on_push
    error_message = "Images are scanned when they arrive."
  }

  assert {
    condition     = one(aws_ecr_repository.this.encryption_configuration).encryption_type == "KMS" && one(aws_ecr_repository.this.encryption_configuration).kms_key == var.kms_key_arn
    error_message = "Images are encrypted with the country's key."
  }

  assert {
    condition     = !aws_ecr_repository.this.force_delete
    error_message = "A repository with images is not deleted."
  }

  assert {
    condition     = jsondecode(aws_ecr_repository_policy.this[0].policy).Statement[0].Principal.AWS == "arn:aws:iam::111122223333:role/payments-es-node" || jsondecode(aws_ecr_repository_policy.this[0].policy).Statement[0].Principal.AWS == ["arn:aws:iam::111122223333:role/payments-es-node"]
    error_message = "The nodes pull, nobody else."
  }
}
