"""What every answer carries, refusals included: header fields, ids, and a detail that helps."""

import json
import re

import pytest

from harness.http import converse
from harness.machine import wait_until
from harness.payments import hold, new_key, payload, post, purchase_query
from harness.service import API_KEY, PATIENT, SIMULATE, Service

TRACE = "0af7651916cd43dd8448eb211c80319c"
TRACEPARENT = f"00-{TRACE}-b7ad6b7169203331-01"
OWN = re.compile(r"^[0-9a-f]{32}$")
VISIBLE = "".join(map(chr, range(ord("!"), ord("~") + 1)))
PLAIN = {"X-API-Key": API_KEY}


@pytest.fixture(scope="module")
def chatty_service(database):
    """Every success is logged."""
    own = Service(database.url(), {**PATIENT, "ACCESS_LOG_SAMPLE": "1"})
    try:
        yield own.start()
    finally:
        own.stop()


def access_line(service, **fields):
    return wait_until(lambda: service.events("request", **fields), what="the access line")[0]


# Header fields of all of them


REQUESTS = {
    "legacy": ("GET", SIMULATE, PLAIN, 200),
    "head": ("HEAD", SIMULATE, PLAIN, 200),
    "options": ("OPTIONS", SIMULATE, {}, 204),
    "info": ("GET", "/info", {}, 200),
    "livez": ("GET", "/livez", {}, 200),
    "metrics": ("GET", "/metrics", {}, 200),
    "no-key": ("GET", SIMULATE, {}, 401),
    "wrong-key": ("GET", SIMULATE, {"X-API-Key": "x"}, 403),
    "no-path": ("GET", "/nothing", {}, 404),
    "no-transaction": ("GET", SIMULATE + "/txn_" + "0" * 32, PLAIN, 404),
    "no-method": ("DELETE", SIMULATE, PLAIN, 405),
    "trace": ("TRACE", "/info", {}, 405),
    "not-acceptable": ("GET", SIMULATE, {**PLAIN, "Accept": "text/html"}, 406),
    "no-length": ("POST", SIMULATE, PLAIN, 411),
    "wrong-query": ("GET", SIMULATE + "?amount=x", PLAIN, 422),
    "long-target": ("GET", "/" + "x" * 4000, {}, 414),
    "expectation": ("GET", "/info", {"Expect": "200-ok"}, 417),
    "unknown-method": ("BREW", "/info", {}, 501),
}


@pytest.mark.parametrize("method, target, headers, status", REQUESTS.values(), ids=REQUESTS)
def test_no_answer_is_for_a_cache_or_to_be_guessed_at(service, method, target, headers, status):
    with service.connect() as connection:
        answer = connection.request(method, target, headers)

    assert answer.status == status, answer
    assert answer.all("Cache-Control") == ["no-store"]
    assert answer.all("X-Content-Type-Options") == ["nosniff"]
    assert len(answer.all("Date")) == len(answer.all("X-Request-Id")) == 1


def test_answer_to_what_is_no_request_carries_them_too(service):
    answers, _ = converse(service.port, b"\x16\x03\x01\r\n\r\n")

    assert [answer.status for answer in answers] == [400]
    assert answers[0].all("Cache-Control") == ["no-store"]
    assert answers[0].all("X-Content-Type-Options") == ["nosniff"]


def test_decided_holds_carry_them(service, book):
    answer = hold(service, book.wallet(), 100)

    assert answer.all("Cache-Control") == ["no-store"]
    assert answer.all("X-Content-Type-Options") == ["nosniff"]


# HEAD


HEADS = {
    "legacy": SIMULATE,
    "purchase": f"{SIMULATE}?{purchase_query()}",
    "wrong-purchase": SIMULATE + "?amount=x",
    "no-transaction": SIMULATE + "/txn_" + "0" * 32,
    "no-path": "/nothing",
    "no-method": SIMULATE + "/x/void",
    "info": "/info",
    "livez": "/livez",
}


@pytest.mark.parametrize("target", HEADS.values(), ids=HEADS)
def test_head_tells_what_get_would_and_no_wrong_length(service, target):
    """RFC 9110 section 8.6: a Content-Length that GET would not send must not be sent."""
    with service.connect() as connection:
        head = connection.request("HEAD", target, PLAIN)
        get = connection.request("GET", target, PLAIN)

    assert head.status == get.status
    assert head.header("Content-Length") in (None, get.header("Content-Length"))
    assert head.header("Content-Type") == get.header("Content-Type")
    assert head.header("Allow") == get.header("Allow")


# A detail


