"""What a real API server takes, and what it refuses, of the chart and of Argo CD's files."""

import pytest

from deploy.kube.chart import ARGOCD, COUNTRIES, changed, render
from deploy.kube.cluster import SCHEMAS
from deploy.kube.schemas import LOCATION

pytestmark = pytest.mark.deploy

TAKEN = (200, 201)
RESTRICTED = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="module")
def chart(kubernetes, namespace_labels):
    """chart(country): the namespace made for it, and its objects by kind."""
    made = {}

    def objects(country):
        if country not in made:
            name = kubernetes.make_namespace(f"admission-{country}", namespace_labels(country))
            things = kubernetes.parse(render(country, name))
            for thing in things:  # a pod is refused when its account is not there
                if thing["kind"] == "ServiceAccount":
                    assert kubernetes.ask(thing, name, dry_run=False)[0] in TAKEN
            made[country] = (name, things)
        return made[country]

    return objects


def only(things, kind, name_ends=""):
    """The object of that kind, the first one when there are several."""
    found = [
        thing
        for thing in things
        if thing["kind"] == kind and thing["metadata"]["name"].endswith(name_ends)
    ]
    assert found, f"the chart renders no {kind}"
    return found[0]


@pytest.mark.parametrize("country", COUNTRIES)
def test_server_takes_everything_without_a_warning(kubernetes, chart, country):
    name, things = chart(country)
    kinds = {thing["kind"] for thing in things}
    assert {"Deployment", "ExternalSecret", "ServiceMonitor", "PrometheusRule", "Job"} <= kinds
    for thing in things:
        status, reason, warnings = kubernetes.ask(thing, name)
        assert status in TAKEN, f"{thing['kind']}: {reason}"
        assert warnings == [], thing["kind"]


@pytest.mark.parametrize("country", COUNTRIES)
def test_applied_twice_it_changes_nothing(kubernetes, namespace, country):
    name = namespace(country)
    text = render(country, name, "--skip-tests", "--no-hooks")
    done = kubernetes.apply(text, name)
    assert (done.returncode, done.stderr) == (0, "")
    drift = kubernetes.run(
        "diff", "--server-side", "--field-manager=test", "-n", name, "-f", "-", stdin=text
    )
    assert (drift.returncode, drift.stdout) == (0, "")


@pytest.mark.parametrize("country", COUNTRIES)
def test_namespace_refuses_a_pod_of_root(kubernetes, chart, namespace_labels, country):
    assert namespace_labels(country)[RESTRICTED] == "restricted"
    name, things = chart(country)
    template = only(things, "Deployment")["spec"]["template"]
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "probe"},
        "spec": template["spec"],
    }
    container = ("spec", "containers", 0, "securityContext")
    assert kubernetes.ask(pod, name)[:2] == (201, "")
    for path, value, reason in (
        ((*container, "runAsUser"), 0, "runAsUser"),
        ((*container, "runAsNonRoot"), False, "runAsNonRoot"),
        ((*container, "allowPrivilegeEscalation"), True, "allowPrivilegeEscalation"),
        ((*container, "capabilities"), {"add": ["NET_ADMIN"], "drop": ["ALL"]}, "capabilities"),
        ((*container, "seccompProfile"), {"type": "Unconfined"}, "seccompProfile"),
        (("spec", "hostNetwork"), True, "host namespaces"),
        (("spec", "volumes"), [{"name": "secrets", "hostPath": {"path": "/"}},
                               {"name": "database-ca", "emptyDir": {}}], "hostPath"),
    ):  # fmt: skip
        status, why, _ = kubernetes.ask(changed(pod, path, value), name)
        assert status == 403, path
        assert 'violates PodSecurity "restricted' in why
        assert reason in why


