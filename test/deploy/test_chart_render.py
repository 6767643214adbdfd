"""The chart: what it renders and refuses for each country, and that none names the other."""

import json
import re
import subprocess
import sys
import urllib.parse

import pytest

from harness.chart import (
    CHART,
    COUNTRIES,
    REGIONS,
    RELEASE,
    SETS,
    TOOLS,
    containers,
    helm_arguments,
    helm_template,
    is_hook,
    manifests,
    rendered,
    restricted_breaches,
    run,
    selects,
    values_schema,
)
from harness.machine import BINARY, ROOT
from harness.service import run_command

pytestmark = pytest.mark.delivery

EVERY_SET = pytest.mark.parametrize("name", SETS)
EVERY_COUNTRY = pytest.mark.parametrize("name", COUNTRIES)
SECRET_SETTINGS = {"DATABASE_URL", "API_SECRET_KEY", "API_SECRET_KEY_PREVIOUS"}


def deployment(name, *sets):
    return manifests(name, *sets).one("Deployment")


def pod(name, *sets):
    return deployment(name, *sets)["spec"]["template"]["spec"]


def server(name, *sets):
    (container,) = pod(name, *sets)["containers"]
    return container


# rendering


@EVERY_SET
def test_lint_is_clean(name):
    values, sets = SETS[name]
    done = run("helm", "lint", "--strict", CHART, *helm_arguments(values, sets))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "[WARNING]" not in done.stdout


@EVERY_SET
def test_rendering_is_reproducible_and_whole(name):
    values, sets = SETS[name]
    assert helm_template(values, sets).stdout == rendered(name)
    kinds = {one["kind"] for one in manifests(name).objects}
    wanted = {
        "ConfigMap",
        "CronJob",
        "Deployment",
        "HorizontalPodAutoscaler",
        "Job",
        "NetworkPolicy",
        "Pod",
        "PodDisruptionBudget",
        "PrometheusRule",
        "Service",
        "ServiceAccount",
        "ServiceMonitor",
    }
    if name != "dev":
        wanted |= {"ExternalSecret", "Ingress", "SecretStore"}
    assert kinds == wanted


@EVERY_SET
def test_every_object_is_named_and_labelled_as_part_of_the_release(name):
    for one in manifests(name).objects:
        metadata = one["metadata"]
        assert metadata["namespace"] == "payments"
        assert metadata["name"].startswith(RELEASE)
        assert metadata["labels"]["app.kubernetes.io/instance"] == RELEASE
        assert metadata["labels"]["payment-latency-api/country"] == name.split("-")[0]


