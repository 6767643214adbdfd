"""The caller's deadline: headers shorten the budget, the smallest wins, late moves nothing."""

import pytest

from harness.faults import hold_up, waits_in_memory
from harness.http import timed
from harness.machine import seconds, wait_until
from harness.payments import hold, new_key, payload, post, problem
from harness.service import PATIENT

NOTICE_S = 0.5
"""What a loaded machine may add to a deadline before a test calls it missed."""
SHORT = [
    {"X-Request-Timeout-Ms": "150"},
    {"x-envoy-expected-rq-timeout-ms": "150"},
    {"grpc-timeout": "150m"},
    {"grpc-timeout": "150000u"},
    {"X-Request-Timeout-Ms": "60000", "grpc-timeout": "150m"},
    {"X-Request-Timeout-Ms": "garbage", "x-envoy-expected-rq-timeout-ms": "150"},
]
LATE = {"wallet-busy", "outcome-unknown"}
"""The last question for a locked wallet may be on its way when the time is over."""
IGNORED = [
    {"X-Request-Timeout-Ms": "0"},
    {"X-Request-Timeout-Ms": "-1"},
    {"X-Request-Timeout-Ms": "1e3"},
    {"X-Request-Timeout-Ms": "60001"},
    {"grpc-timeout": "1"},
    {"grpc-timeout": "1X"},
    {"grpc-timeout": "123456789m"},
    {"grpc-timeout": "0m"},
]


@pytest.fixture
def locked_wallet(database, book):
    """(wallet, release): somebody else holds its row until release() is called."""
    wallet = book.wallet(balance=1000)
    with database.connect() as other:
        hold_up(other, "memory", wallet)
        yield wallet, lambda: other.execute("COMMIT")


@pytest.mark.parametrize("headers", SHORT, ids=str)
def test_header_shortens_the_budget(service, locked_wallet, headers):
    wallet, _ = locked_wallet

    duration, answer = timed(lambda: post(service, payload(wallet), new_key(), headers))

    assert problem(answer) in LATE
    assert duration < 0.15 + seconds(NOTICE_S)


@pytest.mark.parametrize("headers", IGNORED, ids=str)
def test_malformed_timeout_is_ignored(service, book, headers):
    assert post(service, payload(book.wallet()), new_key(), headers).status == 201


def test_hold_whose_wallet_is_free_too_late_moves_nothing(service, book, locked_wallet):
    wallet, release = locked_wallet
    answer = post(service, payload(wallet), new_key(), {"X-Request-Timeout-Ms": "100"})
    wait_until(lambda: not waits_in_memory(service))

    release()
    hold(service, wallet, 7)

    assert problem(answer) in LATE
    assert (book.balance(wallet), book.holds(wallet), book.decisions(wallet)) == (993, 1, 1)


def test_hold_whose_lock_comes_too_late_moves_nothing(service, database, book):
    wallet = book.wallet(balance=1000)
    with database.connect() as other:
        hold_up(other, "server", wallet)
        answer = post(service, payload(wallet), new_key(), {"X-Request-Timeout-Ms": "100"})

        past = "wait_event_type = 'Lock' AND clock_timestamp() - query_start > interval '200 ms'"
        wait_until(lambda: database.backends(past))
        other.execute("COMMIT")
        wait_until(lambda: not database.backends("state = 'active'"))

    assert (answer.status, answer.json()["applied"]) == (504, "unknown")
    assert (book.balance(wallet), book.holds(wallet), book.decisions(wallet)) == (1000, 0, 0)


def test_key_of_a_late_hold_is_free(service, book, locked_wallet):
    wallet, release = locked_wallet
    key = new_key()
    post(service, payload(wallet), key, {"X-Request-Timeout-Ms": "100"})
    release()

    answer = wait_until(
        lambda: next((a for a in [post(service, payload(wallet), key)] if a.status == 201), None)
    )

    assert answer.json()["response_code"] == "00"
    assert (book.balance(wallet), book.holds(wallet)) == (900, 1)


def test_expired_request_counts_by_stage(service, database, book):
    asked = payload(book.wallet(), effect="evaluate")
    before = service.metrics()
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE pay.wallet IN ACCESS EXCLUSIVE MODE")
        answer = post(service, asked, headers={"X-Request-Timeout-Ms": "100"})
        other.execute("COMMIT")

    assert (answer.status, problem(answer)) == (504, "deadline-exceeded")
    assert answer.json()["applied"] == "no"
    after = service.metrics()
    for labels in ({}, {"stage": "db"}):
        name = "http_deadline_exceeded_total"
        assert after.value(name, **labels) == before.value(name, **labels) + 1


def test_request_that_never_had_its_wallet_is_shed_as_busy(start_service, locked_wallet):
    service = start_service({**PATIENT, "LOCK_TIMEOUT_MS": "40"})
    wallet, _ = locked_wallet
    before = service.metrics()

    answer = post(service, payload(wallet), new_key())

    after = service.metrics()
    assert (answer.status, answer.header("Retry-After")) == (409, "1")
    for name, grown in (("http_requests_shed_total", 1), ("http_deadline_exceeded_total", 0)):
        assert after.value(name) == before.value(name) + grown


def test_budget_of_one_request_is_not_that_of_the_next(service, book, locked_wallet):
    wallet, _ = locked_wallet
    post(service, payload(wallet), new_key(), {"X-Request-Timeout-Ms": "100"})

    assert hold(service, book.wallet()).json()["response_code"] == "00"
