"""Clients whose requests take long to arrive: it is their own time, and costs nobody else any."""

import re
import time

import pytest

from harness.faults import LOCK_WALLET
from harness.machine import seconds, wait_until
from harness.payments import hold_bytes, new_key, payload, post
from harness.service import PATIENT, Service

BUDGET_MS = int(seconds(0.5) * 1000)
PAUSE_S = 2 * BUDGET_MS / 1000
HEAD_END = b"\r\n\r\n"


@pytest.fixture(scope="module")
def service(database):
    patient = dict.fromkeys(PATIENT, BUDGET_MS - 50)
    own = Service(database.url(), {**patient, "REQUEST_BUDGET_MS": BUDGET_MS})
    try:
        yield own.start()
    finally:
        own.stop()


def cut(data, where):
    """Before the body, or in the head."""
    at = data.index(HEAD_END) + len(HEAD_END) if where == "body" else 20
    return data[:at], data[at:]


@pytest.mark.parametrize("where", ["head", "body"])
def test_the_budget_begins_with_the_last_byte(service, book, where):
    first, rest = cut(hold_bytes(book.wallet(balance=10**6), new_key(), 1), where)
    with service.connect() as connection:
        connection.send(first)
        time.sleep(PAUSE_S)
        connection.send(rest)
        answer = connection.response()

    assert answer.status == 201, answer
    total_ms = float(re.search(r"total;dur=([0-9.]+)", answer.header("Server-Timing")).group(1))
    print(f"   {where}: total {total_ms} ms after {PAUSE_S * 1000:.0f} ms of sending")
    assert total_ms < BUDGET_MS
    assert float(answer.json()["processing_time_ms"]) < BUDGET_MS


def test_who_is_still_sending_waits_for_nobody_and_nobody_waits(service, book):
    wallet = book.wallet(balance=10**6)
    before = service.metrics()
    slow = []
    for _ in range(40):
        first, rest = cut(hold_bytes(wallet, new_key(), 1), "body")
        connection = service.connect()
        connection.send(first)
        slow.append((connection, rest))
    wait_until(lambda: reading(service) == len(slow), 5, "every head to be there")

    metrics = service.metrics()
    assert metrics.value("db_queue_depth") == 0
    assert metrics.value("lane_in_flight") == 0
    assert post(service, payload(wallet, 1), new_key()).status == 201

    time.sleep(PAUSE_S)
    for connection, rest in slow:
        connection.send(rest)
    assert [connection.response().status for connection, _ in slow] == [201] * len(slow)
    for connection, _ in slow:
        connection.close()
    assert book.holds(wallet) == len(slow) + 1
    assert shed(service.metrics()) == shed(before)


def test_who_finds_no_exchange_gets_a_whole_answer(start_service, database, book):
    """A server of fewer than four has none to spare."""
    service, wallet = start_service({**PATIENT, "HTTP_ACTIVE_MAX": 1}), book.wallet(balance=10**6)
    with database.connect() as other, service.connect() as busy:
        other.execute("BEGIN")
        other.execute(LOCK_WALLET, (wallet,))
        busy.send(hold_bytes(wallet, new_key(), 1))
        answers = [
            wait_until(lambda: refused(service.call("GET", "/livez")), 2, "the place to be taken")
            for _ in range(2)
        ]
        other.execute("ROLLBACK")
        assert busy.response().status == 201
    for answer in answers:
        print("  ", answer.fields)
        assert answer.header("Date")
        assert answer.header("Retry-After") == "1"
        assert answer.json()["trace_id"] == answer.header("X-Request-Id")
        assert answer.closes
    assert answers[0].header("X-Request-Id") != answers[1].header("X-Request-Id")


def refused(answer):
    return answer if answer.status == 503 else None


def reading(service):
    return service.metrics().value("http_connection_states", state="body")


def shed(metrics):
    return sum(value for (name, _), value in metrics.samples.items() if "shed" in name)
