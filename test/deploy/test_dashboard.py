"""The Grafana dashboard asks only for what the binary really exposes, and hard-codes nothing."""

import json
import re
import sys
from xml.etree import ElementTree

import pytest

from harness import http
from harness.machine import ROOT
from harness.payments import hold, new_key, payload, post
from harness.service import SIMULATE

GRAFANA = ROOT / "deploy" / "grafana"
CHART = ROOT / "deploy" / "helm" / "payment-latency-api"
DASHBOARD = CHART / "dashboards" / "payment-latency.json"
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
OLDEST_SCHEMA = 39
GRID_COLUMNS = 24
PICTURE_BYTES_MAX = 150_000
SCRAPES_S = (0.0, 15.0, 30.0)

sys.path.insert(0, str(GRAFANA))
import promql  # noqa: E402
import render  # noqa: E402

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
each_target_with_samples = each(
    [one for one in targets if NO_SAMPLE_UNTIL_SOMETHING_FAILS not in one[1]["expr"]]
)


def parsed(target):
    return render.expression(target, 60, 3600, render.constants_of(dashboard))


@pytest.fixture(scope="module")
def scrapes(patient_service, all_wallets):
    """Three answers of the real binary, 15 s apart by their labels, with traffic between them."""
    series = promql.Series()
    for when in SCRAPES_S:
        wallet, key = all_wallets.wallet(balance=10_000), new_key()
        patient_service.call("GET", SIMULATE)
        hold(patient_service, wallet, 100)
        for _ in range(2):
            post(patient_service, payload(wallet), key)
        patient_service.call("GET", "/x" * 2000)  # refused by the HTTP server itself: 414
        text = http.call(patient_service.port, "GET", "/metrics").text
        series.add_scrape(when, text, job="payment-latency-api", instance="a")
    return series


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

    assert render.constants_of(dashboard)[name] == default


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
    names = promql.metric_names(parsed(target))

    assert names
    assert {name for name in names if not family_of(name, families)} == set()


@each_target_with_samples
def test_legend_names_only_labels_of_the_answer(target, scrapes):
    """A label that is nowhere would be drawn as an empty name."""
    answer = promql.evaluate(parsed(target), scrapes, SCRAPES_S[-1])
    wanted = {part.split("}}")[0] for part in target["legendFormat"].split("{{")[1:]}

    assert answer
    assert all(wanted <= {label for label, _ in labels} for labels in answer)


def test_regions_that_are_not_chosen_are_not_counted(scrapes):
    target = targets[0][1]
    elsewhere = {**target, "expr": target["expr"].replace("$region", "mx-central-1")}

    assert promql.evaluate(parsed(target), scrapes, SCRAPES_S[-1])
    assert not promql.evaluate(parsed(elsewhere), scrapes, SCRAPES_S[-1])


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
        for name in promql.metric_names(parsed(target))
    }

    assert family in shown


# how it is evaluated and drawn


def series_of(name, numbers, **labels):
    series = promql.Series()
    for index, number in enumerate(numbers):
        pairs = ",".join(f'{label}="{value}"' for label, value in labels.items())
        series.add_scrape(index * 10.0, f"{name}{{{pairs}}} {number}\n")
    return series


def ask(text, series, time):
    return promql.evaluate(promql.parse(text), series, time)


def test_rate_survives_the_reset_of_a_counter():
    series = series_of("c", [100, 200, 50, 150], code="00")

    assert ask("rate(c[30s])", series, 30.0) == {(("code", "00"),): pytest.approx(7.5)}


def test_rate_needs_two_samples():
    assert ask("rate(c[30s])", series_of("c", [100]), 10.0) == {}


def test_quantile_interpolates_inside_its_bucket():
    series = promql.Series()
    series.add_scrape(0.0, 'b{le="0.1"} 50\nb{le="0.2"} 100\nb{le="+Inf"} 100\n')

    assert ask("histogram_quantile(0.75, b)", series, 0.0) == {(): pytest.approx(0.15)}


def test_what_is_not_understood_is_refused():
    with pytest.raises(promql.PromqlError):
        promql.parse("topk(3, c)")


def test_panels_of_the_picture_are_in_the_dashboard():
    assert set(render.PANELS) <= {panel["title"] for panel in panels}


def test_picture_is_small_and_whole():
    picture = GRAFANA / "dashboard.svg"
    root = ElementTree.parse(picture).getroot()
    texts = {element.text for element in root.iter("{http://www.w3.org/2000/svg}text")}

    assert picture.stat().st_size <= PICTURE_BYTES_MAX
    assert set(render.PANELS) <= texts
