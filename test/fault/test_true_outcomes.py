"""What an answer without a decision says of the money is true: nothing moved, or nobody knows yet."""

import re
import threading
from contextlib import contextmanager

import pytest

from harness.faults import LOCK_WALLET, post_until_created
from harness.machine import seconds, wait_until
from harness.payments import hold, hold_bytes, new_key, payload, post, problem, void
from harness.service import PATIENT, SIMULATE
from harness.steps import STEPS, capture, held, rows, step

WAITING = "wait_event = 'SyncRep'"


class Canary(threading.Thread):
    """Another session that commits until a commit does not come back."""

    def __init__(self, database):
        super().__init__(daemon=True)
        self.database = database
        self.stopping = threading.Event()

    def run(self):
        while not self.stopping.is_set():
            self.database.run("SELECT pg_logical_emit_message(true, 'canary', '')")


@pytest.fixture
def stuck_commits(database):
    """A context in which commits are written and not confirmed: the server waits for a standby that
    does not exist. Nobody sees such a row before the wait is over."""

    def waiting():
        return database.value(f"SELECT count(*) FROM pg_stat_activity WHERE {WAITING}")

    @contextmanager
    def stuck():
        canary = Canary(database)
        database.run("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
        try:
            database.run("SELECT pg_reload_conf()")
            canary.start()
            wait_until(lambda: waiting() == 1, what="a commit that waits")
            yield
        finally:
            canary.stopping.set()
            database.run("ALTER SYSTEM RESET synchronous_standby_names")
            database.run("SELECT pg_reload_conf()")
            canary.join(seconds(10))
            wait_until(lambda: waiting() == 0, what="the end of the wait")

    return stuck


def told(answer):
    return answer.status, problem(answer), answer.json().get("applied")


def pool_is_whole(service):
    return service.metrics().value("pool_connections", state="idle") == 6



def counted(service):
    """(outcomes unknown, deadlines exceeded)."""
    metrics = service.metrics()
    return (
        metrics.value("payment_outcomes_total", outcome="unknown"),
        metrics.value("http_deadline_exceeded_total"),
    )


@pytest.mark.parametrize("ended_by", ["its deadline", "the connection's"])
def test_holds_with_a_stuck_commit_are_unknown_and_recorded(
    start_victim, book, stuck_commits, ended_by
):
    service = start_victim({"REQUEST_BUDGET_MS": "100" if ended_by == "its deadline" else "2000"})
    wallets, keys = [book.wallet(balance=1000) for _ in range(8)], [new_key() for _ in range(8)]
    before, answers, evaluated = counted(service), [], 0

    with stuck_commits():
        for wallet, key in zip(wallets, keys):
            with service.connect() as connection:
                connection.send(hold_bytes(wallet, key))
                wait_until(lambda: service.call("GET", SIMULATE).status == 200, 1, "an evaluation")
                evaluated += 1
                answers.append(connection.response())
            wait_until(lambda: pool_is_whole(service))
    recorded = [book.holds(wallet) for wallet in wallets]
    replies = [post_until_created(service, *pair) for pair in zip(wallets, keys)]

    replayed = [reply.header("Idempotent-Replayed") for reply in replies]
    print(f"   told {[told(answer) for answer in answers]}, recorded {recorded},"
          f" {evaluated} evaluations meanwhile, replayed {replayed}")  # fmt: skip
    assert [told(answer) for answer in answers] == [(504, "outcome-unknown", "unknown")] * 8
    assert all("same Idempotency-Key" in answer.json()["detail"] for answer in answers)
    assert recorded == [1] * 8
    assert replayed == ["true"] * 8
    assert [(book.balance(w), book.holds(w)) for w in wallets] == [(900, 1)] * 8
    assert counted(service) == (before[0] + 8, before[1])


def test_void_with_a_stuck_commit_is_unknown_and_recorded(start_victim, book, stuck_commits):
    service = start_victim()
    wallet = book.wallet(balance=1000)
    transaction = hold(service, wallet).json()["transaction_id"]

    with stuck_commits():
        answer = void(service, transaction)
    found = service.call("GET", f"{SIMULATE}/{transaction}").json()

    assert told(answer) == (504, "outcome-unknown", "unknown"), answer
    assert "Idempotency-Key" not in answer.json()["detail"]
    assert (found["voided"], book.balance(wallet)) == (True, 1000)


@pytest.mark.parametrize("name", STEPS)
def test_step_with_a_stuck_commit_is_unknown_and_replayed(
    start_victim, book, stuck_commits, name
):
    service = start_victim()
    wallet, key = book.wallet(balance=1000), new_key()
    transaction = held(service, wallet)
    assert capture(service, transaction, 100).status == 201

    with stuck_commits():
        answer = step(service, transaction, name, {"amount": 7}, key)

    def repeated():
        again = step(service, transaction, name, {"amount": 7}, key)
        return again if again.status // 100 == 2 else None

    again = wait_until(repeated, 10, "the repeat")
    assert told(answer) == (504, "outcome-unknown", "unknown"), answer
    assert "same Idempotency-Key" in answer.json()["detail"]
    assert again.header("Idempotent-Replayed") == "true"
    assert len(rows(book, wallet)) == 3


@pytest.fixture
def on_holds(database):
    """on_holds(wallet, body, when): a trigger of this PL/pgSQL on the records of the wallet."""

    def create(wallet, body, trigger="TRIGGER t AFTER INSERT ON pay.simulation"):
        deferred = "DEFERRABLE INITIALLY DEFERRED" if "CONSTRAINT" in trigger else ""
        database.run(
            f"CREATE FUNCTION pay.f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN {body};"
            " RETURN NEW; END $$;"
            f" CREATE {trigger} {deferred} FOR EACH ROW WHEN (NEW.wallet_id = {wallet})"
            " EXECUTE FUNCTION pay.f()"
        )

    yield create
    database.run("DROP TRIGGER IF EXISTS t ON pay.simulation; DROP FUNCTION IF EXISTS pay.f()")


@pytest.mark.parametrize("sqlstate", ["08006", "08007", "40003"])
def test_error_that_does_not_know_the_outcome_is_told_as_such(
    start_victim, database, book, on_holds, sqlstate
):
    """As a proxy says it whose own connection broke behind the statement."""
    service = start_victim(PATIENT)
    wallet, key = book.wallet(balance=1000), new_key()
    on_holds(wallet, f"RAISE EXCEPTION USING ERRCODE = '{sqlstate}'")

    answer = post(service, payload(wallet), key)
    database.run("DROP TRIGGER t ON pay.simulation")
    post_until_created(service, wallet, key)

    assert told(answer) == (504, "outcome-unknown", "unknown"), answer
    assert (book.balance(wallet), book.holds(wallet)) == (900, 1)


def test_locked_wallet_is_busy_for_holds_and_voids(start_victim, database, book):
    service = start_victim()
    wallet = book.wallet(balance=1000)
    transaction = hold(service, wallet).json()["transaction_id"]
    before = service.metrics()
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute(LOCK_WALLET, (wallet,))
        answers = [post(service, payload(wallet), new_key()), void(service, transaction)]
        rows = book.decisions(wallet), book.holds(wallet)

    assert [told(answer) for answer in answers] == [(409, "wallet-busy", "no")] * 2
    assert [answer.header("Retry-After") for answer in answers] == ["1", "1"]
    assert not any("Idempotency-Key" in answer.json()["detail"] for answer in answers)
    assert (rows, book.balance(wallet)) == ((1, 1), 900)
    grown = [
        service.metrics().value(name, **labels) - before.value(name, **labels)
        for name, labels in (
            ("http_requests_shed_total", {"reason": "busy"}),
            ("http_deadline_exceeded_total", {}),
            ("payment_outcomes_total", {"outcome": "busy"}),
        )
    ]
    assert grown == [2, 0, 1]  # the void is refused on arrival: its wallet is known to be locked


def test_time_of_the_commit_is_in_the_total_and_not_in_the_record(start_victim, book, on_holds):
    """What is stored with a decision was known before its commit."""
    service = start_victim(PATIENT)
    wallet, key = book.wallet(balance=1000), new_key()
    on_holds(wallet, "PERFORM pg_sleep(0.2)", "CONSTRAINT TRIGGER t AFTER INSERT ON pay.simulation")

    first, again = post(service, payload(wallet), key), post(service, payload(wallet), key)

    totals = [float(re.search(r"total;dur=([\d.]+)", answer.header("Server-Timing"))[1])
              for answer in (first, again)]  # fmt: skip
    stored = float(first.json()["processing_time_ms"])
    print(f"   processing_time_ms {stored}, total {totals[0]}, of the replay {totals[1]}")
    assert (first.status, again.header("Idempotent-Replayed")) == (201, "true")
    assert first.body == again.body
    assert stored < totals[0] - 200 + 1
    assert totals[0] >= 200
