# Outputs of terraform-aws-modules/iam/aws//modules/iam-role-for-service-accounts-eks 5.60.0 that this project reads.

output "iam_role_arn" {
  value = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:role/${var.role_name}"
}
