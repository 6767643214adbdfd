# Contract stub: stands in for terraform-aws-modules/rds-proxy/aws 3.2.1 where that module is not at hand.
# It is not that module and holds none of its code. 

resource "terraform_data" "received" {
  input = {
    name                        = var.name
    engine_family               = var.engine_family
    require_tls                 = var.require_tls
    debug_logging               = var.debug_logging
    auth                        = var.auth
    iam_role_name               = var.iam_role_name
    use_role_name_prefix        = var.use_role_name_prefix
    iam_policy_name             = var.iam_policy_name
    kms_key_arns                = var.kms_key_arns
    vpc_subnet_ids              = var.vpc_subnet_ids
    vpc_security_group_ids      = var.vpc_security_group_ids
    target_db_instance          = var.target_db_instance
    db_instance_identifier      = var.db_instance_identifier
    manage_log_group            = var.manage_log_group
    log_group_retention_in_days = var.log_group_retention_in_days
    log_group_kms_key_id        = var.log_group_kms_key_id
  }
}
