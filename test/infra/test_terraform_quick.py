"""infra/ without a cloud: fmt, validate, terraform test, and one plan of each country read as JSON.

Every root and every module. The genuine terraform and hashicorp/aws provider; AWS itself is mocked
(`mock_provider`), the public modules are contract stubs (test/infra/stubs). A missing terraform or
provider is a loud SKIPPED. Nothing is applied here: that is apply.py's. Each folder is tested in a
copy in out/infra/quick, so the tree stays as it is.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path

import pytest

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))

from working_copy import INFRA, STUBS, Copy, Failed, Missing, folders, plugin_mirrors  # noqa: E402

pytestmark = pytest.mark.delivery

COUNTRIES = {"spain": ("eu-south-2", "111122223333"), "mexico": ("us-east-1", "444455556666")}
LEAST_ASSERTIONS = 25
PUBLIC_MODULE = re.compile(
    r'source\s*=\s*"terraform-aws-modules/([a-z-]+)/aws(?:"|//)[^\n]*\n\s*version\s*=\s*"([^"]+)"'
)


def with_tests():
    return [name for name in folders() if list((INFRA / name / "tests").glob("*.tftest.hcl"))]


FOLDERS, TESTED = folders(), with_tests()


@cache
def copies():
    """All copies, two at a time; a reason instead where Terraform is missing."""

    def make(name):
        try:
            return Copy(name)
        except (Missing, Failed) as problem:
            return problem

    with ThreadPoolExecutor(os.cpu_count() or 1) as workers:
        return dict(zip(FOLDERS, workers.map(make, FOLDERS), strict=True))


def skip_loudly(reason, capsys):
    first = str(reason).splitlines()[0]
    with capsys.disabled():
        print(f"\n== SKIPPED, nothing of infra/ was checked: {first}")
    pytest.skip(f"SKIPPED: {first}")


@pytest.fixture
def copy_of(capsys):
    def copy(name):
        made = copies()[name]
        if isinstance(made, Missing):
            skip_loudly(made, capsys)
        if isinstance(made, Failed):
            pytest.fail(str(made))
        return made

    return copy


# --- form ---


def test_fmt(capsys):
    if not shutil.which("terraform"):
        skip_loudly("terraform is not in PATH", capsys)
    environment = os.environ | {"TF_CLI_CONFIG_FILE": os.devnull, "CHECKPOINT_DISABLE": "1"}
    for tree in (INFRA, STUBS):
        done = subprocess.run(
            ["terraform", "fmt", "-check", "-recursive", "-list=true", str(tree)],
            env=environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (
            f"terraform fmt -recursive {tree.name} would change:\n{done.stdout}"
        )


def test_terraform_is_a_version_that_every_root_allows(copy_of, capsys):
    version = copy_of(FOLDERS[0]).terraform.version()
    with capsys.disabled():
        print(
            f"\n   real: terraform {version}, provider hashicorp/aws from"
            f" {'a local mirror' if plugin_mirrors() else 'the registry'}; AWS is mocked"
        )
    major_minor = tuple(map(int, version.split(".")[:2]))
    for name in FOLDERS:
        text = "".join(file.read_text() for file in (INFRA / name).glob("*.tf"))
        bounds = re.search(r'required_version = ">= (\d+)\.(\d+)\.0, < (\d+)\.0\.0"', text)
        least, last = (int(bounds[1]), int(bounds[2])), (int(bounds[3]), 0)
        assert least <= major_minor < last, name


def test_what_stands_in_for_what():
    """Every public module that is asked for has a stub, of just that version; no stub is idle."""
    text = "\n".join(
        file.read_text() for file in INFRA.rglob("*.tf") if ".terraform" not in file.parts
    )
    asked = PUBLIC_MODULE.findall(text)

    assert len(asked) == text.count('"terraform-aws-modules/'), "one names no version"
    stubs = {path.relative_to(STUBS).as_posix() for path in STUBS.glob("*/*")}
    assert {f"{name}/{version}" for name, version in asked} == stubs


@pytest.mark.parametrize("name", FOLDERS)
def test_validate(name, copy_of):
    copy = copy_of(name)
    copy.terraform.run("validate", "validate", "-no-color")
    assert "Success! The configuration is valid." in copy.said("validate")


@pytest.mark.parametrize("name", TESTED)
def test_terraform_test(name, copy_of):
    copy = copy_of(name)
    copy.terraform.run("test", "test", "-no-color")
    passed = re.search(r"^Success! (\d+) passed, 0 failed\.$", copy.said("test"), re.M)
    assert passed and int(passed[1]) >= 1, copy.said("test")[-2000:]


def test_there_are_enough_assertions(capsys):
    texts = [
        file.read_text()
        for name in TESTED
        for file in (INFRA / name / "tests").glob("*.tftest.hcl")
    ]
    assertions = sum(len(re.findall(r"^  assert \{$", text, re.M)) for text in texts)
    refusals = sum(len(re.findall(r"^  expect_failures = ", text, re.M)) for text in texts)
    with capsys.disabled():
        print(
            f"\n   terraform test: {len(TESTED)} folders,"
            f" {assertions} assertions, {refusals} refusals"
        )
    assert assertions >= LEAST_ASSERTIONS
    assert refusals >= 10


def test_every_module_has_tests():
    """platform is tested through the countries; no mock gives secret-values ephemeral results."""
    assert set(FOLDERS) - set(TESTED) == {"modules/platform", "secret-values"}


# --- one plan of each country, as JSON ---


@cache
def plan_of(country):
    """Address -> what the plan gives it. Unknown values are absent."""
    copy = copies()[f"environments/{country}"]
    if not isinstance(copy, Copy):
        return copy
    copy.terraform.run("plan", "test", "-json", "-verbose", "-filter=tests/plan.tftest.hcl")
    for line in copy.said("plan").splitlines():
        event = json.loads(line) if line.startswith("{") else {}
        if event.get("type") == "test_plan":
            changes = event["test_plan"]["resource_changes"]
            return {c["address"]: c["change"]["after"] for c in changes if c["mode"] == "managed"}
    raise AssertionError("terraform test printed no plan")


@pytest.fixture(params=COUNTRIES)
def country(request):
    return request.param


@pytest.fixture
def plan(country, capsys):
    made = plan_of(country)
    if isinstance(made, Missing):
        skip_loudly(made, capsys)
    if isinstance(made, Failed):
        pytest.fail(str(made))
    return made


def received(plan, module):
    """What a stub got; every such call when the module is called more than once."""
    ends = re.compile(rf"module\.{module}(\[[^]]+\])?\.terraform_data\.received$")
    return [after["input"] for address, after in plan.items() if ends.search(address)]


def policies(plan):
    """(address, statement) of every policy document of ours."""
    for address, after in plan.items():
        for argument in ("policy", "assume_role_policy", "content"):
            text = after.get(argument)
            if isinstance(text, str) and text.startswith("{") and "Statement" in text:
                for statement in json.loads(text)["Statement"]:
                    yield address, statement


def words(statement, name):
    value = statement.get(name, [])
    return [value] if isinstance(value, str) else value


def test_database(plan):
    (db,) = received(plan, "rds.module.db")
    assert db["engine"] == "postgres" and db["family"] == "postgres17"
    assert db["multi_az"] is True
    assert db["storage_encrypted"] is True
    assert db["publicly_accessible"] is False
    assert db["deletion_protection"] is True and db["skip_final_snapshot"] is False
    assert db["backup_retention_period"] >= 7 and db["copy_tags_to_snapshot"] is True
    assert db["performance_insights_enabled"] is True
    assert db["manage_master_user_password"] is True
    assert db["create_cloudwatch_log_group"] and db["cloudwatch_log_group_retention_in_days"] >= 365
    parameters = {p["name"]: p["value"] for p in db["parameters"]}
    assert parameters["rds.force_ssl"] == "1"
    assert parameters["ssl_min_protocol_version"] == "TLSv1.2"


def test_database_has_no_way_to_the_internet(plan):
    (vpc,) = received(plan, "vpc.module.vpc")
    assert vpc["create_database_internet_gateway_route"] is False
    assert vpc["create_database_nat_gateway_route"] is False
    assert vpc["create_database_subnet_route_table"] is True


def test_network(plan):
    (vpc,) = received(plan, "vpc.module.vpc")
    assert len(vpc["azs"]) == 3
    assert [len(vpc[f"{kind}_subnets"]) for kind in ("public", "private", "database")] == [3, 3, 3]
    assert vpc["one_nat_gateway_per_az"] is True and vpc["single_nat_gateway"] is False
    assert vpc["enable_flow_log"] is True and vpc["flow_log_traffic_type"] == "ALL"
    assert vpc["flow_log_cloudwatch_log_group_retention_in_days"] >= 365
    assert vpc["map_public_ip_on_launch"] is False
    assert vpc["default_security_group_ingress"] == [] == vpc["default_security_group_egress"]


def test_cluster(plan):
    (eks,) = received(plan, "eks.module.eks")
    assert eks["cluster_version"] == "1.35"
    assert eks["cluster_endpoint_private_access"] is True
    assert eks["cluster_endpoint_public_access"] is False
    assert eks["cluster_endpoint_public_access_cidrs"] == []
    every = {"api", "audit", "authenticator", "controllerManager", "scheduler"}
    assert set(eks["cluster_enabled_log_types"]) == every
    assert eks["create_kms_key"] is False
    assert eks["cluster_encryption_config"]["resources"] == ["secrets"]
    assert eks["authentication_mode"] == "API"
    assert eks["enable_cluster_creator_admin_permissions"] is False
    assert eks["enable_irsa"] is True


def test_nodes(plan):
    (eks,) = received(plan, "eks.module.eks")
    for group in eks["eks_managed_node_groups"].values():
        assert group["min_size"] >= 3 and group["max_size"] > group["min_size"]
        assert group["metadata_options"]["http_tokens"] == "required"
        assert group["metadata_options"]["http_put_response_hop_limit"] == 1
        assert group["iam_role_attach_cni_policy"] is False
        for mapping in group["block_device_mappings"].values():
            assert mapping["ebs"]["encrypted"] is True and mapping["ebs"]["volume_type"] == "gp3"


def test_add_ons(plan):
    (eks,) = received(plan, "eks.module.eks")
    addons = eks["cluster_addons"]
    assert {"vpc-cni", "metrics-server", "coredns", "kube-proxy"} <= set(addons)
    assert addons["vpc-cni"]["before_compute"] is True
    assert json.loads(addons["vpc-cni"]["configuration_values"])["enableNetworkPolicy"] == "true"


def test_one_role_per_service_account(plan, country):
    code = {"spain": "es", "mexico": "mx"}[country]
    accounts = []
    for module in (
        "secret_reader_role",
        "load_balancer_controller_role",
        "vpc_cni_role",
        "ebs_csi_role",
    ):
        for role in received(plan, module):
            assert role["role_name"].startswith(f"payments-{code}-")
            (provider,) = role["oidc_providers"].values()
            assert len(provider["namespace_service_accounts"]) == 1
            accounts += provider["namespace_service_accounts"]
    assert len(accounts) == len(set(accounts)) == 5
    assert all("*" not in account for account in accounts)


def test_secrets(plan, country):
    code = {"spain": "es", "mexico": "mx"}[country]
    secrets = [
        after for address, after in plan.items() if ".aws_secretsmanager_secret.service" in address
    ]
    assert {secret["name"] for secret in secrets} == {
        f"payment-latency-api-{code}/{purpose}" for purpose in ("api-key", "db-app", "db-ops", "db-owner")
    }
    for secret in secrets:
        assert secret["kms_key_id"].startswith("arn:aws:kms:")
        assert not secret.get("replica")  # into another region
        assert secret["recovery_window_in_days"] == 30


def test_proxy(plan):
    (proxy,) = received(plan, "proxy")
    assert proxy["require_tls"] is True and proxy["debug_logging"] is False
    assert proxy["auth"]["app"]["client_password_auth_type"] == "POSTGRES_SCRAM_SHA_256"


def test_no_policy_allows_a_wildcard(plan):
    """Actions: none. Resources: "*" only in a key's policy, where it means that key."""
    seen = 0
    for address, statement in policies(plan):
        if statement["Effect"] != "Allow":
            continue
        seen += 1
        assert "NotAction" not in statement and "NotResource" not in statement, address
        for action in words(statement, "Action"):
            assert "*" not in action, f"{address}: {action}"
        if "aws_kms_key" not in address:
            for resource in words(statement, "Resource"):
                assert resource.startswith("arn:aws:") and resource != "arn:aws:*", (
                    f"{address}: {resource}"
                )
    assert seen >= 20


