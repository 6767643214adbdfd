# Contract stub: stands in for terraform-aws-modules/rds/aws 6.13.1 where that module is not at hand.
# It is not that module and holds none of its code. 

resource "terraform_data" "received" {
  input = {
    identifier                                             = var.identifier
    engine                                                 = var.engine
    engine_version                                         = var.engine_version
    family                                                 = var.family
    create_db_option_group                                 = var.create_db_option_group
    auto_minor_version_upgrade                             = var.auto_minor_version_upgrade
    allow_major_version_upgrade                            = var.allow_major_version_upgrade
    instance_class                                         = var.instance_class
    storage_type                                           = var.storage_type
    allocated_storage                                      = var.allocated_storage
    max_allocated_storage                                  = var.max_allocated_storage
    storage_encrypted                                      = var.storage_encrypted
    kms_key_id                                             = var.kms_key_id
    db_name                                                = var.db_name
    username                                               = var.username
    port                                                   = var.port
    manage_master_user_password                            = var.manage_master_user_password
    master_user_secret_kms_key_id                          = var.master_user_secret_kms_key_id
    manage_master_user_password_rotation                   = var.manage_master_user_password_rotation
    master_user_password_rotation_automatically_after_days = var.master_user_password_rotation_automatically_after_days
    iam_database_authentication_enabled                    = var.iam_database_authentication_enabled
    multi_az                                               = var.multi_az
    publicly_accessible                                    = var.publicly_accessible
    create_db_subnet_group                                 = var.create_db_subnet_group
    db_subnet_group_name                                   = var.db_subnet_group_name
    vpc_security_group_ids                                 = var.vpc_security_group_ids
    ca_cert_identifier                                     = var.ca_cert_identifier
    parameters                                             = var.parameters
    backup_retention_period                                = var.backup_retention_period
    backup_window                                          = var.backup_window
    maintenance_window                                     = var.maintenance_window
    copy_tags_to_snapshot                                  = var.copy_tags_to_snapshot
    delete_automated_backups                               = var.delete_automated_backups
    deletion_protection                                    = var.deletion_protection
    skip_final_snapshot                                    = var.skip_final_snapshot
    final_snapshot_identifier_prefix                       = var.final_snapshot_identifier_prefix
    performance_insights_enabled                           = var.performance_insights_enabled
    performance_insights_kms_key_id                        = var.performance_insights_kms_key_id
    performance_insights_retention_period                  = var.performance_insights_retention_period
    monitoring_interval                                    = var.monitoring_interval
    create_monitoring_role                                 = var.create_monitoring_role
    monitoring_role_name                                   = var.monitoring_role_name
    monitoring_role_use_name_prefix                        = var.monitoring_role_use_name_prefix
    enabled_cloudwatch_logs_exports                        = var.enabled_cloudwatch_logs_exports
    create_cloudwatch_log_group                            = var.create_cloudwatch_log_group
    cloudwatch_log_group_retention_in_days                 = var.cloudwatch_log_group_retention_in_days
    cloudwatch_log_group_kms_key_id                        = var.cloudwatch_log_group_kms_key_id
  }
}

data "aws_caller_identity" "current" {}

data "aws_region" "current" {}
