# RDS Proxy, by flag. It is off because it does not lie on the latency path: the service's own pool keeps its connections open and
# puts many requests into one statement, which a proxy cannot do; it would only add a network hop, and prepared statements would
# pin its sessions. It is here for other clients that open many short connections, and for them shortens a failover.

module "proxy" {
  source  = "terraform-aws-modules/rds-proxy/aws"
  version = "3.2.1"
  count   = var.proxy_enabled ? 1 : 0

  name          = var.name
  engine_family = "POSTGRESQL"
  require_tls   = true
  debug_logging = false

  auth = {
    app = {
      description               = "the service's login"
      auth_scheme               = "SECRETS"
      client_password_auth_type = "POSTGRES_SCRAM_SHA_256"
      iam_auth                  = "DISABLED"
      secret_arn                = var.proxy_secret_arn
    }
  }

  iam_role_name        = "${var.name}-proxy"
  use_role_name_prefix = false
  iam_policy_name      = "${var.name}-proxy"
  kms_key_arns         = [var.secrets_kms_key_arn]

  vpc_subnet_ids         = var.database_subnet_ids
  vpc_security_group_ids = [aws_security_group.proxy[0].id]

  target_db_instance     = true
  db_instance_identifier = module.db.db_instance_identifier

  manage_log_group            = true
  log_group_retention_in_days = var.log_retention_days
  log_group_kms_key_id        = var.logs_kms_key_arn
}

resource "aws_security_group" "proxy" {
  count = var.proxy_enabled ? 1 : 0

  name_prefix = "${var.name}-proxy-"
  description = "RDS Proxy, for the named clients only"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "proxy" {
  for_each = var.proxy_enabled ? var.client_security_group_ids : {}

  security_group_id            = aws_security_group.proxy[0].id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_egress_rule" "proxy_to_database" {
  count = var.proxy_enabled ? 1 : 0

  security_group_id            = aws_security_group.proxy[0].id
  description                  = "to the database"
  referenced_security_group_id = aws_security_group.database.id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}

resource "aws_vpc_security_group_ingress_rule" "database_from_proxy" {
  count = var.proxy_enabled ? 1 : 0

  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from RDS Proxy"
  referenced_security_group_id = aws_security_group.proxy[0].id
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}
