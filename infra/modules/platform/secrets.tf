# The service's secrets in one country, empty: their values are written by infra/secret-values, which keeps them out of plan and state,
# or by hand (adr/RUNBOOK.md). A value's rotation never touches this module.

locals {
  # purpose = what is in it; the chart's ExternalSecrets read these properties
  secrets = {
    api-key  = "API_SECRET_KEY and API_SECRET_KEY_PREVIOUS: what callers send as X-API-Key"
    db-app   = "username, password: the service's own database login, neither the master user nor the owner"
    db-ops   = "username, password: the login of the ledger's audit and the purge, a member of pay_ops"
    db-owner = "username, password: the schema owner's login, for migrations only"
  }
  secret_arns = { for purpose, secret in aws_secretsmanager_secret.service : purpose => secret.arn }
}

resource "aws_secretsmanager_secret" "service" {
  #checkov:skip=CKV2_AWS_57:rotation is the runbook's: the service takes new values from its files without a restart
  for_each = local.secrets

  name                    = "${local.secret_prefix}/${each.key}"
  description             = each.value
  kms_key_id              = module.kms.key_arns["secrets"]
  recovery_window_in_days = var.deletion_protection ? 30 : 0
}
