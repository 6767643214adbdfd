# PostgreSQL 17 in two zones, reachable from the cluster's nodes only, over TLS only, encrypted with the country's own key.
# The master login is made and rotated by RDS and used by nobody but an operator; the service has a login of its own.

locals {
  # name = { value, static: takes effect at a restart }
  parameters = {
    "rds.force_ssl"                       = { value = "1", static = false }
    "ssl_min_protocol_version"            = { value = "TLSv1.2", static = false }
    "password_encryption"                 = { value = "scram-sha-256", static = false }
    "shared_preload_libraries"            = { value = "pg_stat_statements,pgaudit", static = true }
    "pgaudit.log"                         = { value = "ddl,role", static = false }
    "log_statement"                       = { value = "ddl", static = false }
    "log_connections"                     = { value = "1", static = false }
    "log_disconnections"                  = { value = "1", static = false }
    "log_lock_waits"                      = { value = "1", static = false }
    "log_min_duration_statement"          = { value = "100", static = false } # the budget of a request, in ms
    "idle_in_transaction_session_timeout" = { value = "10000", static = false }
  }
}

module "db" {
  source  = "terraform-aws-modules/rds/aws"
  version = "6.13.1"

  identifier = var.name

  engine                      = "postgres"
  engine_version              = var.engine_version
  family                      = "postgres${split(".", var.engine_version)[0]}"
  create_db_option_group      = false
  auto_minor_version_upgrade  = true
  allow_major_version_upgrade = false

  instance_class        = var.instance_class
  storage_type          = "gp3"
  allocated_storage     = var.storage_gib.initial
  max_allocated_storage = var.storage_gib.max
  storage_encrypted     = true
  kms_key_id            = var.kms_key_arn

  db_name  = var.database_name
  username = "postgres"
  port     = 5432

  manage_master_user_password                            = true
  master_user_secret_kms_key_id                          = var.secrets_kms_key_arn
  manage_master_user_password_rotation                   = true
  master_user_password_rotation_automatically_after_days = 30
  iam_database_authentication_enabled                    = true

  multi_az               = var.multi_az
  publicly_accessible    = false
  create_db_subnet_group = false
  db_subnet_group_name   = var.database_subnet_group_name
  vpc_security_group_ids = [aws_security_group.database.id]
  ca_cert_identifier     = "rds-ca-rsa2048-g1"

  parameters = [
    for name, parameter in local.parameters : {
      name         = name
      value        = parameter.value
      apply_method = parameter.static ? "pending-reboot" : "immediate"
    }
  ]

  backup_retention_period          = var.backup_retention_days
  backup_window                    = var.backup_window
  maintenance_window               = var.maintenance_window
  copy_tags_to_snapshot            = true
  delete_automated_backups         = !var.deletion_protection
  deletion_protection              = var.deletion_protection
  skip_final_snapshot              = !var.deletion_protection
  final_snapshot_identifier_prefix = "${var.name}-final"

  performance_insights_enabled          = true
  performance_insights_kms_key_id       = var.kms_key_arn
  performance_insights_retention_period = var.performance_insights_days

  monitoring_interval             = 30
  create_monitoring_role          = true
  monitoring_role_name            = "${var.name}-monitoring"
  monitoring_role_use_name_prefix = false

  enabled_cloudwatch_logs_exports        = ["postgresql", "upgrade"]
  create_cloudwatch_log_group            = true
  cloudwatch_log_group_retention_in_days = var.log_retention_days
  cloudwatch_log_group_kms_key_id        = var.logs_kms_key_arn
}

resource "aws_security_group" "database" {
  name_prefix = "${var.name}-database-"
  description = "PostgreSQL, for the named clients only"
  vpc_id      = var.vpc_id

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_ingress_rule" "database" {
  for_each = var.client_security_group_ids

  security_group_id            = aws_security_group.database.id
  description                  = "PostgreSQL from ${each.key}"
  referenced_security_group_id = each.value
  ip_protocol                  = "tcp"
  from_port                    = 5432
  to_port                      = 5432
}