def test_no_policy_trusts_everyone(plan):
    for address, statement in policies(plan):
        if statement["Effect"] == "Allow":
            principal = statement.get("Principal", {})
            assert principal != "*" and principal.get("AWS") != "*", address


def test_trail(plan):
    (trail,) = [after for address, after in plan.items() if ".aws_cloudtrail." in address]
    assert trail["enable_log_file_validation"] is True and trail["enable_logging"] is True
    assert trail["is_multi_region_trail"] is True and trail["include_global_service_events"] is True
    (lock,) = [
        after
        for address, after in plan.items()
        if "aws_s3_bucket_object_lock_configuration" in address
    ]
    assert lock["rule"][0]["default_retention"][0]["days"] >= 365


def test_buckets(plan):
    blocks = [
        after for address, after in plan.items() if ".aws_s3_bucket_public_access_block." in address
    ]
    buckets = [after for address, after in plan.items() if re.search(r"\.aws_s3_bucket\.", address)]
    assert len(blocks) == len(buckets) == 2
    for block in blocks:
        assert all(
            block[name] for name in block if name.startswith(("block_", "ignore_", "restrict_"))
        )
    assert all(bucket["force_destroy"] is False for bucket in buckets)


def test_everything_is_tagged_with_its_residency(plan, country):
    region, _ = COUNTRIES[country]
    wanted = {
        "Country": country,
        "DataResidency": {"spain": "eu", "mexico": "mx"}[country],
        "Region": region,
    }
    text = (INFRA / "environments" / country / "main.tf").read_text()
    tags = re.search(r"default_tags \{\n    tags = \{\n(.*?)\n    \}", text, re.S)[1]
    for name, value in wanted.items():
        stated = re.search(rf"^ +{name} += (.*)$", tags, re.M)[1]
        assert stated in (f'"{value}"', "var.aws_region")


