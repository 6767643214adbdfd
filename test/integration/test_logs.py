"""The log: one JSON object a line, what happened in it, and never what must stay secret."""

import fcntl
import json
import re

import pytest

from harness.machine import wait_until
from harness.payments import hold, luhn_number, new_key, payload, post
from harness.postgres import APP_PASSWORD
from harness.service import API_KEY, API_KEY_PREVIOUS, PATIENT, SIMULATE, Service

REQUIRED = {
    "timestamp",
    "severity_text",
    "severity_number",
    "body",
    "service.name",
    "service.version",
    "cloud.region",
    "deployment.environment",
}
ACCESS = {
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "duration_us",
    "request_id",
    "network.peer.address",
}
F_SETPIPE_SZ = 1031  # linux/fcntl.h
TIMESTAMP = re.compile(r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$")


@pytest.fixture(scope="module")
def chatty_service(database):
    """Every success is logged."""
    own = Service(database.url(), {**PATIENT, "ACCESS_LOG_SAMPLE": "1", "LOG_LEVEL": "debug"})
    try:
        yield own.start()
    finally:
        own.stop()


def access_line(service, answer):
    """The access line of this answer."""
    identity = answer.header("X-Request-Id")
    return wait_until(
        lambda: service.events("request", request_id=identity), what="the access line"
    )[0]


def test_every_line_is_an_object_with_the_common_fields(chatty_service):
    access_line(chatty_service, chatty_service.call("GET", SIMULATE))

    for line in chatty_service.lines:
        event = json.loads(line)
        assert REQUIRED <= set(event), line
        assert TIMESTAMP.match(event["timestamp"]), line
    assert chatty_service.errors == []


def test_access_line_tells_what_was_asked_and_answered(chatty_service):
    event = access_line(chatty_service, chatty_service.call("GET", SIMULATE))

    assert ACCESS <= set(event)
    assert (
        event["http.request.method"],
        event["http.route"],
        event["http.response.status_code"],
    ) == ("GET", SIMULATE, 200)
    assert event["network.peer.address"] == "127.0.0.1"
    assert event["service.name"] == "payment-latency-api"
    assert event["cloud.region"] == "eu-south-2"


def test_access_line_of_a_hold_tells_the_payment(chatty_service, book):
    answer = hold(chatty_service, book.wallet(), 123)

    event = access_line(chatty_service, answer)

    assert event["payment.transaction_id"] == answer.json()["transaction_id"]
    assert (
        event["payment.response_code"],
        event["payment.effect"],
        event["payment.currency"],
        event["payment.amount"],
        event["idempotency.result"],
    ) == ("00", "hold", "EUR", 123, "new")
    assert re.match(r"^[0-9a-f]{16}$", event["payment.wallet_hmac"])
    assert re.match(r"^[0-9a-f]{16}$", event["idempotency.key_hmac"])


def test_refusal_names_its_problem(chatty_service):
    event = access_line(chatty_service, chatty_service.call("GET", SIMULATE + "?amount=red"))

    assert (event["http.response.status_code"], event["error.type"]) == (422, "invalid-parameter")


def test_wrong_key_is_audited(chatty_service):
    before = len(chatty_service.events())
    chatty_service.call("GET", SIMULATE, key="not the key")

    told = wait_until(
        lambda: [
            event for event in chatty_service.events()[before:] if event["body"] == "auth_failure"
        ]
    )
    assert [event["http.response.status_code"] for event in told] == [403]
    assert "not the key" not in "".join(chatty_service.lines)


def failures_until_throttled(service, forwarded, most=30):
    """Wrong keys from behind a proxy, until the address that it names is told to wait."""
    headers = {"X-Forwarded-For": forwarded}
    answers = [
        service.call("GET", SIMULATE, headers, key="not the key").status for _ in range(most)
    ]
    return answers.index(429) if 429 in answers else None


def test_client_behind_a_trusted_proxy_is_logged_and_throttled(start_service):
    settings = {"TRUSTED_PROXIES": "127.0.0.0/8,10.0.0.0/8", "AUTH_FAILURES_PER_S": "2"}
    service = start_service({**PATIENT, **settings})
    answer = service.call(
        "GET", SIMULATE, {"X-Forwarded-For": "1.1.1.1, 203.0.113.7, 10.2.2.2"}, key="not the key"
    )

    event = access_line(service, answer)

    assert event["client.address"] == "203.0.113.7"
    assert event["network.peer.address"] == "127.0.0.1"
    assert failures_until_throttled(service, "203.0.113.8") == 2
    other = service.call("GET", SIMULATE, {"X-Forwarded-For": "203.0.113.9"}, key="not the key")
    assert other.status == 403


def test_forwarded_address_of_a_stranger_is_not_believed(start_service):
    service = start_service({**PATIENT, "TRUSTED_PROXIES": "10.0.0.0/8"})
    answer = service.call("GET", "/nothing", {"X-Forwarded-For": "203.0.113.7"})

    assert access_line(service, answer)["client.address"] == "127.0.0.1"


@pytest.mark.parametrize(
    "value",
    [
        'x"}\\',
        "a\tb",
        '%0d%0a{"body":"forged"}',
        "\x80\xff",
        "{{7*7}}%n%s",
        "</script>",
    ],
    ids=["json", "tab", "encoded-newline", "not-utf-8", "formats", "html"],
)
def test_input_cannot_forge_a_line(chatty_service, value):
    headers = {
        "User-Agent": value,
        "X-Request-Id": value,
        "traceparent": value,
        "X-Forwarded-For": value,
    }

    answer = chatty_service.call("GET", SIMULATE, headers)
    access_line(chatty_service, answer)

    assert [event for event in chatty_service.events() if event["body"] == "forged"] == []


@pytest.mark.parametrize("target", ["/x%0d%0ay", '/x"y', "/x\\y", "/x\xffy", "/x'{}<>|^`"])
def test_path_cannot_forge_a_line(chatty_service, target):
    with chatty_service.connect() as connection:
        status = connection.request("GET", target, {"Connection": "close"}).status

    assert status in (400, 404)
    wait_until(chatty_service.alive)
    assert all(json.loads(line) for line in list(chatty_service.lines))


def test_nothing_secret_is_logged(chatty_service, book):
    """Everything secret goes in by every door; none of it may be in the log or in /metrics."""
    wallet, key, number = book.wallet(balance=77_123_456), new_key(), luhn_number()
    query = f"wallet_id=wal_{wallet}&amount=100&currency=EUR&mcc=5812&merchant_country=ES"
    answers = [
        hold(chatty_service, wallet, 100, key),
        post(chatty_service, payload(wallet, 100), key),
        post(chatty_service, payload(wallet, 101), key),
        chatty_service.call("GET", f"{SIMULATE}?{query}"),
        chatty_service.call("GET", SIMULATE, key=API_KEY_PREVIOUS),
        chatty_service.call("GET", SIMULATE, key="wrong-" + API_KEY),
        chatty_service.call("GET", SIMULATE, {"Authorization": "Bearer open-sesame"}),
        post(chatty_service, payload(wallet, note=number), new_key()),
        post(chatty_service, payload(wallet), number),
        chatty_service.call("GET", f"{SIMULATE}?wallet_id=wal_{number}"),
        chatty_service.call("GET", f"{SIMULATE}/txn_{number}"),
        chatty_service.call("GET", f"/cards/{number}?card={number}"),
    ]
    for answer in answers:
        access_line(chatty_service, answer)

    chatty_service.metrics()  # pages are shared: one that is as young as the last request
    told = "\n".join(
        [*chatty_service.lines, *chatty_service.errors, chatty_service.call("GET", "/metrics").text]
    )

    for secret in (
        API_KEY,
        API_KEY_PREVIOUS,
        API_KEY[:16],
        APP_PASSWORD,
        "postgresql://",
        "pay_app:",
        key,
        number,
        number[:12],
        f"wal_{wallet}",
        "color=red",
        "merchant_country=",
        "open-sesame",
        "77123456",
        "77123356",
    ):
        assert secret not in told, secret


def statuses_logged(service):
    return [
        event["http.response.status_code"]
        for event in service.events("request")
        if event["http.route"] == SIMULATE
    ]


def test_successes_are_sampled(start_service):
    service = start_service({**PATIENT, "ACCESS_LOG_SAMPLE": "10"})
    with service.connect() as connection:
        for _ in range(100):
            connection.request("GET", SIMULATE, {"X-API-Key": API_KEY})
    service.stop()

    assert 5 <= statuses_logged(service).count(200) <= 15


def test_failures_are_logged_even_without_sampling(start_service):
    service = start_service({**PATIENT, "ACCESS_LOG_SAMPLE": "0"})
    for _ in range(5):
        service.call("GET", SIMULATE)
        service.call("GET", SIMULATE, key=None)
    service.stop()

    assert statuses_logged(service) == [401] * 5


def test_log_that_nobody_reads_does_not_stop_the_service(start_service):
    service = start_service({**PATIENT, "ACCESS_LOG_SAMPLE": "1"})
    fcntl.fcntl(service.process.stdout, F_SETPIPE_SZ, 4096)
    service.pause_reading()

    with service.connect() as connection:
        statuses = [connection.request("GET", "/nothing").status for _ in range(300)]

    assert statuses == [404] * 300
