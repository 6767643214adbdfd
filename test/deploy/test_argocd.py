"""Argo CD: what goes where, and that it cannot go anywhere else."""

import re

import pytest
import yaml

from harness.chart import ARGOCD, CHART, helm_template, manifests, run

pytestmark = pytest.mark.delivery

COUNTRIES = {"spain": "mexico", "mexico": "spain"}
CLUSTER_NAMES = {"spain": "payments-es", "mexico": "payments-mx"}
EVERY_COUNTRY = pytest.mark.parametrize("country", COUNTRIES)
CLUSTERS = {
    "spain": {"country": "spain", "data-residency": "eu", "region": "eu-south-2"},
    "mexico": {"country": "mexico", "data-residency": "mx", "region": "us-east-1"},
}
STRANGERS = [
    {},
    {"country": "spain", "data-residency": "eu"},
    {"country": "spain", "data-residency": "eu", "region": "us-east-1"},
    {"country": "spain", "data-residency": "mx", "region": "eu-south-2"},
    {"country": "mexico", "data-residency": "mx", "region": "eu-south-2"},
    {"country": "france", "data-residency": "eu", "region": "eu-south-2"},
]


def load(*parts):
    return yaml.safe_load(ARGOCD.joinpath(*parts).read_text())


def application(country):
    return load(f"application-{country}.yaml")


def project(country):
    return load("projects", f"appproject-{country}.yaml")


def parameters(app):
    return {one["name"]: one["value"] for one in app["spec"]["source"]["helm"]["parameters"]}


def project_permits(one, app):
    """Argo CD's rule: the source is listed, and one destination matches as a whole."""
    spec, wanted = one["spec"], app["spec"]["destination"]
    return (
        app["spec"]["project"] == one["metadata"]["name"]
        and app["spec"]["source"]["repoURL"] in spec["sourceRepos"]
        and any(
            (place.get("name"), place["namespace"]) == (wanted.get("name"), wanted["namespace"])
            for place in spec["destinations"]
        )
    )


# the residency guard


@EVERY_COUNTRY
def test_a_project_permits_its_own_country_and_not_the_other(country):
    own, other = application(country), application(COUNTRIES[country])
    assert project_permits(project(country), own)
    assert not project_permits(project(country), other)
    # The other country's application, smuggled into this project.
    other["spec"]["project"] = f"payments-{country}"
    assert not project_permits(project(country), other)


@EVERY_COUNTRY
def test_a_project_has_one_destination_and_no_wildcard(country):
    spec = project(country)["spec"]
    assert spec["destinations"] == [
        {"name": CLUSTER_NAMES[country], "namespace": f"payments-{country}"}
    ]
    assert "*" not in "".join(spec["sourceRepos"])
    assert spec["clusterResourceWhitelist"] == [{"group": "", "kind": "Namespace"}]


@EVERY_COUNTRY
def test_a_project_permits_exactly_the_kinds_of_the_chart(country):
    permitted = {
        (one["group"], one["kind"])
        for one in project(country)["spec"]["namespaceResourceWhitelist"]
    }
    rendered = {
        (one["apiVersion"].rpartition("/")[0], one["kind"])
        for one in manifests(country).objects
        if one["metadata"].get("annotations", {}).get("helm.sh/hook") != "test"
    }
    assert permitted == rendered
    assert ("", "Secret") not in permitted


@EVERY_COUNTRY
def test_no_file_of_a_country_names_the_other(country):
    words = {
        "spain": r"mexico|us-east|mx-central|444455556666|: mx\b",
        "mexico": r"spain|eu-south|: eu\b",
    }
    for parts in ((f"application-{country}.yaml",), ("projects", f"appproject-{country}.yaml")):
        text = ARGOCD.joinpath(*parts).read_text()
        assert re.findall(words[country], text, re.IGNORECASE) == []


# the applications


@EVERY_COUNTRY
def test_an_application_renders_its_own_country(country):
    app = application(country)
    source = app["spec"]["source"]
    assert source["helm"]["valueFiles"] == [f"values-{country}.yaml"]
    assert (CHART / source["helm"]["valueFiles"][0]).exists()
    assert CHART.parts[-3:] == tuple(source["path"].split("/"))
    done = helm_template(
        source["helm"]["valueFiles"][0],
        [f"{name}={value}" for name, value in parameters(app).items()],
        namespace=app["spec"]["destination"]["namespace"],
        release=source["helm"]["releaseName"],
    )
    assert done.returncode == 0, done.stderr
    assert f"payment-latency-api/country: {country}" in done.stdout


