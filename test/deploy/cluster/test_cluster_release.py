"""A release's life on the cluster: Helm, the real controllers and the real scheduler.

kwok plays the kubelets: pods are scheduled and become Ready, but no image is pulled and nothing
runs in them. test/deploy/kube/stages.yaml says which image tags make a pod or a Job fail.
"""

import json

import pytest

from deploy.kube.chart import CHART, COUNTRIES, RELEASE

pytestmark = pytest.mark.deploy


def serves(pod):
    conditions = {one["type"]: one["status"] for one in pod["status"].get("conditions", [])}
    return conditions.get("Ready") == "True" and "deletionTimestamp" not in pod["metadata"]


class Release:
    """The chart in a namespace."""

    def __init__(self, kubernetes, country, namespace):
        self.kubernetes = kubernetes
        self.namespace = namespace
        self.values = ("-f", str(CHART / f"values-{country}.yaml"))

    def helm(self, verb, *arguments):
        return self.kubernetes.helm(verb, RELEASE, *arguments, "-n", self.namespace)

    def done(self, verb, *arguments):
        ended = self.helm(verb, *arguments)
        assert ended.returncode == 0, f"helm {verb}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def install(self):
        return self.done("install", str(CHART), *self.values, "--wait", "--timeout=120s")

    def upgrade(self, *options):
        return self.helm("upgrade", str(CHART), *self.values, "--rollback-on-failure", *options)

    def get(self, kind, *options):
        return self.kubernetes.get(kind, "-n", self.namespace, *options)

    def history(self):
        """What Helm remembers, oldest first: (status, description)."""
        told = json.loads(self.done("history", "-o", "json"))
        return [(revision["status"], revision["description"]) for revision in told]

    def rolled_out(self):
        self.kubernetes.kubectl(
            "-n", self.namespace, "rollout", "status", f"deployment/{RELEASE}", "--timeout=120s"
        )
        return self.get("deployment", RELEASE)

    def image(self):
        spec = self.get("deployment", RELEASE)["spec"]["template"]["spec"]
        return spec["containers"][0]["image"]

    def servers(self):
        """The pods of the service that are Ready, by uid."""
        pods = self.get("pods", "-l", "app.kubernetes.io/component=server")["items"]
        return {pod["metadata"]["uid"]: pod for pod in pods if serves(pod)}

    def zones(self):
        nodes = self.kubernetes.get("nodes")["items"]
        zone = {
            node["metadata"]["name"]: node["metadata"]["labels"]["topology.kubernetes.io/zone"]
            for node in nodes
        }
        return sorted(zone[pod["spec"]["nodeName"]] for pod in self.servers().values())


@pytest.fixture
def release(kubernetes, namespace):
    def make(country):
        return Release(kubernetes, country, namespace(country))

    return make


@pytest.mark.parametrize("country", COUNTRIES)
def test_install_test_upgrade_rollback_uninstall(release, country):
    own = release(country)
    own.install()
    status = own.rolled_out()["status"]
    # The autoscaler, not the Deployment, says how many: its minimum, one in each zone.
    least = own.get("hpa", RELEASE)["spec"]["minReplicas"]
    assert least == status["readyReplicas"] == len(own.servers()) == 3
    assert own.zones() == ["zone-a", "zone-b", "zone-c"]
    first_image = own.image()

    # The owner of the schema was there for the migration only.
    assert own.get("jobs")["items"] == []
    accounts = {account["metadata"]["name"] for account in own.get("serviceaccounts")["items"]}
    assert not [name for name in accounts if "migrate" in name]

    tested = own.done("test", "--timeout=60s")
    assert "Succeeded" in tested

    upgraded = own.upgrade("--set=image.tag=9.9.9", "--timeout=120s")
    assert upgraded.returncode == 0, upgraded.stderr
    own.rolled_out()
    assert own.image().endswith(":9.9.9")
    assert own.zones() == ["zone-a", "zone-b", "zone-c"]

    own.done("rollback", "1", "--wait", "--timeout=120s")
    own.rolled_out()
    assert own.image() == first_image
    assert own.history() == [
        ("superseded", "Install complete"),
        ("superseded", "Upgrade complete"),
        ("deployed", "Rollback to 1"),
    ]

    own.done("uninstall", "--wait", "--timeout=120s")
    left = own.get(
        "all,ingress,networkpolicy,pdb,externalsecret,secretstore,servicemonitor,prometheusrule,secret"
    )
    assert [f"{thing['kind']}/{thing['metadata']['name']}" for thing in left["items"]] == []


def test_upgrade_whose_pods_never_become_ready_rolls_back(release):
    own = release("spain")
    own.install()
    before, image = own.servers(), own.image()
    failed = own.upgrade("--set=image.tag=never-ready", "--timeout=20s")
    assert failed.returncode != 0
    history = [status for status, _ in own.history()]
    assert history == ["superseded", "failed", "deployed"], failed.stderr
    own.rolled_out()
    assert own.image() == image
    # No pod that served was taken away for the new ones.
    assert own.servers().keys() == before.keys()


def test_upgrade_whose_migration_fails_touches_no_pod(release):
    own = release("mexico")
    own.install()
    before, image = own.servers(), own.image()
    failed = own.upgrade(
        "--set=image.tag=job-fails", "--set=migrations.deadlineSeconds=30", "--timeout=60s"
    )
    assert failed.returncode != 0
    history = [status for status, _ in own.history()]
    assert history == ["superseded", "failed", "deployed"], failed.stderr
    assert own.image() == image
    assert own.servers().keys() == before.keys()
    assert len(own.get("replicasets")["items"]) == 1


def test_a_drained_node_costs_one_pod_at_a_time(release, kubernetes):
    own = release("spain")
    own.install()
    own.rolled_out()
    budget = own.get("pdb", RELEASE)
    assert budget["spec"]["unhealthyPodEvictionPolicy"] == "AlwaysAllow"
    assert budget["status"]["currentHealthy"] == 3
    assert budget["status"]["disruptionsAllowed"] == 1
    try:
        kubernetes.kubectl("drain", "node-a", "--timeout=60s")
        own.rolled_out()
        assert set(own.zones()) == {"zone-b", "zone-c"}
    finally:
        kubernetes.kubectl("uncordon", "node-a")
