"""One control plane for the session, and namespaces as Argo CD makes them.

Only build/test deploy runs these tests: build/lib/kube-tools must have made the programs.
"""

import json

import pytest

from deploy.kube.chart import ARGOCD, Kubernetes
from deploy.kube.cluster import SCHEMAS
from deploy.kube.schemas import write_schemas


@pytest.fixture(scope="session")
def kubernetes(tmp_path_factory):
    own = Kubernetes(tmp_path_factory.mktemp("kubernetes") / "cluster")
    try:
        own.start(workloads=True)
        own.install_definitions()
        openapi = json.loads(own.kubectl("get", "--raw=/openapi/v2"))
        assert write_schemas(openapi, SCHEMAS) > 100
        yield own
    finally:
        died = own.stop()
    assert died == []


@pytest.fixture(scope="session")
def argocd(kubernetes):
    """Argo CD's objects by file: projects, applications, the set."""
    kubernetes.make_namespace("argocd")
    files = sorted(ARGOCD.rglob("*.yaml"))
    assert files
    return {
        file.relative_to(ARGOCD).as_posix(): kubernetes.parse(file.read_text()) for file in files
    }


@pytest.fixture(scope="session")
def namespace_labels(argocd):
    """namespace_labels(country): what Argo CD puts on the namespace of that country."""

    def labels(country):
        (application,) = argocd[f"application-{country}.yaml"]
        return application["spec"]["syncPolicy"]["managedNamespaceMetadata"]["labels"]

    return labels


@pytest.fixture
def namespace(kubernetes, namespace_labels, request):
    """namespace(country): a new one, as Argo CD would make it; deleted after the test."""
    made = []

    def make(country):
        name = f"{country}-{request.node.originalname.replace('_', '-').removeprefix('test-')}"[:55]
        name = f"{name.strip('-')}-{len(made)}"
        made.append(kubernetes.make_namespace(name, namespace_labels(country)))
        return name

    yield make
    for name in made:
        kubernetes.run("delete", "namespace", name, "--wait=false")
