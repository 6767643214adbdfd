"""The alerts: each fires when it should, stays quiet when it should, and asks only what exists."""

import re
import subprocess

import pytest
import yaml

from harness import http
from harness.chart import COUNTRIES, SETS, manifests, run
from harness.machine import BINARY, free_port, wait_until
from harness.service import API_KEY, environment

pytestmark = pytest.mark.delivery

NAMESPACE, SERVICE = "payments", "payment-latency-api"
POD = f"{SERVICE}-6b9d7c5f48-xk7lp"
OWN = f'namespace="{NAMESPACE}",service="{SERVICE}",pod="{POD}"'
API = OWN + ',method="GET",endpoint="/api/payment/simulate"'
LIVEZ = OWN + ',method="GET",endpoint="/livez"'
KUBE = f'namespace="{NAMESPACE}",pod="{POD}"'
FOREIGN = 'namespace="other",service="other",pod="other",endpoint="/api/payment/simulate"'
BUILD = f'payment_latency_api_build_info{{{OWN},region="%s"}}'
BUILD_FOREIGN = f"payment_latency_api_build_info{{{FOREIGN}}}"


def grows(per_minute):
    return ("grows", per_minute)


def stays(value):
    return ("stays", value)


def answers(good, bad=0, labels=API):
    return {
        f'http_requests_total{{{labels},status="200"}}': grows(good),
        f'http_requests_total{{{labels},status="503"}}': grows(bad),
    }


def durations(fast, slow, very_slow=0, labels=API):
    """Requests a minute that took up to 0.05 s, 0.25 s and 1 s."""
    name = f"http_request_duration_seconds_bucket{{{labels},le="
    every = fast + slow + very_slow
    edges = {"0.05": fast, "0.1": fast, "0.25": fast + slow, "1": every, "+Inf": every}
    made = {f'{name}"{edge}"}}': grows(count) for edge, count in edges.items()}
    made[f"http_request_duration_seconds_count{{{labels}}}"] = grows(every)
    return made


def descriptors(used):
    return {
        f"process_open_fds{{{OWN}}}": stays(used),
        f"process_max_fds{{{OWN}}}": stays(1000),
    }


def outcome(name, course):
    return {f'payment_outcomes_total{{{OWN},outcome="{name}"}}': course}


def waits(lane, fast, slow):
    name = f'db_queue_wait_seconds_bucket{{{OWN},lane="{lane}",le='
    edges = {"0.01": fast, "0.025": fast, "0.05": fast + slow, "+Inf": fast + slow}
    return {f'{name}"{edge}"}}': grows(count) for edge, count in edges.items()}


def not_ready(database=1, breaker=0, condition="false", pod=KUBE):
    return {
        f'kube_pod_status_ready{{{pod},condition="{condition}"}}': stays(1),
        f"database_up{{{OWN}}}": stays(database),
        f"pool_breaker_state{{{OWN}}}": stays(breaker),
    }


def scaled(pods):
    labels = f'namespace="{NAMESPACE}",horizontalpodautoscaler="{SERVICE}"'
    return {f"kube_horizontalpodautoscaler_status_current_replicas{{{labels}}}": stays(pods)}


def shed(reason, count):
    return {f'http_requests_shed_total{{{OWN},reason="{reason}"}}': grows(count)}


def audits(finished, breaches=0, scope="whole"):
    """The last one's end, as a time since the test's begin."""
    labels = f'{OWN},scope="{scope}"'
    return {
        f"ledger_audit_timestamp_seconds{{{labels}}}": finished,
        f"ledger_audit_breaches{{{labels}}}": stays(breaches),
    }


