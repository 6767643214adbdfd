"""The chart and Argo CD's files as objects, and the cluster that is asked about them."""

import copy
import json
import subprocess

from deploy.kube.cluster import ROOT, Cluster, tool

CHART = ROOT / "deploy" / "helm" / "payment-latency-api"
ARGOCD = ROOT / "deploy" / "argocd"
COUNTRIES = ("spain", "mexico")
RELEASE = "payment-latency-api"


def objects_in(text):
    """kubectl's answers, one after the other or as a List, as a list of objects."""
    decoder, found, text = json.JSONDecoder(), [], text.strip()
    while text:
        value, end = decoder.raw_decode(text)
        found += value["items"] if value["kind"] == "List" else [value]
        text = text[end:].strip()
    return found


def changed(thing, path, value):
    """A copy of the object with one field set, or taken out by a value of `...`."""
    thing = copy.deepcopy(thing)
    at = thing
    for step in path[:-1]:
        at = at[step]
    if value is ...:
        del at[path[-1]]
    else:
        at[path[-1]] = value
    return thing


class Kubernetes(Cluster):
    """The cluster, with what these tests ask of it again and again."""

    def helm(self, *arguments, limit=300):
        return self.run(*arguments, program="helm", limit=limit)

    def parse(self, text):
        """Manifests as objects: kubectl reads the YAML, the server changes nothing."""
        return objects_in(
            self.kubectl("create", "--dry-run=client", "--validate=ignore", "-o", "json", "-f", "-",
                         stdin=text)
        )  # fmt: skip

    def ask(self, thing, namespace, dry_run=True):
        """Server-side apply, strict: the status, the reason of a refusal, the warnings."""
        group = f"/apis/{thing['apiVersion']}" if "/" in thing["apiVersion"] else "/api/v1"
        plural = self._plural(group, thing["kind"])
        if plural is None:
            return 404, f"the server has no {thing['apiVersion']} {thing['kind']}", []
        query = "fieldManager=test&force=true&fieldValidation=Strict"
        status, answer, warnings = self.request(
            "PATCH",
            f"{group}/namespaces/{namespace}/{plural}/{thing['metadata']['name']}?{query}"
            + ("&dryRun=All" if dry_run else ""),
            thing,
            "application/apply-patch+yaml",
        )
        return status, answer.get("message", ""), warnings

    def _plural(self, group, kind):
        status, answer, _ = self.request("GET", group)
        for resource in answer["resources"] if status == 200 else ():
            if resource["kind"] == kind and "/" not in resource["name"]:
                return resource["name"]
        return None

    def apply(self, text, namespace, *options):
        """kubectl's server-side apply of manifests, as Argo CD is told to do it."""
        return self.run(
            "apply",
            "--server-side",
            "--validate=strict",
            "--field-manager=test",
            "-n",
            namespace,
            *options,
            "-f",
            "-",
            stdin=text,
        )

    def make_namespace(self, name, labels=None):
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": name, "labels": labels or {}},
        }
        self.kubectl("create", "-f", "-", stdin=json.dumps(namespace))
        return name


def render(country, namespace, *options):
    done = subprocess.run(
        [tool("helm"), "template", RELEASE, str(CHART), "-n", namespace,
         "-f", str(CHART / f"values-{country}.yaml"), *options],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout
