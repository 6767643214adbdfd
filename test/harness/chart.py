"""The chart, rendered by the real Helm, as objects; and what Pod Security says about a pod."""

import functools
import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from harness.machine import ROOT, seconds

CHART = ROOT / "deploy" / "helm" / "payment-latency-api"
ARGOCD = ROOT / "deploy" / "argocd"
TOOLS = Path(os.environ.get("PLA_TOOLS", ROOT / "out" / "tools" / "bin"))
RELEASE = "payment-latency-api"
SETS = {
    "dev": ("values.yaml", ()),
    "spain": ("values-spain.yaml", ()),
    "mexico": ("values-mexico.yaml", ()),
    "mexico-mx": ("values-mexico.yaml", ("region=mx-central-1",)),
}
COUNTRIES = [name for name in SETS if name != "dev"]
REGIONS = {"spain": "eu-south-2", "mexico": "us-east-1", "mexico-mx": "mx-central-1"}


def tool(name):
    """The path of a tool of build/lib/deploy-tools; without it the test is skipped and says why."""
    path = TOOLS / name
    if not path.exists():
        why = TOOLS.parent / f"{name}.missing"
        reason = why.read_text().strip() if why.exists() else "build/lib/deploy-tools was not run"
        pytest.skip(f"NOT CHECKED: {name} cannot be had: {reason}")
    return str(path)


def run(name, *arguments, stdin=None, limit=60.0):
    return subprocess.run(
        [tool(name), *map(str, arguments)],
        input=stdin,
        capture_output=True,
        text=True,
        timeout=seconds(limit),
        check=False,
        env={"PATH": os.environ["PATH"], "HOME": str(TOOLS.parent), "KUBECONFIG": "/dev/null"},
    )


def helm_arguments(values, sets=()):
    arguments = ["-f", CHART / values]
    for one in sets:
        arguments += ["--set", one]
    return arguments


def helm_template(values, sets=(), namespace="payments", release=RELEASE):
    return run("helm", "template", release, CHART, "-n", namespace, *helm_arguments(values, sets))


@functools.cache
def _rendered(values, sets, namespace, release):
    done = helm_template(values, sets, namespace, release)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rendered(name, *sets, namespace="payments", release=RELEASE):
    """The manifests of a set of values as one text."""
    values, own = SETS[name]
    return _rendered(values, own + sets, namespace, release)


@functools.cache
def _parsed(text):
    """As JSON: reading that again is quick, and each test gets objects of its own."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return json.dumps([one for one in yaml.load_all(text, loader) if one])


class Manifests:
    """The objects of one rendering."""

    def __init__(self, text):
        self.objects = json.loads(_parsed(text))

    def all(self, kind):
        return [one for one in self.objects if one["kind"] == kind]

    def one(self, kind, suffix=None):
        """The only object of a kind, or the one whose name ends so."""
        found = [
            one
            for one in self.all(kind)
            if suffix is None or one["metadata"]["name"] == RELEASE + suffix
        ]
        assert len(found) == 1, (kind, suffix, [one["metadata"]["name"] for one in found])
        return found[0]

    def pods(self):
        """(name, labels, pod spec) of everything that makes pods."""
        for one in self.objects:
            if one["kind"] == "Pod":
                yield one["metadata"]["name"], one["metadata"]["labels"], one["spec"]
            elif one["kind"] in ("Deployment", "Job"):
                template = one["spec"]["template"]
                yield one["metadata"]["name"], template["metadata"]["labels"], template["spec"]
            elif one["kind"] == "CronJob":
                template = one["spec"]["jobTemplate"]["spec"]["template"]
                yield one["metadata"]["name"], template["metadata"]["labels"], template["spec"]


def manifests(name, *sets, **options):
    return Manifests(rendered(name, *sets, **options))


def containers(spec):
    return spec.get("initContainers", []) + spec["containers"]


def is_hook(one):
    return "helm.sh/hook" in one["metadata"].get("annotations", {})


ALLOWED_VOLUMES = {
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "persistentVolumeClaim",
    "projected",
    "secret",
}


def _container_breaches(container, pod):
    own = container.get("securityContext", {})

    def effective(key):
        return own.get(key, pod.get("securityContext", {}).get(key))

    name = container["name"]
    if own.get("allowPrivilegeEscalation") is not False:
        yield f"{name}: allowPrivilegeEscalation"
    if own.get("privileged"):
        yield f"{name}: privileged"
    if own.get("capabilities", {}).get("drop") != ["ALL"]:
        yield f"{name}: capabilities.drop"
    if set(own.get("capabilities", {}).get("add", [])) - {"NET_BIND_SERVICE"}:
        yield f"{name}: capabilities.add"
    if effective("runAsNonRoot") is not True:
        yield f"{name}: runAsNonRoot"
    if effective("runAsUser") == 0:
        yield f"{name}: runAsUser"
    if (effective("seccompProfile") or {}).get("type") not in ("RuntimeDefault", "Localhost"):
        yield f"{name}: seccompProfile"
    if own.get("procMount", "Default") != "Default":
        yield f"{name}: procMount"
    if any("hostPort" in port for port in container.get("ports", [])):
        yield f"{name}: hostPort"
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if "host" in container.get(probe, {}).get("httpGet", {}):
            yield f"{name}: {probe}.host"


def restricted_breaches(spec):
    """What Pod Security `restricted` would refuse; written from its published controls."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if spec.get(key)]
    found += ["sysctls"] if spec.get("securityContext", {}).get("sysctls") else []
    for volume in spec.get("volumes", []):
        if not (set(volume) - {"name"}) <= ALLOWED_VOLUMES:
            found.append(f"volume {volume['name']}")
    for container in containers(spec):
        found += _container_breaches(container, spec)
    return found


def selects(selector, labels):
    return all(labels.get(key) == value for key, value in selector.items())


def values_schema():
    return json.loads((CHART / "values.schema.json").read_text())
