"""What /metrics promises: the three legacy families first and exact, the rest bounded and true."""

import pytest

from harness.machine import wait_until
from harness.payments import evaluate, hold, new_key, payload, post, problem, void
from harness.service import PATIENT, SIMULATE

CONTRACT_EDGES = {
    "0.0005",
    "0.001",
    "0.0025",
    "0.005",
    "0.01",
    "0.025",
    "0.05",
    "0.075",
    "0.1",
    "0.15",
    "0.25",
    "0.5",
    "1",
    "2.5",
    "5",
    "10",
    "+Inf",
}
LEGACY_EDGES = {
    "http_request_duration_seconds": {
        "0.005",
        "0.01",
        "0.025",
        "0.05",
        "0.1",
        "0.25",
        "0.5",
        "1",
        "2.5",
        "5",
        "10",
        "+Inf",
    },
    "payment_processing_duration_seconds": {"0.1", "0.2", "0.3", "0.5", "1", "2", "5", "+Inf"},
}
FAMILIES = {
    "http_requests_total": "counter",
    "http_request_duration_seconds": "histogram",
    "payment_processing_duration_seconds": "histogram",
    "payment_decisions_total": "counter",
    "payment_idempotency_total": "counter",
    "payment_steps_total": "counter",
    "payment_amount_minor_total": "counter",
    "db_query_duration_seconds": "histogram",
    "db_errors_total": "counter",
    "db_connections": "gauge",
    "db_queue_wait_seconds": "histogram",
    "db_queue_depth": "gauge",
    "http_requests_in_flight": "gauge",
    "http_connections": "gauge",
    "http_requests_shed_total": "counter",
    "http_deadline_exceeded_total": "counter",
    "api_key_requests_total": "counter",
    "api_key_last_used_timestamp_seconds": "gauge",
    "payment_latency_api_build_info": "gauge",
    "process_cpu_seconds_total": "counter",
    "process_resident_memory_bytes": "gauge",
    "process_open_fds": "gauge",
    "process_start_time_seconds": "gauge",
    "log_lines_dropped_total": "counter",
    "access_log_lines_total": "counter",
    "access_log_lines_suppressed_total": "counter",
    "auth_failures_total": "counter",
    "auth_throttle_addresses": "gauge",
    "auth_throttle_forgotten_total": "counter",
}


def growth(service, act, name, **labels):
    before = service.metrics().value(name, **labels)
    act()
    return service.metrics().value(name, **labels) - before


def test_legacy_families_come_first(service):
    assert list(service.metrics().families)[:3] == [
        "http_requests_total",
        "http_request_duration_seconds",
        "payment_processing_duration_seconds",
    ]


def test_legacy_counter_has_its_help_and_labels(service):
    service.call("GET", "/info")
    metrics = service.metrics()

    assert metrics.families["http_requests_total"] == ("counter", "Total number of HTTP requests")
    labels = {
        tuple(name for name, _ in pairs)
        for sample, pairs in metrics.samples
        if sample == "http_requests_total"
    }
    assert labels == {("method", "endpoint", "status")}


@pytest.mark.parametrize("name", FAMILIES)
def test_family_is_there_with_its_type(service, name):
    assert service.metrics().families[name][0] == FAMILIES[name]


@pytest.mark.parametrize(
    "method, path, endpoint, status",
    [
        ("GET", "/health", "/health", "200"),
        ("GET", "/info", "/info", "200"),
        ("GET", SIMULATE, SIMULATE, "200"),
        ("GET", SIMULATE + "?amount=red", SIMULATE, "422"),
        ("GET", SIMULATE + "/txn_1", SIMULATE + "/{id}", "404"),
        ("POST", SIMULATE + "/txn_1/void", SIMULATE + "/{id}/void", "404"),
        ("DELETE", SIMULATE, SIMULATE, "405"),
        ("GET", "/no/such/path", "other", "404"),
    ],
)
def test_request_counts_once_with_its_route(service, method, path, endpoint, status):
    labels = {"method": method, "endpoint": endpoint, "status": status}

    grown = growth(
        service,
        lambda: service.call(method, path, {"Content-Length": "0"}),
        "http_requests_total",
        **labels,
    )

    assert grown == 1


def test_request_without_a_key_counts_as_401(service):
    grown = growth(
        service,
        lambda: service.call("GET", SIMULATE, key=None),
        "http_requests_total",
        method="GET",
        endpoint=SIMULATE,
        status="401",
    )

    assert grown == 1


def test_metrics_does_not_count_itself(service):
    service.metrics()

    metrics = service.metrics()

    assert metrics.value("http_requests_total", endpoint="/metrics") == 0
    assert metrics.value("http_request_duration_seconds_count", endpoint="/metrics") == 0


@pytest.mark.parametrize("name", LEGACY_EDGES)
def test_histogram_has_the_edges_of_the_go_service_and_of_the_contract(service, name):
    service.call("GET", SIMULATE)

    groups = [
        dict(pairs) for sample, pairs in service.metrics().samples if sample == name + "_count"
    ]
    edges = [edge for edge, _ in service.metrics().buckets(name, **groups[0])]

    assert LEGACY_EDGES[name] | CONTRACT_EDGES <= set(edges)
    assert [float(edge) for edge in edges] == sorted(float(edge) for edge in edges)


def test_processing_histogram_counts_decisions(service):
    grown = growth(
        service, lambda: service.call("GET", SIMULATE), "payment_processing_duration_seconds_count"
    )

    assert grown == 1


