"""The answers of the Go service, exactly: names, order, types and formats its callers rely on."""

import re

import pytest

from harness.service import API_KEY, API_KEY_PREVIOUS, REGION, SIMULATE

TWO_DECIMALS = re.compile(r"^\d+\.\d{2}$")
RFC_3339 = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,9}(Z|[+-]\d\d:\d\d)$")


def json_answer(answer):
    assert answer.status == 200, answer
    assert answer.header("Content-Type") == "application/json"
    assert answer.text.endswith("}\n") and answer.text.count("\n") == 1
    return answer.json()


def test_health_has_the_members_of_the_go_service_in_order(service):
    body = json_answer(service.call("GET", "/health", key=None))

    assert list(body) == [
        "status",
        "region",
        "latency_ms",
        "database",
        "timestamp",
        "environment",
        "uptime_seconds",
    ]


def test_health_has_the_types_and_formats_of_the_go_service(service):
    body = json_answer(service.call("GET", "/health", key=None))

    assert body["status"] == "healthy"
    assert body["region"] == REGION
    assert TWO_DECIMALS.match(body["latency_ms"])
    assert body["database"] == "connected"
    assert RFC_3339.match(body["timestamp"])
    assert body["environment"] == "dev"
    assert type(body["uptime_seconds"]) is int


def test_info_has_the_members_of_the_go_service_in_order(service):
    body = json_answer(service.call("GET", "/info", key=None))

    assert list(body) == ["name", "version", "region", "environment", "timestamp"]
    assert body["name"] == "payment-latency-api"
    assert body["version"] == "1.0.0"
    assert body["region"] == REGION
    assert body["environment"] == "dev"
    assert RFC_3339.match(body["timestamp"])


def test_simulate_has_the_members_of_the_go_service_and_no_more(service):
    body = json_answer(service.call("GET", SIMULATE))

    assert list(body) == ["transaction_id", "status", "processing_time_ms", "region", "timestamp"]


def test_simulate_has_the_formats_of_the_go_service(service):
    body = json_answer(service.call("GET", SIMULATE))

    assert re.match(r"^txn_\d{19}$", body["transaction_id"])
    assert body["status"] == "approved"
    assert TWO_DECIMALS.match(body["processing_time_ms"])
    assert body["region"] == REGION
    assert RFC_3339.match(body["timestamp"])


@pytest.mark.parametrize("query", ["?", "?t=1", "?t=1&", "?x=%zz"])
def test_simulate_ignores_a_query_as_the_go_service_did(service, query):
    body = json_answer(service.call("GET", SIMULATE + query))

    assert list(body) == ["transaction_id", "status", "processing_time_ms", "region", "timestamp"]


def test_simulate_gives_every_call_its_own_transaction_id(service):
    ids = [service.call("GET", SIMULATE).json()["transaction_id"] for _ in range(50)]

    assert len(set(ids)) == 50


def test_simulate_accepts_the_current_and_the_previous_key(service):
    statuses = [
        service.call("GET", SIMULATE, key=key).status for key in (API_KEY, API_KEY_PREVIOUS)
    ]

    assert statuses == [200, 200]


@pytest.mark.parametrize("key", [None, ""], ids=["absent", "empty"])
def test_simulate_without_a_key_is_401_with_the_text_of_the_go_service(service, key):
    answer = service.call("GET", SIMULATE, key=key)

    assert answer.status == 401
    assert answer.json()["error"] == "Missing X-API-Key header"
    assert answer.header("Content-Type") == "application/problem+json"
    assert answer.header("WWW-Authenticate") == 'ApiKey realm="payment-latency-api"'


@pytest.mark.parametrize(
    "key",
    [
        "wrong",
        "0" * 64,
        API_KEY[:-1],
        API_KEY + "0",
        API_KEY.upper() + "x",
        "k" * 4000,
    ],
    ids=["short", "same-length", "prefix", "longer", "other-case", "huge"],
)
def test_simulate_with_a_wrong_key_is_403_with_the_text_of_the_go_service(service, key):
    answer = service.call("GET", SIMULATE, key=key)

    assert answer.status == 403
    assert answer.json()["error"] == "Invalid API key"
    assert answer.header("Content-Type") == "application/problem+json"


def test_two_keys_in_one_request_never_authenticate(service):
    answer = service.call("GET", SIMULATE, [("X-API-Key", API_KEY)])

    assert answer.status in (400, 401, 403)


def test_a_key_in_a_trailer_never_authenticates(service):
    with service.connect() as connection:
        connection.send(
            b"POST /api/payment/simulate HTTP/1.1\r\nHost: x\r\n"
            b"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"2\r\n{}\r\n0\r\nX-API-Key: " + API_KEY.encode() + b"\r\n\r\n"
        )
        answer = connection.response()

    assert answer.status in (400, 401)


@pytest.mark.parametrize("path", ["/health", "/info", "/metrics", "/livez", "/readyz"])
def test_operations_endpoints_need_no_key(service, path):
    assert service.call("GET", path, key=None).status == 200


def test_metrics_is_prometheus_text(service):
    content_type = service.call("GET", "/metrics", key=None).header("Content-Type")

    assert content_type.startswith("text/plain; version=0.0.4")


@pytest.mark.parametrize("path", ["/health", "/info", SIMULATE])
def test_answers_are_never_stored_by_caches(service, path):
    assert service.call("GET", path).header("Cache-Control") == "no-store"
