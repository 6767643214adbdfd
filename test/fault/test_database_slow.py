"""Locked rows and slow statements: an honest answer in time, nothing moved, nobody else held up."""

import threading

import pytest

from harness.faults import (
    BUDGET_S,
    LOCK_WALLET,
    NOTICE_S,
    closed_connections,
    own_backends,
    post_until_created,
    waits_in_memory,
)
from harness.http import timed
from harness.machine import in_threads, seconds, wait_until
from harness.payments import hold, hold_bytes, new_key, payload, post, problem
from harness.service import PATIENT


def test_locked_wallet_is_409_and_moves_nothing(start_victim, database, book):
    service = start_victim()
    wallet, key = book.wallet(balance=1000), new_key()
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute(LOCK_WALLET, (wallet,))
        duration, answer = timed(lambda: post(service, payload(wallet), key))
        rows = book.decisions(wallet), book.holds(wallet)

    assert (answer.status, problem(answer)) == (409, "wallet-busy"), answer
    assert (answer.json()["applied"], answer.header("Retry-After")) == ("no", "1")
    assert duration < BUDGET_S + seconds(NOTICE_S)
    assert rows == (0, 0)


def test_retry_after_a_locked_wallet_succeeds(start_victim, database, book):
    service = start_victim()
    wallet, key = book.wallet(balance=1000), new_key()
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute(LOCK_WALLET, (wallet,))
        post(service, payload(wallet), key)

    post_until_created(service, wallet, key)

    assert (book.balance(wallet), book.holds(wallet)) == (900, 1)


def test_locked_wallet_holds_up_nobody_else(start_victim, database, book):
    service = start_victim(PATIENT)
    locked, others = book.wallet(), [book.wallet() for _ in range(8)]
    with database.connect() as other, service.connect() as connection:
        other.execute("BEGIN")
        other.execute(LOCK_WALLET, (locked,))
        connection.send(hold_bytes(locked, new_key()))
        wait_until(lambda: waits_in_memory(service))

        answers = in_threads(8, lambda index: hold(service, others[index]))
        other.execute("COMMIT")
        last = connection.response()

    assert {answer.json()["response_code"] for answer in answers} == {"00"}
    assert last.status == 201


@pytest.fixture
def slow_wallet(database, book):
    """Every hold on this wallet takes longer than any budget."""
    wallet = book.wallet(balance=1000)
    database.run(f"""
        CREATE FUNCTION pay.be_slow() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(5); RETURN NEW; END $$;
        CREATE TRIGGER be_slow BEFORE INSERT ON pay.simulation FOR EACH ROW
          WHEN (NEW.wallet_id = {wallet}) EXECUTE FUNCTION pay.be_slow()""")
    yield wallet
    database.run("DROP TRIGGER IF EXISTS be_slow ON pay.simulation; DROP FUNCTION pay.be_slow()")


def test_slow_statement_is_504_in_time(start_victim, slow_wallet):
    service = start_victim()

    duration, answer = timed(lambda: post(service, payload(slow_wallet), new_key()))

    assert (answer.status, problem(answer)) == (504, "deadline-exceeded"), answer
    assert answer.json()["applied"] == "no"
    assert duration < BUDGET_S + seconds(NOTICE_S)


def test_connection_of_a_slow_statement_is_used_again(
    start_victim, slow_wallet, book, gate, database
):
    service = start_victim(url=database.url(port=gate.port))
    backends, closed = set(own_backends(gate, database)), closed_connections(service)

    post(service, payload(slow_wallet), new_key())
    wait_until(lambda: service.metrics().value("pool_connections", state="idle") == 6)

    assert closed_connections(service) == closed
    assert set(own_backends(gate, database)) == backends
    post_until_created(service, book.wallet(), new_key())


def test_slow_statement_leaves_no_trace_and_its_key_free(start_victim, slow_wallet, book, database):
    service = start_victim()
    key = new_key()
    post(service, payload(slow_wallet), key)
    wait_until(lambda: not database.backends("state = 'active'"))
    rows = book.decisions(slow_wallet), book.holds(slow_wallet)

    database.run("DROP TRIGGER be_slow ON pay.simulation")
    post_until_created(service, slow_wallet, key)

    assert rows == (0, 0)
    assert book.holds(slow_wallet) == 1


def test_queue_of_a_slow_wallet_is_refused_beyond_its_limit(start_victim, database, book):
    service = start_victim({**PATIENT, "LANE_QUEUE_MAX": "4"})
    wallet = book.wallet(balance=10**6)
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute(LOCK_WALLET, (wallet,))
        answers = []
        callers = [
            threading.Thread(
                target=lambda: answers.append(post(service, payload(wallet, 1), new_key())),
                daemon=True,
            )
            for _ in range(30)
        ]
        for caller in callers:
            caller.start()
        wait_until(lambda: [answer for answer in answers if answer.status == 503])
        other.execute("COMMIT")
        for caller in callers:
            caller.join(seconds(10))

    refused = [answer for answer in answers if answer.status == 503]
    created = [answer for answer in answers if answer.status == 201]
    assert len(refused) + len(created) == 30, {answer.status for answer in answers}
    assert {problem(answer) for answer in refused} == {"overloaded"}
    assert {answer.header("Retry-After") for answer in refused} == {"1"}
    assert book.holds(wallet) == len(created)


def test_reading_all_statements_may_take_longer_than_one_may_run(start_service):
    """A busy server takes its time; every new connection would be given up otherwise."""
    service = start_service({"STATEMENT_TIMEOUT_MS": "4", "LOCK_TIMEOUT_MS": "3"})

    assert service.events("pg_conn_down", reason="prepare") == []