HOUR, DAY = 60, 1440
# alert: [(what, series, minutes, does it fire)]; a sample every 1, 5 or 30 minutes
CASES = {
    "PaymentLedgerBroken": [
        ("one breach", audits(stays(0), 1), 5, True),
        ("one breach among newer rows", audits(stays(0), 1, "recent"), 5, True),
        ("none", audits(stays(0)), 5, False),
        ("never audited", {}, 5, False),
    ],
    "PaymentLedgerAuditOverdue": [
        ("the last one long ago", audits(stays(0)), 6 * HOUR, True),
        ("long ago, and newer rows lately", audits(stays(0)) | audits(grows(60), scope="recent"),
         6 * HOUR, False),
        ("lately", audits(grows(60)), 6 * HOUR, False),
        # An installation's first hours: a pod without a database, or before its first probe, says 0.
        ("long ago, but not for long", audits(stays(0)), 4 * HOUR, False),
    ],
    "PaymentErrorBudgetBurnFast": [
        ("2 % refused", answers(980, 20), 70, True),
        ("1 % refused", answers(990, 10), 70, False),
        ("2 % refused, but elsewhere", answers(980, 20, FOREIGN), 70, False),
        ("2 % of the probes refused", answers(980, 20, LIVEZ) | answers(1000), 70, False),
        ("nothing asked", {}, 70, False),
    ],
    "PaymentErrorBudgetBurnMedium": [
        ("0.8 % refused", answers(992, 8), 7 * HOUR, True),
        ("0.5 % refused", answers(995, 5), 7 * HOUR, False),
    ],
    "PaymentErrorBudgetBurnSlow": [
        ("0.2 % refused", answers(998, 2), 4 * DAY, True),
        ("0.05 % refused", answers(1999, 1), 4 * DAY, False),
    ],
    "PaymentLatencyBudgetBurnFast": [
        ("20 % slow", durations(800, 200), 70, True),
        ("10 % slow", durations(900, 100), 70, False),
        ("20 % slow elsewhere", durations(800, 200, labels=FOREIGN), 70, False),
    ],
    "PaymentLatencyBudgetBurnMedium": [
        ("8 % slow", durations(920, 80), 7 * HOUR, True),
        ("5 % slow", durations(950, 50), 7 * HOUR, False),
    ],
    "PaymentLatencyBudgetBurnSlow": [
        ("2 % slow", durations(980, 20), 4 * DAY, True),
        ("0.5 % slow", durations(995, 5), 4 * DAY, False),
    ],
    "PaymentLatencyP99": [
        ("2 % slow", durations(980, 20), 20, True),
        ("0.5 % slow", durations(995, 5), 20, False),
        ("2 % slow for five minutes only", durations(980, 20), 8, False),
        ("slow, but nearly nobody asks", durations(20, 10), 20, False),
    ],
    "PaymentBreakerOpen": [
        ("open", {f"pool_breaker_state{{{OWN}}}": stays(1)}, 5, True),
        ("closed", {f"pool_breaker_state{{{OWN}}}": stays(0)}, 5, False),
        ("open elsewhere", {f"pool_breaker_state{{{FOREIGN}}}": stays(1)}, 5, False),
    ],
    "PaymentDatabaseConnectFailures": [
        ("six a minute", {f"pool_connect_failures_total{{{OWN}}}": grows(6)}, 15, True),
        ("one a minute", {f"pool_connect_failures_total{{{OWN}}}": grows(1)}, 15, False),
    ],
    "PaymentOutcomeUnknown": [
        ("one a minute", outcome("unknown", grows(1)), 10, True),
        ("none, ever", outcome("unknown", stays(7)), 10, False),
        ("done", outcome("done", grows(9)), 10, False),
    ],
    "PaymentWalletPoisoned": [
        ("one wallet", {f"lane_poisoned_wallets{{{OWN}}}": stays(1)}, 5, True),
        ("none", {f"lane_poisoned_wallets{{{OWN}}}": stays(0)}, 5, False),
        ("one elsewhere", {f"lane_poisoned_wallets{{{FOREIGN}}}": stays(1)}, 5, False),
    ],
    "PaymentExpiryBehind": [
        ("two hours", {f"expiry_overdue_seconds{{{OWN}}}": stays(7200)}, 20, True),
        ("for ten minutes", {f"expiry_overdue_seconds{{{OWN}}}": stays(7200)}, 10, False),
        ("ten minutes", {f"expiry_overdue_seconds{{{OWN}}}": stays(600)}, 20, False),
        ("two hours elsewhere", {f"expiry_overdue_seconds{{{FOREIGN}}}": stays(7200)}, 20, False),
    ],
    "PaymentQueueWait": [
        ("2 % wait long", waits("hold", 980, 20), 20, True),
        ("0.5 % wait long", waits("hold", 995, 5), 20, False),
    ],
    "PaymentMetricsAbsent": [
        ("nobody is scraped", {}, 10, True),
        ("another service is", {BUILD_FOREIGN: stays(1)}, 10, True),
        ("one pod is", {BUILD % "eu-south-2": stays(1)}, 10, False),
    ],
    "PaymentPodNotReady": [
        ("not ready", not_ready(database=0), 10, True),
        ("for three minutes", not_ready(database=0), 3, False),
        ("ready", not_ready(condition="true"), 10, False),
        ("on its way out", not_ready() | {f"kube_pod_deletion_timestamp{{{KUBE}}}": stays(1)},
         10, False),
        ("the migration, which is never", not_ready(
            pod=f'namespace="{NAMESPACE}",pod="{SERVICE}-migrate-abcde"'), 10, False),
    ],
    "PaymentGuardRefuses": [
        ("database up, pool up, not ready", not_ready(), 10, True),
        ("database down", not_ready(database=0), 10, False),
        ("no connection", not_ready(breaker=1), 10, False),
        ("ready", not_ready(condition="true"), 10, False),
    ],
    "PaymentOtherRegionsDatabase": [
        ("the probe's", {f"database_wrong_region{{{OWN}}}": stays(1)}, 2, True),
        ("a statement's", outcome("elsewhere", grows(1)), 10, True),
        ("its own", {f"database_wrong_region{{{OWN}}}": stays(0)}
         | outcome("elsewhere", stays(3)), 20, False),
        ("elsewhere", {f"database_wrong_region{{{FOREIGN}}}": stays(1)}, 5, False),
    ],
    "PaymentWrongRegion": [
        ("Mexico's", {BUILD % "us-east-1": stays(1)}, 2, True),
        ("its own", {BUILD % "eu-south-2": stays(1)}, 2, False),
    ],
    "PaymentRefusals": [
        ("2 % for the queue", answers(980, 20) | shed("queue", 20), 15, True),
        ("2 % for locked wallets", answers(980, 20) | shed("busy", 20), 15, True),
        ("2 % while draining", answers(980, 20) | shed("draining", 20), 15, False),
        ("0.5 % for the deadline", answers(995, 5) | shed("deadline", 5), 15, False),
    ],
    "PaymentLoopLag": [
        ("40 ms", {f"loop_lag_seconds{{{OWN}}}": stays(0.04)}, 10, True),
        ("4 ms", {f"loop_lag_seconds{{{OWN}}}": stays(0.004)}, 10, False),
    ],
    "PaymentLogLinesDropped": [
        ("some", {f'log_lines_dropped_total{{{OWN},ring="auth"}}': grows(1)}, 10, True),
        ("none", {f'log_lines_dropped_total{{{OWN},ring="auth"}}': stays(3)}, 10, False),
    ],
    "PaymentKeyFailures": [
        ("two a second", {f'auth_failures_total{{{OWN},answer="throttled"}}': grows(120)}, 20, True),
        ("two a second, refused", {
            f'auth_failures_total{{{OWN},answer="refused"}}': grows(120)}, 20, False),
        ("one in two", {f'auth_failures_total{{{OWN},answer="throttled"}}': grows(30)}, 20, False),
    ],
    "PaymentDescriptors": [
        ("90 %", descriptors(900), 10, True),
        ("50 %", descriptors(500), 10, False),
    ],
    "PaymentAtMaxReplicas": [
        ("at the most", scaled(12), 20, True),
        ("one below", scaled(11), 20, False),
    ],
}  # fmt: skip
PARAMETERS = [
    pytest.param(alert, case, id=f"{alert}: {case[0]}") for alert in CASES for case in CASES[alert]
]


