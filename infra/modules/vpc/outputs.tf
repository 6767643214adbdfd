output "vpc_id" {
  description = "The VPC"
  value       = module.vpc.vpc_id
}

output "private_subnet_ids" {
  description = "For nodes and pods"
  value       = module.vpc.private_subnets
}

output "public_subnet_ids" {
  description = "For load balancers and NAT gateways"
  value       = module.vpc.public_subnets
}

output "public_subnet_cidrs" {
  description = "Where the load balancer's requests come from: the chart's network policy lets these in"
  value       = local.public_subnets
}

output "database_subnet_ids" {
  description = "For the database"
  value       = module.vpc.database_subnets
}

output "database_subnet_cidrs" {
  description = "Where the database is: the chart's network policy lets pods out to these on 5432"
  value       = local.database_subnets
}

output "database_subnet_group_name" {
  description = "Subnet group of the database subnets"
  value       = module.vpc.database_subnet_group_name
}
