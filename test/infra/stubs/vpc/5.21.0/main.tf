# Contract stub: stands in for terraform-aws-modules/vpc/aws 5.21.0 where that module is not at hand.
# It is not that module and holds none of its code. The few resources below exist because ours refer to them.

resource "terraform_data" "received" {
  input = {
    name                                            = var.name
    cidr                                            = var.cidr
    azs                                             = var.azs
    private_subnets                                 = var.private_subnets
    public_subnets                                  = var.public_subnets
    database_subnets                                = var.database_subnets
    enable_dns_hostnames                            = var.enable_dns_hostnames
    enable_dns_support                              = var.enable_dns_support
    map_public_ip_on_launch                         = var.map_public_ip_on_launch
    enable_nat_gateway                              = var.enable_nat_gateway
    single_nat_gateway                              = var.single_nat_gateway
    one_nat_gateway_per_az                          = var.one_nat_gateway_per_az
    create_database_subnet_group                    = var.create_database_subnet_group
    database_subnet_group_name                      = var.database_subnet_group_name
    create_database_subnet_route_table              = var.create_database_subnet_route_table
    create_database_internet_gateway_route          = var.create_database_internet_gateway_route
    create_database_nat_gateway_route               = var.create_database_nat_gateway_route
    manage_default_security_group                   = var.manage_default_security_group
    default_security_group_ingress                  = var.default_security_group_ingress
    default_security_group_egress                   = var.default_security_group_egress
    enable_flow_log                                 = var.enable_flow_log
    flow_log_destination_type                       = var.flow_log_destination_type
    flow_log_traffic_type                           = var.flow_log_traffic_type
    flow_log_max_aggregation_interval               = var.flow_log_max_aggregation_interval
    create_flow_log_cloudwatch_log_group            = var.create_flow_log_cloudwatch_log_group
    create_flow_log_cloudwatch_iam_role             = var.create_flow_log_cloudwatch_iam_role
    flow_log_cloudwatch_log_group_name_prefix       = var.flow_log_cloudwatch_log_group_name_prefix
    flow_log_cloudwatch_log_group_name_suffix       = var.flow_log_cloudwatch_log_group_name_suffix
    flow_log_cloudwatch_log_group_retention_in_days = var.flow_log_cloudwatch_log_group_retention_in_days
    flow_log_cloudwatch_log_group_kms_key_id        = var.flow_log_cloudwatch_log_group_kms_key_id
    flow_log_cloudwatch_iam_role_conditions         = var.flow_log_cloudwatch_iam_role_conditions
    public_subnet_tags                              = var.public_subnet_tags
    private_subnet_tags                             = var.private_subnet_tags
  }
}

# What our own resources refer to: a VPC, its subnets and route tables. No gateways, no routes, no flow log.

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = var.enable_dns_hostnames
  enable_dns_support   = var.enable_dns_support
}

resource "aws_subnet" "this" {
  for_each = merge(
    { for index, cidr in var.private_subnets : cidr => var.azs[index] },
    { for index, cidr in var.public_subnets : cidr => var.azs[index] },
    { for index, cidr in var.database_subnets : cidr => var.azs[index] },
  )

  vpc_id            = aws_vpc.this.id
  cidr_block        = each.key
  availability_zone = each.value
}

resource "aws_route_table" "private" {
  count  = var.single_nat_gateway ? 1 : length(var.azs)
  vpc_id = aws_vpc.this.id
}

resource "aws_route_table" "database" {
  vpc_id = aws_vpc.this.id
}
