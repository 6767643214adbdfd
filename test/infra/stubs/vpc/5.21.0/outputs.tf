# Outputs of terraform-aws-modules/vpc/aws 5.21.0 that this project reads.

output "vpc_id" {
  value = aws_vpc.this.id
}

output "private_subnets" {
  value = [for cidr in var.private_subnets : aws_subnet.this[cidr].id]
}

output "public_subnets" {
  value = [for cidr in var.public_subnets : aws_subnet.this[cidr].id]
}

output "database_subnets" {
  value = [for cidr in var.database_subnets : aws_subnet.this[cidr].id]
}

output "database_subnet_group_name" {
  value = var.database_subnet_group_name
}

output "private_route_table_ids" {
  value = [for table in aws_route_table.private : table.id]
}

output "database_route_table_ids" {
  value = [aws_route_table.database.id]
}
