output "chart_values" {
  description = "What the chart needs, by its own names: put it into the country's values file"
  value = {
    region = var.region
    regions = {
      (var.region) = {
        imageRepository   = module.ecr.repository_url
        accessLogsBucket  = module.alb_logs.name
        databaseHost      = module.rds.address
        databaseCidrs     = module.vpc.database_subnet_cidrs
        loadBalancerCidrs = module.vpc.public_subnet_cidrs
      }
    }
    database = {
      port = module.rds.port
      name = module.rds.database_name
    }
    externalSecrets = {
      prefix                 = local.secret_prefix
      readerRoleArn          = module.eks.secret_reader_role_arns["api"]
      migrationReaderRoleArn = module.eks.secret_reader_role_arns["migrate"]
    }
  }
}

output "argocd_cluster" {
  description = "What the country's Argo CD knows of its cluster: labels choose it, annotations fill in values"
  value = {
    name   = module.eks.cluster_name
    server = module.eks.cluster_endpoint
    labels = {
      country        = var.country
      data-residency = var.data_residency
      region         = var.region
    }
    annotations = {
      account-id                        = var.account_id
      vpc-id                            = module.vpc.vpc_id
      namespace                         = var.namespace
      load-balancer-controller-role-arn = module.eks.load_balancer_controller_role_arn
    }
  }
}

output "cluster_certificate_authority_data" {
  description = "Certificate authority of the Kubernetes API, base64"
  value       = module.eks.cluster_certificate_authority_data
}

output "database_master_secret_arn" {
  description = "The master login's secret, for the operator who creates the two logins"
  value       = module.rds.master_secret_arn
}

output "database_proxy_endpoint" {
  description = "Host name of RDS Proxy, or null"
  value       = module.rds.proxy_endpoint
}

output "secret_arns" {
  description = "The service's secrets by purpose"
  value       = local.secret_arns
}

output "kms_key_arns" {
  description = "Keys by purpose"
  value       = module.kms.key_arns
}

output "trail" {
  description = "The trail, its bucket and its log group"
  value = {
    arn       = module.audit.trail_arn
    bucket    = module.audit.bucket_name
    log_group = module.audit.log_group_name
    topic_arn = module.audit.topic_arn
  }
}

output "residency_policy_json" {
  description = "The service control policy of this country"
  value       = module.guardrails.policy_json
}
