"""The Grafana dashboard asks only for what the binary really exposes, and hard-codes nothing."""

import json
import re
import sys
from xml.etree import ElementTree

import pytest
import yaml

from harness import http
from harness.chart import run
from harness.machine import ROOT
from harness.payments import hold, new_key, payload, post
from harness.service import SIMULATE

GRAFANA = ROOT / "deploy" / "grafana"
CHART = ROOT / "deploy" / "helm" / "payment-latency-api"
DASHBOARD = CHART / "dashboards" / "payment-latency.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
OLDEST_SCHEMA = 39
GRID_COLUMNS = 24
PICTURE_BYTES_MAX = 200_000
LABELS_OF_PROMETHEUS = {"job", "instance"}

sys.path.insert(0, str(GRAFANA))
import picture  # noqa: E402

pytestmark = pytest.mark.delivery

dashboard = json.loads(DASHBOARD.read_text(encoding="utf-8"))
panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
targets = [(panel["title"], target) for panel in panels for target in panel["targets"]]
NO_SAMPLE_UNTIL_SOMETHING_FAILS = "db_errors_total"
each_panel = pytest.mark.parametrize("panel", panels, ids=[panel["title"] for panel in panels])


def each(targets):
    names = [f"{title}: {target['refId']}" for title, target in targets]
    return pytest.mark.parametrize("target", [target for _, target in targets], ids=names)


each_target = each(targets)


def names_in(target):
    """The metrics of a query: words that are neither label, function nor operator."""
    text = re.sub(r'\{[^}]*\}|\[[^]]*\]|\b(by|on) \([^)]*\)', " ", target["expr"])
    return set(re.findall(r"(?<![\w$])[a-z_]\w*\b(?! *\()", text)) - {"and", "or", "unless"}


def grouped_by(target):
    lists = re.findall(r"\bby \(([^)]*)\)", target["expr"])
    return {label for one in lists for label in one.split(", ")}


@pytest.fixture(scope="module")
def samples(patient_service, all_wallets):
    """The page of the real binary after traffic of several kinds."""
    wallet, key = all_wallets.wallet(balance=10_000), new_key()
    patient_service.call("GET", SIMULATE)
    hold(patient_service, wallet, 100)
    for _ in range(2):
        post(patient_service, payload(wallet), key)
    patient_service.call("GET", "/x" * 2000)  # refused by the HTTP server itself: 414
    patient_service.metrics()  # pages are shared: one that is as young as the last request
    return http.call(patient_service.port, "GET", "/metrics").text


@pytest.fixture(scope="module")
def families(patient_service):
    return set(patient_service.metrics().families)


def family_of(name, families):
    for suffix in ("", "_bucket", "_sum", "_count"):
        if name.endswith(suffix) and name.removesuffix(suffix) in families:
            return name.removesuffix(suffix)
    return None


# what it is


def test_uid_title_and_schema():
    assert dashboard["uid"] == "payment-latency-api"
    assert dashboard["title"] == "payment-latency-api"
    assert dashboard["schemaVersion"] >= OLDEST_SCHEMA
    assert dashboard["id"] is None


def test_variables_choose_datasource_region_and_environment():
    variables = {one["name"]: one for one in dashboard["templating"]["list"]}

    assert variables["datasource"]["type"] == "datasource"
    assert variables["datasource"]["query"] == "prometheus"
    for name in ("region", "environment"):
        assert variables[name]["datasource"] == DATASOURCE
        assert variables[name]["definition"] == (
            f"label_values(payment_latency_api_build_info, {name})"
        )


@pytest.mark.parametrize("name", ["latency_objective", "availability_objective"])
def test_objectives_are_the_defaults_of_the_chart(name):
    first, second = name.split("_")
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    (default,) = re.findall(rf"^  {first}{second.title()}: (\S+)$", values, re.MULTILINE)

    assert picture.constants_of(dashboard)[name] == default


def test_panel_ids_are_unique():
    ids = [panel["id"] for panel in dashboard["panels"]]

    assert len(ids) == len(set(ids))


def test_panels_do_not_overlap():
    taken = {}
    for panel in dashboard["panels"]:
        at = panel["gridPos"]
        assert at["x"] + at["w"] <= GRID_COLUMNS
        for x in range(at["x"], at["x"] + at["w"]):
            for y in range(at["y"], at["y"] + at["h"]):
                assert (x, y) not in taken, (panel["title"], taken[x, y])
                taken[x, y] = panel["title"]


@each_panel
def test_panel_says_what_it_shows(panel):
    assert panel["title"]
    assert panel["description"].endswith(".")
    assert panel["fieldConfig"]["defaults"]["unit"]


@each_panel
def test_panel_has_no_datasource_of_its_own(panel):
    assert panel["datasource"] == DATASOURCE
    assert all(target["datasource"] == DATASOURCE for target in panel["targets"])


@each_target
def test_query_honours_region_and_environment(target):
    assert 'region=~"$region", environment=~"$environment"' in target["expr"]


# what it asks for


@each_target
def test_query_names_only_metrics_that_the_binary_exposes(target, families):
    names = names_in(target)

    assert names
    assert {name for name in names if not family_of(name, families)} == set()


@each_target
def test_query_names_only_labels_that_the_metric_has(target, samples):
    """A label that is nowhere matches nothing, or is drawn as an empty name."""
    for name in names_in(target) - {NO_SAMPLE_UNTIL_SOMETHING_FAILS}:
        found = re.findall(rf"^{name}(?:\{{(.*)\}})? ", samples, re.M)
        assert found, f"{name} has no sample"
        asked = set(re.findall(r"(\w+)(?:=~|!=|=)", "".join(selectors_of(name, target))))
        if name != "payment_latency_api_build_info":
            asked |= grouped_by(target) - LABELS_OF_PROMETHEUS
        assert asked <= set(re.findall(r'(\w+)="', found[0])), name


def selectors_of(name, target):
    return re.findall(rf"\b{name}\{{([^}}]*)\}}", target["expr"])


@each_target
def test_legend_names_only_labels_of_the_answer(target):
    wanted = {part.split("}}")[0] for part in target["legendFormat"].split("{{")[1:]}

    assert wanted <= grouped_by(target)


def test_prometheus_can_parse_every_query(tmp_path):
    rules = [
        {"record": f"dashboard:{index}", "expr": picture.expression(target, dashboard)}
        for index, (_, target) in enumerate(targets)
    ]
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "dashboard", "rules": rules}]}))
    done = run("promtool", "check", "rules", path)

    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(targets)} rules found" in done.stdout


def test_regions_that_are_not_chosen_are_not_counted(tmp_path):
    """Two processes of two regions have their database; one region is chosen."""
    (target,) = [one for _, one in targets if one["legendFormat"] == "with a database"]
    series = []
    for region in ("eu-south-2", "us-east-1"):
        labels = f'job="a", instance="{region}"'
        series.append(f"database_up{{{labels}}}")
        series.append(
            f'payment_latency_api_build_info{{{labels}, region="{region}", environment="dev"}}'
        )
    expected = {"eu-south-2": [{"value": 1}], "mx-central-1": [], ".*": [{"value": 2}]}
    checks = [
        {
            "expr": picture.expression(
                {**target, "expr": target["expr"].replace("$region", region)}, dashboard
            ),
            "eval_time": "1m",
            "exp_samples": samples,
        }
        for region, samples in expected.items()
    ]
    inputs = [{"series": one, "values": "1x2"} for one in series]
    test = {"interval": "1m", "input_series": inputs, "promql_expr_test": checks}
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump({"tests": [test]}))
    done = run("promtool", "test", "rules", path)

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(
    "family",
    [
        "http_request_duration_seconds",
        "http_requests_shed_total",
        "pool_acquire_total",
        "lane_batches_total",
        "lane_members_sent_total",
        "db_queue_depth",
        "lane_in_flight",
        "lane_retries_total",
        "pool_connections",
        "pool_closed_total",
        "db_query_duration_seconds",
        "payment_decisions_total",
        "payment_amount_minor_total",
        "payment_idempotency_total",
        "payment_steps_total",
        "expiry_released_total",
        "expiry_overdue_seconds",
        "ledger_audit_breaches",
        "http_connection_states",
        "loop_lag_seconds",
        "process_resident_memory_bytes",
        "process_cpu_seconds_total",
    ],
)
def test_dashboard_shows(family, families):
    shown = {
        family_of(name, families)
        for _, target in targets
        for name in names_in(target)
    }

    assert family in shown


# how it is drawn


def test_panels_of_the_picture_are_in_the_dashboard():
    assert set(picture.PANELS) <= {panel["title"] for panel in panels}


def test_picture_is_small_and_whole():
    path = GRAFANA / "dashboard.svg"
    root = ElementTree.parse(path).getroot()
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}

    assert path.stat().st_size <= PICTURE_BYTES_MAX
    assert set(picture.PANELS) <= texts
