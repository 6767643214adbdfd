output "policy_json" {
  description = "The policy, to read or to attach by other means"
  value       = local.policy
}