def rule_groups(name="spain"):
    return manifests(name).one("PrometheusRule")["spec"]


def alerts():
    return [
        rule["alert"]
        for group in rule_groups()["groups"]
        for rule in group["rules"]
        if "alert" in rule
    ]


@pytest.fixture(scope="module")
def rules_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("rules") / "rules.yaml"
    path.write_text(yaml.safe_dump(rule_groups()))
    return path


def input_series(name, course, step, steps):
    kind, value = course
    values = f"{value}x{steps}" if kind == "stays" else f"0+{value * step}x{steps}"
    return {"series": name, "values": values}


def rule_test(rules, alert, case):
    _, series, minutes, fires = case
    step = 30 if minutes > DAY else 5 if minutes > 2 * HOUR else 1
    firing = f'count(ALERTS{{alertname="{alert}",alertstate="firing"}})'
    return {
        "rule_files": [str(rules)],
        "evaluation_interval": f"{step}m",
        # promtool's own order is random; ratios an hour old would be too old for the alerts.
        "group_eval_order": [group["name"] for group in rule_groups()["groups"]],
        "tests": [
            {
                "interval": f"{step}m",
                "input_series": [
                    input_series(name, course, step, minutes // step + 2)
                    for name, course in series.items()
                ],
                "promql_expr_test": [
                    {
                        "expr": firing,
                        "eval_time": f"{minutes}m",
                        "exp_samples": [{"labels": "{}", "value": 1}] if fires else [],
                    }
                ],
            }
        ],
    }


@pytest.mark.parametrize("alert, case", PARAMETERS)
def test_alert(alert, case, rules_file, tmp_path):
    path = tmp_path / "test.yaml"
    path.write_text(yaml.safe_dump(rule_test(rules_file, alert, case)))
    done = run("promtool", "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_that_fires_and_one_that_does_not():
    assert set(alerts()) == set(CASES)
    for alert, cases in CASES.items():
        assert {fires for *_, fires in cases} == {True, False}, alert


@pytest.mark.parametrize("name", SETS)
def test_rules_are_valid(name, tmp_path):
    path = tmp_path / "rules.yaml"
    path.write_text(yaml.safe_dump(rule_groups(name)))
    done = run("promtool", "check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_says_how_bad_it_is_and_what_it_means():
    for group in rule_groups()["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                assert rule["labels"]["severity"] in ("page", "ticket")
                assert len(rule["annotations"]["summary"]) > 20


@pytest.mark.parametrize("name", COUNTRIES)
def test_runbook_links_are_one_value(name):
    assert "runbook_url" not in str(rule_groups(name))
    made = manifests(name, "prometheusRule.runbookUrl=https://runbooks.example.com/payments")
    for group in made.one("PrometheusRule")["spec"]["groups"]:
        for rule in group["rules"]:
            if "alert" in rule:
                url = rule["annotations"]["runbook_url"]
                assert url.startswith("https://runbooks.example.com/payments#")


@pytest.fixture(scope="module")
def exposed():
    """The families a real service exposes; one whose database is out of reach has them all."""
    if not BINARY.exists():
        pytest.skip(f"NOT CHECKED: {BINARY} is not built")
    port = free_port()
    settings = {
        "DATABASE_URL": "postgresql://pay@127.0.0.1:1/pay",
        "API_SECRET_KEY": API_KEY,
        "REGION": "eu-south-2",
        "ENVIRONMENT": "dev",
        "BIND_ADDRESS": "127.0.0.1",
        "PORT": port,
        "OPS_PORT": free_port(),
        "DRAIN_DELAY_MS": "0",
    }
    service = subprocess.Popen(
        [str(BINARY)],
        env=environment(settings),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )

    def page():
        try:
            http.call(port, "GET", "/api/payment/simulate", [("X-API-Key", API_KEY)], None, 5)
            return http.call(port, "GET", "/metrics", [], None, 5).text
        except (OSError, http.Closed):
            return None

    try:
        yield wait_until(page, 15, "the service's first answer")
    finally:
        service.terminate()
        service.wait(30)


def test_rules_ask_only_for_metrics_and_labels_that_exist(exposed):
    expressions = " ".join(
        rule["expr"] for group in rule_groups()["groups"] for rule in group["rules"]
    )
    recorded = {
        rule["record"]
        for group in rule_groups()["groups"]
        for rule in group["rules"]
        if "record" in rule
    }
    asked = {
        (name, labels)
        for name, labels in re.findall(r"([a-z_]+[a-z0-9_:]*)\{([^}]*)\}", expressions)
        if name not in recorded and not name.startswith("kube_")
    }
    assert len(asked) > 15
    for name, selector in asked:
        samples = re.findall(rf"^{name}(?:\{{(.*)\}})? ", exposed, re.M)
        assert samples, f"{name} is not exposed"
        for label, operator, value in re.findall(r'(\w+)(=~|!=|=)"([^"]*)"', selector):
            if label in ("namespace", "service", "pod"):
                continue
            values = set(re.findall(rf'\b{label}="([^"]*)"', "\n".join(samples)))
            assert values, f"{name} has no label {label}"
            if operator == "=":
                assert value in values, f"{name} has no {label}={value}"
            elif operator == "=~":
                assert any(re.fullmatch(value, one) for one in values), f"{name}: {label}=~{value}"


def test_the_objectives_edge_is_a_bucket_of_the_service(exposed):
    assert re.search(r'^http_request_duration_seconds_bucket\{.*le="0.1"\}', exposed, re.M)
    assert re.search(r'^db_queue_wait_seconds_bucket\{.*le="0.025"\}', exposed, re.M)
