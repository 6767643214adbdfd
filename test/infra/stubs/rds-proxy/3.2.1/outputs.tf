# Outputs of terraform-aws-modules/rds-proxy/aws 3.2.1 that this project reads.

output "proxy_endpoint" {
  value = "${var.name}.proxy.stub.invalid"
}