def test_no_other_country(plan, country):
    """Neither a region nor the account of the other country is in the plan."""
    text = json.dumps(plan)
    for other, (region, account) in COUNTRIES.items():
        if other != country:
            assert region not in text and account not in text
    assert "eu-south-1" not in text


# --- what only the text can tell ---


def test_no_unpinned_public_module():
    for file in INFRA.rglob("*.tf"):
        for body in re.findall(r'^module "[^"]+" \{\n(.*?)^\}', file.read_text(), re.M | re.S):
            source = re.search(r'^  source\s*=\s*"([^"]+)"', body, re.M)[1]
            if not source.startswith("."):
                version = re.search(r'^  version\s*=\s*"([^"]+)"', body, re.M)
                assert version and re.fullmatch(r"\d+\.\d+\.\d+", version[1]), f"{file}: {source}"
                readme = (INFRA / "README.md").read_text()
                assert source in readme and version[1] in readme, f"infra/README.md lacks {source}"


@pytest.mark.parametrize("country", COUNTRIES)
def test_state_is_locked_encrypted_and_at_home(country):
    root = INFRA / "environments" / country
    backend = re.search(r'backend "s3" \{\n(.*?)\n  \}', (root / "main.tf").read_text(), re.S)[1]
    assert re.search(r"encrypt\s+= true", backend) and re.search(r"use_lockfile\s+= true", backend)
    assert "allowed_account_ids = [var.account_id]" in (root / "main.tf").read_text()
    regions = {"spain": {"eu-south-2"}, "mexico": {"us-east-1", "mx-central-1"}}[country]
    files = {
        file.name.partition(".")[0]: file.read_text()
        for file in (root / "backend").glob("*.s3.tfbackend")
    }
    assert set(files) == regions
    for region, text in files.items():
        named = set(re.findall(r"\b(?:eu|us|mx)-[a-z]+-\d\b", text))
        assert named == {region}, f"{country}: the state of {region} names {named}"


def test_lock_files_hold_the_one_provider():
    for name in ("environments/spain", "environments/mexico", "bootstrap", "secret-values"):
        text = (INFRA / name / ".terraform.lock.hcl").read_text()
        assert re.findall(r'hashicorp/(\w+)"', text) == ["aws"] and '"5.100.0"' in text