def test_package_holds_the_dashboard_and_no_other_surprise(tmp_path):
    done = run("helm", "package", CHART, "-d", tmp_path)
    assert done.returncode == 0, done.stderr
    listed = subprocess.run(
        ["tar", "-tzf", str(next(tmp_path.glob("*.tgz")))],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    assert f"{RELEASE}/values.schema.json" in listed
    assert sum(path.endswith(".json") and "/dashboards/" in path for path in listed) >= 1


def test_notes_tell_where_the_service_is():
    done = run(
        "helm", "install", RELEASE, CHART, "-n", "payments", "--dry-run=client",
        *helm_arguments("values-spain.yaml"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "https://payments.es.example.com/api/payment/simulate" in done.stdout
    assert "spain in eu-south-2 (production)" in done.stdout


# what is refused, and with which words


REFUSED = {
    "unknown value": ("spain", "replicaCount=2", "'replicaCount' not allowed"),
    "unknown nested value": ("spain", "autoscaling.minReplica=3", "'minReplica' not allowed"),
    "unknown setting": ("spain", "settings.POOL_SIZEE=3", "'POOL_SIZEE' not allowed"),
    "secret as a setting": ("spain", "settings.API_SECRET_KEY=x", "not allowed"),
    "word for a number": ("spain", "autoscaling.minReplicas=oops", "want integer"),
    "number out of range": ("spain", "settings.POOL_SIZE=65", "maximum"),
    "Milan for Spain": ("spain", "region=eu-south-1", "region"),
    "Mexico's region for Spain": ("spain", "region=us-east-1", "value must be 'eu-south-2'"),
    "Spain's region for Mexico": ("mexico", "region=eu-south-2", "region"),
    "Spain's values as Mexico": ("spain", "country=mexico", "region"),
    "dev in a country": ("spain", "environment=dev", "environment"),
    "secrets not from AWS": ("mexico", "externalSecrets.enabled=false", "enabled"),
    "no network policy": ("mexico", "networkPolicy.enabled=false", "enabled"),
    "role is no ARN": ("spain", "externalSecrets.readerRoleArn=admin", "readerRoleArn"),
    "secrets asked for too rarely": ("spain", "externalSecrets.refreshInterval=1h", "refresh"),
    "old TLS policy": ("spain", "ingress.sslPolicy=ELBSecurityPolicy-2016-08", "sslPolicy"),
    "short digest": ("spain", "image.digest=sha256:abc", "digest"),
    "moving tag": ("spain", "image.tag=latest", "tag"),
    "database anywhere": ("spain", "regions.eu-south-2.databaseCidrs={0.0.0.0/0}", "databaseCidrs"),
    "grace shorter than the drain": ("spain", "termination.gracePeriodSeconds=27", "27 s"),
    "more pods than connections": ("spain", "autoscaling.maxReplicas=16", "connectionLimit"),
    "one port for callers and scrapes": ("spain", "opsPort=8080", "opsPort must not be port"),
    "fewest above most": ("spain", "autoscaling.minReplicas=13", "minReplicas"),
    "idle shorter than the balancer's": (
        "spain", "settings.HTTP_IDLE_TIMEOUT_MS=60000", "HTTP_IDLE_TIMEOUT_MS",
    ),
    "database of another region": (
        "spain", "regions.eu-south-2.databaseHost=a.b.us-east-1.rds.amazonaws.com", "residency",
    ),
    "registry of another region": (
        "mexico", "regions.us-east-1.imageRepository=1.dkr.ecr.eu-south-2.amazonaws.com/x",
        "residency",
    ),
    "certificate of another region": (
        "mexico-mx",
        "regions.mx-central-1.certificateArn=arn:aws:acm:us-east-1:444455556666:certificate/"
        "66666666-7777-8888-9999-000000000000",
        "residency",
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", REFUSED)
def test_wrong_values_are_refused(what):
    name, change, words = REFUSED[what]
    values, sets = SETS[name]
    done = helm_template(values, (*sets, change))
    assert done.returncode != 0, f"accepted: {change}"
    assert words in done.stderr


def test_every_object_of_the_schema_is_closed():
    def walk(schema, path):
        if schema.get("type") == "object" and "properties" in schema:
            assert schema.get("additionalProperties") is False, path
        for key, child in schema.get("properties", {}).items():
            walk(child, f"{path}.{key}")

    walk(values_schema(), "values")


# residency


def names_of(country):
    """Everything that names a country: its regions, account, hosts, addresses."""
    text = (CHART / f"values-{country}.yaml").read_text()
    found = set(re.findall(r"\b(?:eu-south-[12]|us-east-1|mx-central-1)\b", text))
    found |= set(re.findall(r"\b[0-9]{12}\b", text))
    found |= set(re.findall(r"(?:Host|host|Bucket|prefix): (\S+)", text))
    found |= set(re.findall(r"\b10\.[0-9]+\.", text)) | {country}
    return found


@EVERY_COUNTRY
def test_no_manifest_names_the_other_country(name):
    other = "mexico" if name == "spain" else "spain"
    foreign = names_of(other)
    assert len(foreign) >= 8
    assert {one for one in foreign if one in rendered(name)} == set()


@EVERY_COUNTRY
def test_only_the_chosen_region_is_rendered(name):
    regions = set(
        re.findall(r"\b[a-z]{2}-(?:south|east|west|central|north)-[0-9]\b", rendered(name))
    )
    assert regions == {REGIONS[name]}


@EVERY_COUNTRY
def test_service_believes_its_load_balancer_about_clients_and_nobody_else(name):
    made, second = manifests(name), "10" if name == "spain" else "20"
    trusted = made.one("ConfigMap", "")["data"]["TRUSTED_PROXIES"]
    assert trusted == ",".join(f"10.{second}.{third}.0/20" for third in (0, 16, 32))


@EVERY_COUNTRY
def test_region_reaches_every_place_that_needs_it(name):
    region, made = REGIONS[name], manifests(name)
    assert made.one("ConfigMap", "")["data"]["REGION"] == region
    for store in made.all("SecretStore"):
        assert store["spec"]["provider"]["aws"]["region"] == region
    assert f".ecr.{region}." in server(name)["image"]
    assert (
        f".{region}.rds."
        in made.one("ExternalSecret", "-app")["spec"]["target"]["template"]["data"]["database_url"]
    )
    (env,) = made.one("Job")["spec"]["template"]["spec"]["containers"]
    assert {"name": "REGION", "value": region} in env["env"]


def test_mexico_changes_region_by_one_value_alone():
    near = rendered("mexico").replace("us-east-1", "mx-central-1")
    far = rendered("mexico-mx")
    ids = r"certificate/[0-9a-f-]{36}|payments-mx/[0-9a-f-]{36}|checksum/config: \w+"
    assert re.sub(ids, "", near) == re.sub(ids, "", far)


# pods


@EVERY_SET
def test_pods_keep_the_restricted_standard(name):
    seen = {}
    for pod_name, _, spec in manifests(name).pods():
        seen[pod_name] = restricted_breaches(spec)
    names = ("", "-migrate", "-test", "-audit", "-recent", "-purge")
    assert seen == {f"{RELEASE}{name}": [] for name in names}


@pytest.mark.parametrize(
    "break_it",
    [
        lambda spec: spec.update(hostNetwork=True),
        lambda spec: spec["volumes"].append({"name": "x", "hostPath": {"path": "/"}}),
        lambda spec: spec["containers"][0]["securityContext"].pop("allowPrivilegeEscalation"),
        lambda spec: spec["containers"][0]["securityContext"].pop("capabilities"),
        lambda spec: spec["containers"][0]["securityContext"].update(runAsUser=0),
        lambda spec: spec["containers"][0]["securityContext"].update(
            seccompProfile={"type": "Unconfined"}
        ),
        lambda spec: spec["containers"][0]["livenessProbe"]["httpGet"].update(host="example.com"),
    ],
)
def test_the_check_of_the_restricted_standard_sees_a_breach(break_it):
    spec = pod("spain")
    break_it(spec)
    assert len(restricted_breaches(spec)) == 1


@EVERY_SET
def test_pods_have_no_token_no_service_links_and_a_read_only_root(name):
    for _, _, spec in manifests(name).pods():
        assert spec["automountServiceAccountToken"] is False
        assert spec["enableServiceLinks"] is False
        for container in containers(spec):
            security = container["securityContext"]
            assert security["readOnlyRootFilesystem"] is True
            assert (security["runAsUser"], security["runAsGroup"]) == (65532, 65532)
            for amount in ("requests", "limits"):
                assert set(container["resources"][amount]) == {"cpu", "memory", "ephemeral-storage"}
            memory = container["resources"]
            assert memory["requests"]["memory"] == memory["limits"]["memory"]
    for account in manifests(name).all("ServiceAccount"):
        assert account["automountServiceAccountToken"] is False


@EVERY_SET
def test_the_servers_account_has_no_role(name):
    account = manifests(name).one("ServiceAccount", "")
    assert not any("role-arn" in key for key in account["metadata"]["annotations"])
    assert pod(name)["serviceAccountName"] == account["metadata"]["name"]


@EVERY_SET
def test_probes_differ(name):
    container = server(name)
    paths = {
        probe: container[probe]["httpGet"]["path"]
        for probe in ("startupProbe", "livenessProbe", "readinessProbe")
    }
    assert paths == {
        "startupProbe": "/livez",
        "livenessProbe": "/livez",
        "readinessProbe": "/readyz",
    }
    liveness, startup = container["livenessProbe"], container["startupProbe"]
    assert startup["periodSeconds"] < liveness["periodSeconds"]
    assert container["readinessProbe"]["timeoutSeconds"] <= 1


@EVERY_SET
def test_grace_period_is_longer_than_the_whole_drain(name):
    spec, data = pod(name), manifests(name).one("ConfigMap", "")["data"]
    sleep = spec["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    drain = (int(data["DRAIN_DELAY_MS"]) + int(data["DRAIN_TIMEOUT_MS"])) / 1000
    assert sleep >= 5
    assert spec["terminationGracePeriodSeconds"] > sleep + drain + 1


@EVERY_SET
def test_a_rollout_never_goes_below_the_wanted_number(name):
    spec = deployment(name)["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    assert spec["minReadySeconds"] >= 5


@EVERY_SET
def test_pods_are_spread_over_zones_and_hosts_per_revision(name):
    spread = {one["topologyKey"]: one for one in pod(name)["topologySpreadConstraints"]}
    assert set(spread) == {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}
    assert all(one["matchLabelKeys"] == ["pod-template-hash"] for one in spread.values())
    assert spread["topology.kubernetes.io/zone"]["whenUnsatisfiable"] == "DoNotSchedule"


def test_image_by_tag_and_by_digest():
    digest = "sha256:" + "ab" * 32
    repository = "111122223333.dkr.ecr.eu-south-2.amazonaws.com/payment-latency-api"
    assert server("spain")["image"] == f"{repository}:1.0.0"
    for _, _, spec in manifests("spain", f"image.digest={digest}").pods():
        assert {one["image"] for one in containers(spec)} == {f"{repository}@{digest}"}


# selectors


@EVERY_SET
def test_selectors_name_nothing_that_changes_and_select_the_server_only(name):
    made = manifests(name)
    stable = {
        "app.kubernetes.io/name": RELEASE,
        "app.kubernetes.io/instance": RELEASE,
        "app.kubernetes.io/component": "server",
    }
    assert made.one("Deployment")["spec"]["selector"]["matchLabels"] == stable
    assert made.one("Service")["spec"]["selector"] == stable
    assert made.one("PodDisruptionBudget")["spec"]["selector"]["matchLabels"] == stable
    monitored = made.one("ServiceMonitor")["spec"]["selector"]["matchLabels"]
    assert selects(monitored, made.one("Service")["metadata"]["labels"])
    chosen = [pod_name for pod_name, labels, _ in made.pods() if selects(stable, labels)]
    assert chosen == [RELEASE]


def test_a_changed_setting_rolls_the_pods_and_nothing_else_does():
    def checksum(*sets):
        template = deployment("spain", *sets)["spec"]["template"]
        return template["metadata"]["annotations"]["checksum/config"]

    assert checksum() != checksum("settings.LOG_LEVEL=debug")
    assert checksum() == checksum("autoscaling.maxReplicas=10")


def test_without_autoscaler_the_number_is_the_deployments():
    assert "replicas" not in deployment("spain")["spec"]
    made = manifests("spain", "autoscaling.enabled=false", "replicas=4")
    assert made.one("Deployment")["spec"]["replicas"] == 4
    assert made.all("HorizontalPodAutoscaler") == []


# settings and secrets


@EVERY_SET
def test_secrets_are_files_and_never_environment(name):
    for pod_name, _, spec in manifests(name).pods():
        for container in containers(spec):
            for variable in container.get("env", []):
                assert "valueFrom" not in variable, pod_name
                assert variable["name"] not in SECRET_SETTINGS, pod_name
            assert all(set(one) == {"configMapRef"} for one in container.get("envFrom", []))
            assert not any("subPath" in mount for mount in container.get("volumeMounts", []))
    assert manifests(name).all("Secret") == []
    assert SECRET_SETTINGS & set(manifests(name).one("ConfigMap", "")["data"]) == set()


@EVERY_COUNTRY
def test_external_secrets_have_the_stores_and_roles_of_the_service_and_the_owner(name):
    made = manifests(name)
    roles = {
        one["metadata"]["name"]: one["metadata"]["annotations"].get("eks.amazonaws.com/role-arn")
        for one in made.all("ServiceAccount")
    }
    seen = {}
    for secret in made.all("ExternalSecret"):
        spec = secret["spec"]
        assert secret["apiVersion"] == "external-secrets.io/v1"
        assert int(spec["refreshInterval"].removesuffix("m")) <= 15
        assert spec["secretStoreRef"]["kind"] == "SecretStore"
        assert (spec["target"]["creationPolicy"], spec["target"]["deletionPolicy"]) == (
            "Owner", "Retain",
        )  # fmt: skip
        store = made.one("SecretStore", spec["secretStoreRef"]["name"].removeprefix(RELEASE))
        account = store["spec"]["provider"]["aws"]["auth"]["jwt"]["serviceAccountRef"]["name"]
        seen[spec["target"]["name"]] = (
            roles[account],
            {one["remoteRef"]["key"].rsplit("/", 1)[1] for one in spec["data"]},
        )
    assert {key: value[1] for key, value in seen.items()} == {
        f"{RELEASE}-app": {"api-key", "db-app"},
        f"{RELEASE}-ops": {"db-ops"},
        f"{RELEASE}-migrate": {"db-owner"},
    }
    roles = {key.removeprefix(RELEASE): value[0] for key, value in seen.items()}
    assert roles["-app"] == roles["-ops"] != roles["-migrate"]
    assert None not in roles.values()


@EVERY_SET
def test_jobs_of_operations_do_what_they_are_named_for_with_their_own_secret(name):
    made = manifests(name)
    seen = {}
    for one in made.all("CronJob"):
        spec = one["spec"]
        assert (spec["concurrencyPolicy"], spec["timeZone"]) == ("Forbid", "Etc/UTC")
        pod = spec["jobTemplate"]["spec"]["template"]["spec"]
        (container,) = pod["containers"]
        assert container["envFrom"] == [{"configMapRef": {"name": RELEASE}}]
        (volume,) = [volume for volume in pod["volumes"] if volume["name"] == "secrets"]
        assert volume["secret"]["secretName"] == f"{RELEASE}-ops"
        # A broken ledger is not looked at again and again.
        (rule,) = spec["jobTemplate"]["spec"]["podFailurePolicy"]["rules"]
        assert (rule["action"], rule["onExitCodes"]["values"]) == ("FailJob", [1, 64, 78])
        assert rule["onExitCodes"]["containerName"] == container["name"]
        assert len(spec["schedule"].split()) == 5
        seen[one["metadata"]["name"].removeprefix(RELEASE)] = container["args"]
    assert seen == {
        "-audit": ["audit"],
        "-recent": ["audit", "--since", "last"],
        "-purge": ["purge"],
    }


def test_operations_can_be_left_out():
    made = manifests("spain", "operations.enabled=false")
    assert made.all("CronJob") == []
    assert f"{RELEASE}-ops" not in json.dumps(made.objects)


@EVERY_COUNTRY
def test_the_real_binary_takes_the_settings_of_the_jobs(name, tmp_path):
    """They come as far as the database, which is not there."""
    if not BINARY.exists():
        pytest.skip(f"NOT CHECKED: {BINARY.relative_to(ROOT)} is not built")
    made = manifests(name)
    (tmp_path / "database_url").write_text(
        "postgresql://u:p@127.0.0.1:1/pay?sslmode=verify-full"
        "&sslrootcert=/etc/payment-latency-api/database-ca/bundle.pem"
    )
    for one in made.all("CronJob"):
        (container,) = one["spec"]["jobTemplate"]["spec"]["template"]["spec"]["containers"]
        env = environment_of(container, made.one("ConfigMap", "")["data"], tmp_path)
        done = run_command(*container["args"], settings=env)
        assert f"{container['args'][0]}: no connection to the database" in done.stderr


@EVERY_COUNTRY
def test_the_owners_credentials_live_only_while_hooks_run(name):
    made = manifests(name)
    assert f"{RELEASE}-migrate" not in json.dumps(deployment(name))
    for kind in ("ServiceAccount", "SecretStore", "ExternalSecret", "Job"):
        annotations = made.one(kind, "-migrate")["metadata"]["annotations"]
        assert annotations["helm.sh/hook"] == "pre-install,pre-upgrade"
        assert "hook-succeeded" in annotations["helm.sh/hook-delete-policy"]

    def weight(kind):
        return int(made.one(kind, "-migrate")["metadata"]["annotations"]["helm.sh/hook-weight"])

    assert (
        weight("ServiceAccount") < weight("SecretStore") < weight("ExternalSecret") < weight("Job")
    )
    (container,) = made.one("Job")["spec"]["template"]["spec"]["containers"]
    assert container["args"] == ["migrate"]


def environment_of(container, config, directory):
    """The container's environment, with the mounted directory found elsewhere."""
    env = dict(config)
    for one in container["env"]:
        env[one["name"]] = one["value"].replace(f"/run/secrets/{RELEASE}", str(directory))
    return env


@EVERY_COUNTRY
def test_the_real_binary_accepts_what_the_chart_gives_it(name, tmp_path):
    if not BINARY.exists():
        pytest.skip(f"NOT CHECKED: {BINARY.relative_to(ROOT)} is not built")
    made = manifests(name)
    wanted = made.one("ExternalSecret", "-app")["spec"]["target"]["template"]["data"]
    # What External Secrets does, for these three expressions; a password with every awkward byte.
    password = "p+a s:s/w@o?r%d&=#é"
    given = {"username": "pay_service", "password": password, "current": "k" * 64, "previous": ""}

    def fill(match):
        words = match[1].split("|")
        value = given[words[0].strip().removeprefix(".")]
        return urllib.parse.quote_plus(value).replace("+", "%20") if len(words) > 1 else value

    for file, template in wanted.items():
        (tmp_path / file).write_text(re.sub(r"\{\{(.*?)\}\}", fill, template))
    url = (tmp_path / "database_url").read_text()
    assert urllib.parse.unquote(urllib.parse.urlsplit(url).password) == password
    assert "sslmode=verify-full&sslrootcert=/etc/payment-latency-api/database-ca/" in url

    env = environment_of(server(name), made.one("ConfigMap", "")["data"], tmp_path)
    done = run_command("check", settings=env)
    assert done.returncode == 0, done.stderr
    for line in (f"REGION={REGIONS[name]}", "ENVIRONMENT=production", "DATABASE_TLS_INSECURE=0"):
        assert line in done.stdout.splitlines()

    (tmp_path / "api_secret_key").write_text("short")
    assert run_command("check", settings=env).returncode == 78


def test_schema_knows_exactly_the_services_settings_and_their_ranges():
    table = re.search(r"<!-- settings.*?<!-- /settings -->", (ROOT / "README.md").read_text(), re.S)
    wanted = {}
    for setting, limits in re.findall(r"^\| `([A-Z_]+)` \| .*? \| (.*?) \|", table[0], re.M):
        wanted[setting] = [
            int(one) for one in re.findall(r"^(\d+)\.\.(\d+)", limits)[0:1] for one in one
        ]
    for own_place in (
        "REGION", "ENVIRONMENT", "PORT", "OPS_PORT", "METRICS_ON_API_PORT", "BIND_ADDRESS",
        "DATABASE_TLS_INSECURE", "TRUSTED_PROXIES", *SECRET_SETTINGS,
    ):  # fmt: skip
        del wanted[own_place]
    schema = values_schema()["properties"]["settings"]["properties"]
    known = {
        setting: [rule["minimum"], rule["maximum"]] if "minimum" in rule else []
        for setting, rule in schema.items()
    }
    assert known == wanted


# network and edge


@EVERY_COUNTRY
def test_network_is_closed_but_for_what_is_named(name):
    made, second = manifests(name), "10" if name == "spain" else "20"
    deny = made.one("NetworkPolicy", "-default-deny")["spec"]
    assert deny == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    egress = made.one("NetworkPolicy", "-database")["spec"]
    assert egress["policyTypes"] == ["Egress"]
    dns, database = egress["egress"]
    assert [(port["protocol"], port["port"]) for port in dns["ports"]] == [("UDP", 53), ("TCP", 53)]
    assert [(port["protocol"], port["port"]) for port in database["ports"]] == [("TCP", 5432)]
    assert {one["ipBlock"]["cidr"] for one in database["to"]} == {
        f"10.{second}.{third}.0/24" for third in (48, 49, 50)
    }
    for _, labels, _ in made.pods():
        assert selects(egress["podSelector"]["matchLabels"], labels)
    callers = made.one("NetworkPolicy", "-callers")["spec"]
    assert callers["policyTypes"] == ["Ingress"]
    balancer, scraper = callers["ingress"]
    assert [port["port"] for port in balancer["ports"]] == [8080]
    assert all("ipBlock" in one for one in balancer["from"])
    assert [port["port"] for port in scraper["ports"]] == [9090]
    assert [
        one["namespaceSelector"]["matchLabels"]["kubernetes.io/metadata.name"]
        for one in scraper["from"]
    ] == ["monitoring"]


@EVERY_SET
def test_operations_have_a_port_that_callers_do_not_reach(name):
    made, container = manifests(name), server(name)
    ports = {port["name"]: port["containerPort"] for port in container["ports"]}
    settings = made.one("ConfigMap", "")["data"]
    assert ports == {"http": 8080, "ops": 9090}
    assert [settings[key] for key in ("PORT", "OPS_PORT", "METRICS_ON_API_PORT")] == [
        "8080", "9090", "0",
    ]  # fmt: skip
    probes = [container[probe] for probe in ("startupProbe", "livenessProbe", "readinessProbe")]
    assert {probe["httpGet"]["port"] for probe in probes} == {"ops"}
    (endpoint,) = made.one("ServiceMonitor")["spec"]["endpoints"]
    assert (endpoint["targetPort"], endpoint["path"], "port" in endpoint) == (
        "ops", "/metrics", False,
    )  # fmt: skip
    assert [port["targetPort"] for port in made.one("Service")["spec"]["ports"]] == ["http"]


def test_nobody_scrapes_unless_a_namespace_is_named():
    made = manifests("spain", "networkPolicy.metricsNamespace=")
    (rule,) = made.one("NetworkPolicy", "-callers")["spec"]["ingress"]
    assert [port["port"] for port in rule["ports"]] == [8080]


def test_callers_inside_the_cluster_are_named():
    made = manifests("spain", "networkPolicy.callerNamespaces={checkout}")
    callers, scraper = made.one("NetworkPolicy", "-callers")["spec"]["ingress"]
    assert "checkout" in json.dumps(callers["from"])
    assert "checkout" not in json.dumps(scraper["from"])


@EVERY_COUNTRY
def test_load_balancer_speaks_new_tls_and_routes_three_paths_only(name):
    ingress = manifests(name).one("Ingress")
    prefix = "alb.ingress.kubernetes.io/"
    notes = ingress["metadata"]["annotations"]
    assert json.loads(notes[prefix + "listen-ports"]) == [{"HTTP": 80}, {"HTTPS": 443}]
    assert notes[prefix + "ssl-redirect"] == "443"
    assert notes[prefix + "ssl-policy"].startswith("ELBSecurityPolicy-TLS13-1-2-")
    assert notes[prefix + "target-type"] == "ip"
    assert notes[prefix + "healthcheck-path"] == "/readyz"
    assert "drop_invalid_header_fields.enabled=true" in notes[prefix + "load-balancer-attributes"]
    assert "access_logs.s3.enabled=true" in notes[prefix + "load-balancer-attributes"]
    assert prefix + "wafv2-acl-arn" in notes
    assert prefix + "group.name" not in notes
    (rule,) = ingress["spec"]["rules"]
    assert {(one["path"], one["pathType"]) for one in rule["http"]["paths"]} == {
        ("/api", "Prefix"),
        ("/health", "Exact"),
        ("/info", "Exact"),
    }
    assert ingress["spec"]["tls"] == [{"hosts": [rule["host"]]}]


@EVERY_SET
def test_scaling_and_eviction(name):
    made = manifests(name)
    scaler = made.one("HorizontalPodAutoscaler")
    assert scaler["apiVersion"] == "autoscaling/v2"
    assert scaler["spec"]["minReplicas"] >= 3
    behavior = scaler["spec"]["behavior"]
    assert behavior["scaleUp"]["stabilizationWindowSeconds"] == 0
    assert behavior["scaleDown"]["stabilizationWindowSeconds"] >= 300
    budget = made.one("PodDisruptionBudget")["spec"]
    assert (budget["maxUnavailable"], budget["unhealthyPodEvictionPolicy"]) == (1, "AlwaysAllow")


@EVERY_COUNTRY
def test_waves_put_secrets_before_pods_before_the_edge(name):
    waves = {}
    for one in manifests(name).objects:
        if not is_hook(one):
            wave = one["metadata"]["annotations"]["argocd.argoproj.io/sync-wave"]
            waves.setdefault(one["kind"], set()).add(int(wave))
    assert waves["ExternalSecret"] == waves["SecretStore"] == waves["NetworkPolicy"] == {0}
    assert waves["Deployment"] == waves["Service"] == {1}
    assert waves["Ingress"] == waves["ServiceMonitor"] == {2}


def test_the_test_pod_is_a_whole_instance_that_must_become_ready():
    spec = manifests("spain").one("Pod")["spec"]
    (sidecar,), (check,) = spec["initContainers"], spec["containers"]
    assert (sidecar["args"], sidecar["restartPolicy"]) == (["serve"], "Always")
    assert sidecar["startupProbe"]["httpGet"]["path"] == "/readyz"
    assert (check["args"], spec["restartPolicy"]) == (["healthcheck"], "Never")
    assert sidecar["volumeMounts"] == server("spain")["volumeMounts"]
    assert spec["volumes"] == pod("spain")["volumes"]


# files that say the same thing twice


def test_readme_of_the_chart_is_current():
    done = subprocess.run(
        [sys.executable, str(ROOT / "build" / "lib" / "chart-docs"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_dashboards_are_kept_once_and_rendered_as_they_are():
    files = {path.name: path.read_text() for path in (CHART / "dashboards").glob("*.json")}
    assert files, "no dashboard in the chart"
    found = manifests("spain").one("ConfigMap", "-dashboard")
    assert {name: text.strip() for name, text in found["data"].items()} == {
        name: text.strip() for name, text in files.items()
    }
    assert found["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert sum(map(len, found["data"].values())) < 1_000_000
    for text in files.values():
        json.loads(text)
    assert list((ROOT / "deploy").rglob("grafana/**/*.json")) == []


# other people's opinion


@EVERY_SET
def test_kube_score_has_nothing_to_say(name):
    done = run(
        "kube-score", "score", "-", "--kubernetes-version", "v1.35", "--output-format", "ci",
        stdin=rendered(name),
    )  # fmt: skip
    lines = [line for line in done.stdout.splitlines() if line.startswith(("[CRIT", "[WARN"))]
    assert (lines, done.returncode) == ([], 0), done.stdout + done.stderr
    assert done.stdout.count("[OK]") > 40


@EVERY_SET
def test_manifests_keep_the_api_servers_own_schemas(name, kube_schemas):
    done = run(
        "kubeconform", "-strict", "-summary", "-schema-location",
        f"{kube_schemas}/{{{{.ResourceKind}}}}{{{{.KindSuffix}}}}.json", "-",
        stdin=rendered(name),
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Invalid: 0, Errors: 0, Skipped: 0" in done.stdout


@pytest.mark.parametrize("name", ["spain", "mexico"])
def test_checkov_finds_nothing_without_a_reason(name, tmp_path):
    """Exceptions stand beside the object, as checkov.io/skip annotations with their reason."""
    program = TOOLS.parent / "checkov" / "bin" / "checkov"
    if not program.exists():
        pytest.skip("NOT CHECKED: checkov is not in out/tools/checkov; build/test infra makes it")
    path = tmp_path / "manifests.yaml"
    path.write_text(rendered(name, "image.digest=sha256:" + "ab" * 32))
    words = ["-f", path, "--framework", "kubernetes", "--skip-download", "--compact"]
    done = subprocess.run(
        [program, *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Failed checks: 0" in done.stdout
