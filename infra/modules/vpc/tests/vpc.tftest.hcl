mock_provider "aws" {}

variables {
  name               = "payments-es"
  account_id         = "111122223333"
  region             = "eu-south-2"
  cidr               = "10.10.0.0/16"
  availability_zones = ["eu-south-2a", "eu-south-2b", "eu-south-2c"]
  logs_kms_key_arn   = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001"
}

run "subnets_and_endpoints" {
  command = plan

  assert {
    condition     = length(distinct(concat(local.private_subnets, local.public_subnets, local.database_subnets))) == 9
    error_message = "Three zones, three kinds, no subnet twice."
  }

  assert {
    condition     = alltrue([for service in ["ecr.api", "ecr.dkr", "secretsmanager", "kms", "sts", "logs", "ec2"] : contains(keys(aws_vpc_endpoint.interface), service)])
    error_message = "What nodes and controllers need is reached inside the VPC."
  }

  assert {
    condition     = alltrue([for endpoint in aws_vpc_endpoint.interface : endpoint.private_dns_enabled && startswith(endpoint.service_name, "com.amazonaws.eu-south-2.")])
    error_message = "Endpoints of the own region, under the usual names."
  }

  assert {
    condition     = aws_vpc_endpoint.s3.vpc_endpoint_type == "Gateway"
    error_message = "S3 (image layers) by a gateway endpoint."
  }

  assert {
    condition     = alltrue([for rule in aws_vpc_security_group_ingress_rule.endpoints : rule.from_port == 443 && rule.to_port == 443 && contains(local.private_subnets, rule.cidr_ipv4)])
    error_message = "Endpoints take HTTPS from private subnets."
  }
}

run "public_addresses_are_refused" {
  command         = plan
  expect_failures = [var.cidr]

  variables {
    cidr = "52.95.0.0/16"
  }
}

run "two_zones_are_refused" {
  command         = plan
  expect_failures = [var.availability_zones]

  variables {
    availability_zones = ["eu-south-2a", "eu-south-2b", "eu-south-2b"]
  }
}