WRONG = {
    "a remote key of null": (
        "ExternalSecret", ("spec", "data", 0, "remoteRef", "key"), None, "remoteRef.key"),
    "an unknown field": (
        "ExternalSecret", ("spec", "refreshIntervall"), "5m", "refreshIntervall"),
    "a version that is served no more": (
        "ExternalSecret", ("apiVersion",), "external-secrets.io/v1beta1", "v1beta1"),
    "a store of an unknown kind": (
        "ExternalSecret", ("spec", "secretStoreRef", "kind"), "Vault", "secretStoreRef.kind"),
    "two providers": (
        "SecretStore", ("spec", "provider", "fake"), {"data": []}, "spec.provider"),
    "an unknown AWS service": (
        "SecretStore", ("spec", "provider", "aws", "service"), "Secrets", "aws.service"),
    "an interval that is no duration": (
        "ServiceMonitor", ("spec", "endpoints", 0, "interval"), "15sec", "interval"),
    "an unknown scheme": (
        "ServiceMonitor", ("spec", "endpoints", 0, "scheme"), "ftp", "scheme"),
    "a rule's time that is no duration": (
        "PrometheusRule", ("spec", "groups", 0, "rules", 0, "for"), "5 min", "for"),
    "a rule without an expression": (
        "PrometheusRule", ("spec", "groups", 0, "rules", 0, "expr"), ..., "expr"),
    "a group of rules without a name": (
        "PrometheusRule", ("spec", "groups", 0, "name"), "", "name"),
    "a misspelt field of a container": (
        "Deployment", ("spec", "template", "spec", "containers", 0, "livenesProbe"), {},
        "livenesProbe"),
    "a probe of a port that has no name": (
        "Deployment",
        ("spec", "template", "spec", "containers", 0, "livenessProbe", "httpGet", "port"), "",
        "port"),
    "a selector that misses its pods": (
        "Deployment", ("spec", "selector", "matchLabels"), {"app": "another"}, "selector"),
    "an autoscaler with no target": (
        "HorizontalPodAutoscaler", ("spec", "maxReplicas"), 0, "maxReplicas"),
    "a budget that says both": (
        "PodDisruptionBudget", ("spec", "minAvailable"), 1, "maxUnavailable"),
    "a rule of the network with a wrong address": (
        "NetworkPolicy", ("spec", "egress"), [{"to": [{"ipBlock": {"cidr": "10.0.0/8"}}]}], "cidr"),
    "a path of an unknown type": (
        "Ingress", ("spec", "rules", 0, "http", "paths", 0, "pathType"), "Regex", "pathType"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_server_refuses(kubernetes, chart, what):
    kind, path, value, reason = WRONG[what]
    name, things = chart("spain")
    right = only(things, kind)
    assert kubernetes.ask(right, name)[0] in TAKEN
    status, why, _ = kubernetes.ask(changed(right, path, value), name)
    assert status not in TAKEN
    assert reason in why


def test_server_takes_the_objects_of_argo_cd(kubernetes, argocd):
    things = [thing for found in argocd.values() for thing in found]
    kinds = sorted(thing["kind"] for thing in things)
    assert kinds.count("Application") == len(COUNTRIES) == kinds.count("AppProject")
    assert "ApplicationSet" in kinds
    for thing in things:
        status, why, warnings = kubernetes.ask(thing, "argocd", dry_run=False)
        assert status in TAKEN, f"{thing['kind']}: {why}"
        # Argo CD's own name of its finalizer has no path, as Kubernetes would like it to have.
        assert [text for text in warnings if "metadata.finalizers" not in text] == []
    assert len(kubernetes.get("applications,applicationsets,appprojects", "-A")["items"]) == len(
        things
    )


WRONG_ARGOCD = {
    "an application without a project": (
        "application-spain.yaml", ("spec", "project"), ..., "project"),
    "an application without a destination": (
        "application-spain.yaml", ("spec", "destination"), ..., "destination"),
    "a misspelt source": (
        "application-spain.yaml", ("spec", "source", "repoUrl"), "x", "repoUrl"),
    "a pruning that is a text": (
        "application-mexico.yaml", ("spec", "syncPolicy", "automated", "prune"), "yes", "prune"),
    "a project with an unknown guard": (
        "projects/appproject-spain.yaml", ("spec", "destination"), [], "destination"),
    "a project whose destinations are a text": (
        "projects/appproject-mexico.yaml", ("spec", "destinations"), "*", "destinations"),
    "a set without generators": (
        "applicationset.yaml", ("spec", "generators"), ..., "generators"),
    "a set that may do the unknown": (
        "applicationset.yaml", ("spec", "syncPolicy", "applicationsSync"), "all",
        "applicationsSync"),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG_ARGOCD)
def test_server_refuses_of_argo_cd(kubernetes, argocd, what):
    file, path, value, reason = WRONG_ARGOCD[what]
    (right,) = argocd[file]
    assert kubernetes.ask(right, "argocd")[0] in TAKEN
    status, why, _ = kubernetes.ask(changed(right, path, value), "argocd")
    assert status not in TAKEN
    assert reason in why


def kubeconform(kubernetes, text):
    return kubernetes.run(
        "-strict", "-summary", "-schema-location", f"{SCHEMAS}/{LOCATION}", "-",
        stdin=text, program="kubeconform",
    )  # fmt: skip


@pytest.mark.parametrize("country", COUNTRIES)
def test_kubeconform_agrees_with_the_server(kubernetes, country):
    """With the server's own schemas the quick tests find unknown fields without a server."""
    text = render(country, "default")
    done = kubeconform(kubernetes, text)
    assert done.returncode == 0, done.stdout
    assert "Skipped: 0" in done.stdout
    for right, wrong in (
        ("refreshInterval:", "refreshIntervall:"),
        ("livenessProbe:", "livenesProbe:"),
        ("external-secrets.io/v1\n", "external-secrets.io/v1beta1\n"),
    ):
        assert right in text
        refused = kubeconform(kubernetes, text.replace(right, wrong))
        assert refused.returncode != 0, wrong


def test_kubeconform_takes_the_objects_of_argo_cd(kubernetes, argocd):
    for file in argocd:
        text = (ARGOCD / file).read_text()
        done = kubeconform(kubernetes, text)
        assert done.returncode == 0, done.stdout
