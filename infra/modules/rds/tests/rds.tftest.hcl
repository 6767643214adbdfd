mock_provider "aws" {}

variables {
  name                       = "payments-es"
  vpc_id                     = "vpc-00000001"
  database_subnet_group_name = "payments-es"
  database_subnet_ids        = ["subnet-00000001", "subnet-00000002", "subnet-00000003"]
  client_security_group_ids  = { nodes = "sg-00000001" }
  kms_key_arn                = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000001"
  secrets_kms_key_arn        = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000002"
  logs_kms_key_arn           = "arn:aws:kms:eu-south-2:111122223333:key/00000000-0000-0000-0000-000000000003"
}

run "only_the_nodes_connect_and_only_by_tls" {
  command = plan

  assert {
    condition     = local.parameters["rds.force_ssl"].value == "1" && local.parameters["ssl_min_protocol_version"].value == "TLSv1.2"
    error_message = "TLS 1.2 or newer, always."
  }

  assert {
    condition     = local.parameters["password_encryption"].value == "scram-sha-256"
    error_message = "Passwords are SCRAM."
  }

  assert {
    condition     = keys(aws_vpc_security_group_ingress_rule.database) == ["nodes"] && aws_vpc_security_group_ingress_rule.database["nodes"].referenced_security_group_id == "sg-00000001"
    error_message = "One rule: from the nodes' security group."
  }

  assert {
    condition     = aws_vpc_security_group_ingress_rule.database["nodes"].cidr_ipv4 == null && aws_vpc_security_group_ingress_rule.database["nodes"].from_port == 5432 && aws_vpc_security_group_ingress_rule.database["nodes"].to_port == 5432
    error_message = "PostgreSQL's port, by no address."
  }

  assert {
    condition     = length(aws_security_group.proxy) == 0
    error_message = "No proxy unless asked."
  }
}

run "a_proxy_when_asked" {
  command = plan

  variables {
    proxy_enabled    = true
    proxy_secret_arn = "arn:aws:secretsmanager:eu-south-2:111122223333:secret:payment-latency-api-es/db-app-AbCdEf"
  }

  assert {
    condition     = length(aws_security_group.proxy) == 1 && length(aws_vpc_security_group_ingress_rule.database_from_proxy) == 1
    error_message = "The proxy stands between, in a group of its own."
  }
}

run "a_proxy_without_a_secret_is_refused" {
  command         = plan
  expect_failures = [var.proxy_secret_arn]

  variables {
    proxy_enabled = true
  }
}

run "another_postgresql_is_refused" {
  command         = plan
  expect_failures = [var.engine_version]

  variables {
    engine_version = "16.4"
  }
}

run "no_backups_is_refused" {
  command         = plan
  expect_failures = [var.backup_retention_days]

  variables {
    backup_retention_days = 0
  }
}

run "a_class_that_spain_lacks_is_refused" {
  command         = plan
  expect_failures = [var.instance_class]

  variables {
    instance_class = "db.m6i.large"
  }
}
