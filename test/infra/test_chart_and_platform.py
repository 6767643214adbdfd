"""What the chart reads is what Terraform makes: names, members, addresses, roles, namespaces."""

import ipaddress
import re
from functools import cache

import pytest

from harness.machine import ROOT

pytestmark = pytest.mark.delivery

CHART = ROOT / "deploy" / "helm" / "payment-latency-api"
INFRA = ROOT / "infra"
COUNTRIES = {"spain": "es", "mexico": "mx"}
both = pytest.mark.parametrize("country", COUNTRIES)


@cache
def read(path):
    return (ROOT / path).read_text(encoding="utf-8")


def default_of(path, name):
    block = re.search(rf'^variable "{name}" {{$(.*?)^}}$', read(path), re.M | re.S)[1]
    return re.search(r'^  default +=\s+"([^"]*)"$', block, re.M)[1]


def platform(country, name):
    """What the environment gives to the platform, or the platform's default."""
    given = re.search(
        rf'^  {name} += "([^"]*)"$', read(f"infra/environments/{country}/main.tf"), re.M
    )
    return given[1] if given else default_of("infra/modules/platform/variables.tf", name)


def secret_prefix(country):
    template = re.search(r'secret_prefix +=\s+"([^"]+)"', read("infra/modules/platform/main.tf"))[1]
    return template.replace("${var.country_code}", COUNTRIES[country]).replace(
        "${var.country}", country
    )


def value(country, key):
    """A scalar or list of the country's values, else of the defaults, by its (unique) last name."""
    for path in (CHART / f"values-{country}.yaml", CHART / "values.yaml"):
        found = re.findall(rf"^ *{key}: *(.+)$", path.read_text(encoding="utf-8"), re.M)
        if found:
            return found
    raise AssertionError(f"the chart has no {key}")


def subnets(country, kind):
    cidr = ipaddress.ip_network(
        default_of(f"infra/environments/{country}/variables.tf", "vpc_cidr")
    )
    line = re.search(
        rf"^  {kind}_subnets +=.*cidrsubnet\(var\.cidr, (\d+), (?:(\d+) \+ )?index\)",
        read("infra/modules/vpc/main.tf"),
        re.M,
    )
    first = int(line[2] or 0)
    return [str(net) for net in list(cidr.subnets(prefixlen_diff=int(line[1])))[first : first + 3]]


@both
@pytest.mark.parametrize(
    "key, kind", [("databaseCidrs", "database"), ("loadBalancerCidrs", "public")]
)
def test_network_policy_names_the_subnets_of_the_vpc(country, key, kind):
    for stated in value(country, key):
        assert re.findall(r"[\d./]+", stated) == subnets(country, kind)


@both
def test_chart_asks_for_the_secrets_that_terraform_makes(country):
    made = re.search(
        r"^  secrets = {$(.*?)^  }$", read("infra/modules/platform/secrets.tf"), re.M | re.S
    )[1]
    purposes = set(re.findall(r"^ +([\w-]+) +=", made, re.M))
    templates = "".join(path.read_text("utf-8") for path in (CHART / "templates").glob("*.yaml"))
    asked = re.findall(r'printf "%s/([\w-]+)" \.Values\.externalSecrets\.prefix', templates)
    assert set(asked) == purposes
    assert value(country, "prefix") == [secret_prefix(country)]


def test_chart_reads_the_members_that_the_secrets_have():
    made = read("infra/modules/platform/secrets.tf")
    described = dict(re.findall(r'^    ([\w-]+) += "([^"]*)"$', made, re.M))
    for name in ("externalsecret.yaml", "migrate-secret.yaml"):
        template = (CHART / "templates" / name).read_text(encoding="utf-8")
        asked = re.findall(r'"%s/([\w-]+)" [^}]*}}, property: (\w+)', template)
        assert asked
        for purpose, member in asked:
            assert re.search(rf"\b{member}\b", described[purpose]), f"{purpose} has no {member}"


@both
def test_reader_roles_trust_the_namespace_of_the_application(country):
    application = read(f"deploy/argocd/application-{country}.yaml")
    namespace = re.search(r"^  destination:$.*?^    namespace: (\S+)$", application, re.M | re.S)[1]
    release = re.search(r"releaseName: (\S+)", application)[1]
    assert platform(country, "namespace") == namespace
    assert platform(country, "release_name") == release


@both
@pytest.mark.parametrize(
    "key, reader", [("readerRoleArn", "api"), ("migrationReaderRoleArn", "migrate")]
)
def test_reader_roles_are_those_of_terraform(country, key, reader):
    template = re.search(
        r'role_name +=\s+"([^"]*\$\{each\.key\}[^"]*)"', read("infra/modules/eks/roles.tf")
    )[1]
    role = template.replace("${var.name}", platform(country, "name")).replace("${each.key}", reader)
    assert [arn.rpartition("/")[2] for arn in value(country, key)] == [role]


def test_service_accounts_of_the_readers_are_those_of_the_chart():
    suffixes = re.findall(
        r'service_account = "\$\{var\.release_name\}(-[\w-]+)"',
        read("infra/modules/platform/main.tf"),
    )
    templates = "".join(path.read_text("utf-8") for path in (CHART / "templates").glob("*.yaml"))
    named = set(
        re.findall(
            r'^    +name: \{\{ include "payment\.fullname" \. \}\}(-[\w-]*secrets)$',
            templates,
            re.M,
        )
    )
    assert set(suffixes) == named


def test_outputs_for_the_chart_have_its_names():
    output = re.search(
        r'^output "chart_values" {$(.*?)^}$', read("infra/modules/platform/outputs.tf"), re.M | re.S
    )[1]
    names = set(re.findall(r"^ {4,}(\w+) +=", output, re.M)) - {"var"}
    values = read("deploy/helm/payment-latency-api/values.yaml")
    assert {name for name in names if not re.search(rf"^ *{name}:", values, re.M)} == set()


@both
def test_load_balancer_may_write_its_logs_where_the_chart_puts_them(country):
    ingress = (CHART / "templates" / "ingress.yaml").read_text(encoding="utf-8")
    policy = re.search(
        r"LoadBalancersWriteTheirLogs.*?Resource += \[(.*?)\]",
        read("infra/modules/platform/main.tf"),
        re.S,
    )[1]
    if "access_logs.s3.prefix" in ingress:
        assert "/*/AWSLogs/" in policy or "release_name}/AWSLogs/" in policy, (
            "the bucket's policy allows no prefix"
        )
    else:
        assert "/AWSLogs/" in policy