def test_every_histogram_is_cumulative_and_complete(service):
    service.call("GET", SIMULATE)
    metrics = service.metrics()

    for name, (kind, _) in metrics.families.items():
        if kind != "histogram":
            continue
        groups = {
            tuple(pair for pair in pairs if pair[0] != "le")
            for sample, pairs in metrics.samples
            if sample == name + "_bucket"
        }
        for group in groups:
            counts = [count for _, count in metrics.buckets(name, **dict(group))]
            assert counts == sorted(counts), (name, group)
            assert counts[-1] == metrics.samples[name + "_count", group], (name, group)
            assert (name + "_sum", group) in metrics.samples, (name, group)


def test_decisions_count_by_code_and_effect(service, book):
    wallet = book.wallet(balance=150)

    assert (
        growth(
            service,
            lambda: hold(service, wallet, 100),
            "payment_decisions_total",
            response_code="00",
            effect="hold",
        )
        == 1
    )
    assert (
        growth(
            service,
            lambda: hold(service, wallet, 100),
            "payment_decisions_total",
            response_code="51",
            effect="hold",
        )
        == 1
    )
    assert (
        growth(
            service,
            lambda: evaluate(service, wallet, 10),
            "payment_decisions_total",
            response_code="00",
            effect="evaluate",
        )
        == 1
    )


def test_idempotency_counts_new_replay_and_mismatch(service, book):
    wallet, key = book.wallet(), new_key()
    name = "payment_idempotency_total"

    assert growth(service, lambda: post(service, payload(wallet), key), name, result="new") == 1
    assert growth(service, lambda: post(service, payload(wallet), key), name, result="replay") == 1
    assert (
        growth(service, lambda: post(service, payload(wallet, 7), key), name, result="mismatch")
        == 1
    )


def test_replay_does_not_count_as_a_decision(service, book):
    wallet, key = book.wallet(), new_key()
    hold(service, wallet, key=key)

    assert (
        growth(service, lambda: post(service, payload(wallet), key), "payment_decisions_total") == 0
    )


def test_voids_and_amounts_count(service, book):
    wallet = book.wallet()

    assert (
        growth(
            service,
            lambda: hold(service, wallet, 123),
            "payment_amount_minor_total",
            currency="EUR",
            status="approved",
        )
        == 123
    )
    transaction = hold(service, wallet).json()["transaction_id"]
    assert growth(service, lambda: void(service, transaction), "payment_steps_total") == 1
    assert growth(service, lambda: void(service, transaction), "payment_steps_total") == 1


def test_connections_gauge_shows_the_pool(service):
    metrics = service.metrics()

    assert metrics.value("db_connections") == 6
    assert {"idle", "busy", "connecting"} <= metrics.labels("db_connections", "state")


def test_build_info_names_what_runs(service):
    metrics = service.metrics()

    assert (
        metrics.value(
            "payment_latency_api_build_info",
            version="1.0.0",
            region="eu-south-2",
            environment="dev",
        )
        == 1
    )
    for label in ("revision", "compiler"):
        assert metrics.labels("payment_latency_api_build_info", label)


def test_use_of_a_key_is_visible_without_the_key(service):
    service.call("GET", SIMULATE)
    metrics = service.metrics()

    assert metrics.value("api_key_requests_total", key_id="current") > 0
    assert metrics.value("api_key_last_used_timestamp_seconds", key_id="current") > 1.6e9


def test_open_descriptors_follow_the_connections(service):
    before = service.descriptors()
    connections = [service.connect() for _ in range(5)]
    for connection in connections:
        connection.request("GET", "/livez")

    during = service.descriptors()
    for connection in connections:
        connection.close()

    assert during - before >= 5
    wait_until(lambda: service.descriptors() <= before)


def test_wallet_that_evaluates_fail_on_counts_as_poisoned(start_service, book):
    service = start_service(PATIENT)
    broken, whole = book.wallet(book.program(tz="Nowhere/Land")), book.wallet()

    def refused():
        evaluate(service, whole)
        answer = evaluate(service, broken)
        return answer.status == 503 and problem(answer) == "wallet-unavailable"

    wait_until(refused)
    metrics = service.metrics()

    assert metrics.value("lane_poisoned_wallets") == 1
    assert metrics.value("lane_poisoned_total") == 1
    assert len(wait_until(lambda: service.events("wallet_poisoned"))) == 1


def test_labels_stay_bounded_whatever_is_asked_for(service):
    for number in range(30):
        service.call("GET", f"/random/{number}")
        service.call("GET", f"{SIMULATE}/txn_{number}")

    endpoints = service.metrics().labels("http_requests_total", "endpoint")

    assert endpoints <= {
        "/health",
        "/info",
        "/livez",
        "/readyz",
        SIMULATE,
        SIMULATE + "/{id}",
        SIMULATE + "/by-key/{id}",
        SIMULATE + "/{id}/capture",
        SIMULATE + "/{id}/void",
        SIMULATE + "/{id}/increment",
        SIMULATE + "/{id}/refund",
        "/api/payment/wallets/{id}",
        "/api/payment/wallets/{id}/transactions",
        "other",
    }


def test_openmetrics_is_given_to_who_asks_for_it(service):
    answer = service.call(
        "GET", "/metrics", {"Accept": "application/openmetrics-text; version=1.0.0"}
    )

    assert answer.header("Content-Type").startswith("application/openmetrics-text; version=1.0.0")
    assert answer.text.endswith("# EOF\n")
    assert "# TYPE http_requests counter\n" in answer.text