def test_the_region_of_an_application_is_one_parameter():
    assert parameters(application("spain")) == {"region": "eu-south-2"}
    assert parameters(application("mexico")) == {"region": "us-east-1"}
    assert helm_template("values-mexico.yaml", ["region=mx-central-1"]).returncode == 0
    assert helm_template("values-spain.yaml", ["region=mx-central-1"]).returncode != 0


@EVERY_COUNTRY
def test_an_application_is_pinned_healed_and_restricted(country):
    spec = application(country)["spec"]
    assert re.fullmatch(r"v\d+\.\d+\.\d+", spec["source"]["targetRevision"])
    assert spec["syncPolicy"]["automated"]["selfHeal"] is True
    assert {
        "CreateNamespace=true",
        "ServerSideApply=true",
        "RespectIgnoreDifferences=true",
        "PruneLast=true",
    } == set(spec["syncPolicy"]["syncOptions"])
    labels = spec["syncPolicy"]["managedNamespaceMetadata"]["labels"]
    assert {
        labels[f"pod-security.kubernetes.io/{mode}"] for mode in ("enforce", "audit", "warn")
    } == {"restricted"}
    assert labels["elbv2.k8s.aws/pod-readiness-gate-inject"] == "enabled"
    assert spec["ignoreDifferences"][0]["jsonPointers"] == ["/spec/replicas"]


# the set


def chosen_by(generator, labels):
    selector = generator["clusters"]["selector"]
    return all(labels.get(key) == value for key, value in selector["matchLabels"].items()) and all(
        rule["operator"] == "In" and labels.get(rule["key"]) in rule["values"]
        for rule in selector.get("matchExpressions", [])
    )


def generators_for(labels):
    return [
        one for one in load("applicationset.yaml")["spec"]["generators"] if chosen_by(one, labels)
    ]


@EVERY_COUNTRY
def test_the_set_takes_a_cluster_of_a_country_once(country):
    assert len(generators_for(CLUSTERS[country])) == 1
    assert len(generators_for(CLUSTERS["mexico"] | {"region": "mx-central-1"})) == 1


@pytest.mark.parametrize("labels", STRANGERS)
def test_the_set_takes_no_cluster_whose_labels_disagree(labels):
    assert generators_for(labels) == []


def test_the_set_asks_only_for_labels_its_selectors_demand():
    text = (ARGOCD / "applicationset.yaml").read_text()
    asked = set(re.findall(r"\.metadata\.labels\.(\w+)", text))
    asked |= set(re.findall(r'index \.metadata\.labels "([\w-]+)"', text))
    assert asked == {"country", "data-residency", "region"}
    for one in load("applicationset.yaml")["spec"]["generators"]:
        selector = one["clusters"]["selector"]
        demanded = set(selector["matchLabels"]) | {
            rule["key"] for rule in selector.get("matchExpressions", [])
        }
        assert asked <= demanded


@pytest.fixture(scope="module")
def generated(tmp_path_factory):
    """The set's template, executed by Helm's engine: Go templates as in Argo CD."""
    template = yaml.safe_dump(load("applicationset.yaml")["spec"]["template"])
    chart = tmp_path_factory.mktemp("set")
    (chart / "templates").mkdir()
    (chart / "Chart.yaml").write_text("apiVersion: v2\nname: set\nversion: 0.0.0\n")
    (chart / "templates" / "set.yaml").write_text(
        "{{- range .Values.clusters }}\n---\n" + template + "{{- end }}\n"
    )
    clusters = [
        {"name": CLUSTER_NAMES[country], "metadata": {"labels": labels}}
        for country, labels in CLUSTERS.items()
    ]
    (chart / "values.yaml").write_text(yaml.safe_dump({"clusters": clusters}))
    done = run("helm", "template", "set", chart)
    assert done.returncode == 0, done.stderr
    made = [one for one in yaml.safe_load_all(done.stdout) if one]
    return {one["metadata"]["labels"]["country"]: one for one in made}


@EVERY_COUNTRY
def test_the_set_generates_what_the_application_says(country, generated):
    assert generated[country]["spec"] == application(country)["spec"]
    assert generated[country]["metadata"]["labels"] == application(country)["metadata"]["labels"]
    assert project_permits(project(country), generated[country])


def test_names_of_the_set_and_of_the_applications_differ(generated):
    names = [application(country)["metadata"]["name"] for country in COUNTRIES]
    names += [one["metadata"]["name"] for one in generated.values()]
    assert len(set(names)) == 4


def test_the_set_is_strict_and_never_deletes():
    spec = load("applicationset.yaml")["spec"]
    assert spec["goTemplate"] is True
    assert spec["goTemplateOptions"] == ["missingkey=error"]
    assert spec["syncPolicy"] == {
        "applicationsSync": "create-update",
        "preserveResourcesOnDeletion": True,
    }
