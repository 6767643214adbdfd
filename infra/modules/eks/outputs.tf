output "cluster_name" {
  description = "Name of the cluster"
  value       = module.eks.cluster_name
}

output "cluster_endpoint" {
  description = "Address of the Kubernetes API"
  value       = module.eks.cluster_endpoint
}

output "cluster_certificate_authority_data" {
  description = "Certificate authority of the Kubernetes API, base64"
  value       = module.eks.cluster_certificate_authority_data
}

output "oidc_provider_arn" {
  description = "Identity provider of the cluster's service accounts"
  value       = module.eks.oidc_provider_arn
}

output "node_security_group_id" {
  description = "Security group of the nodes, and so of the pods"
  value       = module.eks.node_security_group_id
}

output "secret_reader_role_arns" {
  description = "Reader to role ARN: the annotation eks.amazonaws.com/role-arn of its service account"
  value       = { for reader, role in module.secret_reader_role : reader => role.iam_role_arn }
}

output "load_balancer_controller_role_arn" {
  description = "Role of the AWS Load Balancer Controller"
  value       = module.load_balancer_controller_role.iam_role_arn
}

output "node_role_arn" {
  description = "Role of the nodes"
  value       = module.eks.eks_managed_node_groups["payments"].iam_role_arn
}
