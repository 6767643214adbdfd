output "chart_values" {
  description = "For deploy/helm/payment-latency-api/values-mexico.yaml"
  value       = module.platform.chart_values
}

output "argocd_cluster" {
  description = "Labels and annotations of the cluster in Argo CD"
  value       = module.platform.argocd_cluster
}

output "cluster_certificate_authority_data" {
  description = "Certificate authority of the Kubernetes API, base64"
  value       = module.platform.cluster_certificate_authority_data
}

output "database_master_secret_arn" {
  description = "The master login's secret, for the operator who creates the two logins"
  value       = module.platform.database_master_secret_arn
}

output "database_proxy_endpoint" {
  description = "Host name of RDS Proxy, or null"
  value       = module.platform.database_proxy_endpoint
}

output "secret_arns" {
  description = "The service's secrets by purpose"
  value       = module.platform.secret_arns
}

output "kms_key_arns" {
  description = "Keys by purpose"
  value       = module.platform.kms_key_arns
}

output "trail" {
  description = "The trail, its bucket and its log group"
  value       = module.platform.trail
}

output "residency_policy_json" {
  description = "The service control policy of this country"
  value       = module.platform.residency_policy_json
}
