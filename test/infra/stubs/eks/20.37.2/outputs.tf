# Outputs of terraform-aws-modules/eks/aws 20.37.2 that this project reads.

output "cluster_name" {
  value = var.cluster_name
}

output "cluster_endpoint" {
  value = "https://${var.cluster_name}.stub.invalid"
}

output "cluster_certificate_authority_data" {
  value = base64encode("stub")
}

output "oidc_provider_arn" {
  value = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:oidc-provider/oidc.stub.invalid/id/${var.cluster_name}"
}

output "node_security_group_id" {
  value = aws_security_group.node.id
}

output "eks_managed_node_groups" {
  value = {
    for name, group in var.eks_managed_node_groups : name => {
      iam_role_arn = "arn:aws:iam::${data.aws_caller_identity.current.account_id}:role/${group.iam_role_name}"
    }
  }
}
