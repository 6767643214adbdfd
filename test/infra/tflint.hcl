# tflint over every folder of infra/: all rules of its Terraform ruleset. A rule that is off has its reason beside it.
config {
  call_module_type = "none" # each folder is linted for itself; the public modules are not at hand
}

plugin "terraform" {
  enabled = true
  preset  = "all"
}