@pytest.mark.parametrize(
    "name, word",
    [
        ("no-key", "X-API-Key"),
        ("wrong-key", "X-API-Key"),
        ("no-path", "path"),
        ("no-transaction", "transaction"),
        ("no-method", "Allow"),
        ("trace", "Allow"),
    ],
)
def test_refusal_has_a_detail_that_says_what_to_do(service, name, word):
    method, target, headers, status = REQUESTS[name]
    with service.connect() as connection:
        told = connection.request(method, target, headers).json()

    assert told["status"] == status
    assert word in told["detail"]
    assert list(told)[:6] == ["type", "title", "status", "detail", "instance", "error"]


# X-Request-Id


@pytest.mark.parametrize(
    "value", ["1", "order-1001", VISIBLE[:64], VISIBLE[-64:], '{"a":"b"}'], ids=range(5)
)
def test_request_id_of_the_caller_is_echoed_and_logged(chatty_service, value):
    answer = chatty_service.call("GET", SIMULATE, {"X-Request-Id": value})

    assert answer.header("X-Request-Id") == value
    event = access_line(chatty_service, request_id=value)
    assert OWN.match(event["trace_id"]) and event["http.response.status_code"] == 200


def test_request_id_is_the_callers_and_the_trace_stays_the_traces(chatty_service):
    headers = {"X-Request-Id": "mine-1", "traceparent": TRACEPARENT}

    answer = chatty_service.call("GET", SIMULATE, headers, key=None)

    assert answer.header("X-Request-Id") == "mine-1"
    assert answer.json()["trace_id"] == TRACE
    assert access_line(chatty_service, request_id="mine-1")["trace_id"] == TRACE


def test_request_id_of_the_caller_stands_in_its_audit_lines(chatty_service, book):
    made = hold(chatty_service, book.wallet(), 100).json()["transaction_id"]

    chatty_service.call("POST", f"{SIMULATE}/{made}/void", {"X-Request-Id": "void-7"}, b"")
    chatty_service.call("GET", SIMULATE, {"X-Request-Id": "wrong-7"}, key="x")

    for body, value in (("void", "void-7"), ("auth_failure", "wrong-7")):
        wait_until(lambda: chatty_service.events(body, request_id=value), what=body)


@pytest.mark.parametrize(
    "head",
    [
        b"X-Request-Id:\r\n",
        b"X-Request-Id: a b\r\n",
        b"X-Request-Id: a\tb\r\n",
        b"X-Request-Id: caf\xe9\r\n",
        b"X-Request-Id: \xc2\xa0\r\n",
        b"X-Request-Id: \x7f\r\n",
        b"X-Request-Id: " + b"x" * 65 + b"\r\n",
        b"X-Request-Id: a\r\nx-request-id: a\r\n",
        b"X-Request-Id: a\rSet-Cookie: b\r\n",
        b"X-Request-Id: a\0b\r\n",
        b"X-Request-Id: a\r\n b\r\n",
    ],
    ids=[
        "empty",
        "space",
        "tab",
        "latin-1",
        "utf-8",
        "delete",
        "long",
        "twice",
        "bare-cr",
        "nul",
        "folded",
    ],
)
def test_request_id_that_is_not_one_token_is_ignored(service, head):
    answers, _ = converse(
        service.port, b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n" + head + b"\r\n"
    )

    assert len(answers) == 1 and answers[0].status in (200, 400)
    assert OWN.match(answers[0].header("X-Request-Id"))
    assert answers[0].all("Set-Cookie") == []


def test_request_id_does_not_stay_for_the_next_request(service):
    with service.connect() as connection:
        first = connection.request("GET", "/livez", {"X-Request-Id": VISIBLE[:64]})
        second = connection.request("GET", "/livez")
        third = connection.request("GET", "/nothing", {"X-Request-Id": "c"})

    assert first.header("X-Request-Id") == VISIBLE[:64]
    assert OWN.match(second.header("X-Request-Id"))
    assert third.header("X-Request-Id") == "c"
    assert OWN.match(third.json()["trace_id"])


def test_request_id_is_echoed_by_a_refusal_of_the_server(service):
    headers = {**PLAIN, "X-Request-Id": "mine-2", "Content-Length": "999999"}
    with service.connect() as connection:
        answer = connection.request("POST", SIMULATE, headers)

    assert (answer.status, answer.header("X-Request-Id")) == (413, "mine-2")


def test_request_id_is_no_part_of_a_replay(service, book):
    key, body = new_key(), payload(book.wallet())

    first = post(service, body, key, {"X-Request-Id": "first"})
    again = post(service, body, key, {"X-Request-Id": "again"})

    assert (first.status, first.body) == (again.status, again.body)
    assert again.header("X-Request-Id") == "again"
    assert "again" not in json.dumps(again.json())
