"""Expired holds: released by whichever process is there, once, past whatever stands in the way."""

import json
import random
import signal
import threading
import time

import pytest

from harness.faults import LOCK_WALLET, NO_PROBES, terminate
from harness.invariants import assert_invariants
from harness.machine import in_threads, wait_until
from harness.overdue import forget_all, hold_overdue, make_overdue, releases, standing
from harness.payments import SEED, Book, hold, new_key, payload, post, problem, void
from harness.postgres import Database
from harness.service import PATIENT, SIMULATE, migrate

EAGER = {**PATIENT, "EXPIRY_INTERVAL_MS": "20"}
GENTLE = {**EAGER, "EXPIRY_SHARE_MAX": "3"}
"""A sweep that lasts long enough to be met under way."""
NEVER = {**PATIENT, "EXPIRY_SHARE_MAX": "0"}
KILLS_SEED = 11
MANY = 2_000


@pytest.fixture(scope="module")
def database(cluster, binary):
    """Of this file: so many holds would make every other test's look at the ledger long."""
    own = Database(cluster, "expiry")
    own.create()
    migrate(own)
    own.run(SEED)
    own.run("VACUUM ANALYZE")
    return own


@pytest.fixture(scope="module")
def own_wallets(database):
    return Book(database)


@pytest.fixture
def book(own_wallets):
    yield own_wallets
    assert_invariants(own_wallets.database)


@pytest.fixture(autouse=True)
def nothing_due(database, book):
    forget_all(database)
    yield
    forget_all(database)


@pytest.fixture
def backlog(database, book):
    """(wallets, holds): many expired holds, ten of each wallet."""
    wallets = book.many(MANY // 10, balance=10_000)
    return wallets, hold_overdue(database, wallets, each=10)


def transaction(answer):
    return answer.json()["transaction_id"]


def number_of(transaction_id):
    """As the database has it."""
    return transaction_id.removeprefix("txn_")


def capture(service, transaction_id, key=None):
    return service.call(
        "POST",
        f"{SIMULATE}/{transaction_id}/capture",
        {"Content-Type": "application/json", "Idempotency-Key": key or new_key()},
        b"{}",
    )


def assert_each_released_once(database, holds):
    assert releases(database, holds) == {own: [100] for own in holds}


def wait_until_released(database, holds, limit=30):
    wait_until(lambda: standing(database, holds) == 0, limit, "the release of all")
    assert_each_released_once(database, holds)


def wait_until_begun(database, holds):
    """Some are released, and more are not."""
    wait_until(lambda: 0 < standing(database, holds) < len(holds), 10, "the first releases")


def probes(service):
    """How often the database was asked how it is: a clock that needs no sleep."""
    return service.metrics().value("db_query_duration_seconds_count", query="probe")


def released_by(service):
    return service.metrics().value("expiry_released_total")


def test_expired_hold_is_released_and_told(database, book, start_service):
    wallet = book.wallet(balance=1_000)
    service = start_service(EAGER)
    answer = post(service, payload(wallet, 300, expires_in_s=1), new_key())
    assert answer.status == 201 and book.balance(wallet) == 700

    own = wait_until(lambda: released_by(service), 10, "the release")

    assert own == 1 and book.balance(wallet) == 1_000
    assert database.rows(
        "SELECT kind::text, amount, balance_after FROM pay.transfer WHERE hold_id = %s",
        number_of(transaction(answer)),
    ) == [("X", 300, 1_000)]
    (event,) = service.events("holds_expired")
    assert (event["released"], event["cleared"], event["left"]) == (1, 0, 0)
    refused = capture(service, transaction(answer))
    assert (refused.status, problem(refused)) == (409, "already-resolved")
    assert refused.json()["state"] == "expired"
    assert void(service, transaction(answer)).status == 409


def test_expired_hold_that_nobody_has_released_yet(database, book, start_service):
    """A capture is too late all the same; a void gives the money back, and nothing is left open."""
    wallet = book.wallet(balance=1_000)
    service = start_service(NEVER)
    answer = hold(service, wallet, 300)
    make_overdue(database, [number_of(transaction(answer))])

    refused = capture(service, transaction(answer))
    assert (refused.status, refused.json()["state"]) == (409, "expired")
    assert void(service, transaction(answer)).status == 200

    other = start_service(EAGER)
    wait_until(lambda: other.metrics().value("expiry_cleared_total") == 1, what="its clearing")
    assert released_by(other) == 0 and book.balance(wallet) == 1_000


def test_share_of_nothing_releases_nothing(database, book, start_service):
    holds = hold_overdue(database, [book.wallet()])
    service = start_service({**NEVER, "EXPIRY_INTERVAL_MS": "10", "DB_PROBE_INTERVAL_MS": "50"})

    wait_until(lambda: probes(service) > 5, what="some time")

    assert service.metrics().value("lane_batches_total", lane="expire") == 0
    assert standing(database, holds) == 1


def test_two_instances_release_each_hold_once(database, backlog, start_service):
    _, holds = backlog
    services = [start_service(EAGER) for _ in range(2)]

    wait_until_released(database, holds)

    assert sum(released_by(service) for service in services) == len(holds)


def test_hold_whose_statement_fails_stops_nobody_else(database, book, start_service):
    """The ledger has the wallet's next version already, so its release ends in 23505."""
    broken, *wallets = book.many(41, balance=1_000)
    broken_holds = hold_overdue(database, [broken], each=3, since_s=7200)
    holds = hold_overdue(database, wallets)
    database.run(
        "INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,"
        " wallet_version, balance_after, created_at)"
        " VALUES (gen_random_uuid(), -1000, %s, 1, 'F', 5, 1, now())",
        broken,
    )
    service = start_service(EAGER)
    try:
        wait_until_released(database, holds)
        page = wait_until(lambda: (page := service.metrics()).value("expiry_left") and page)
        assert page.value("expiry_left") == 3 and page.value("expiry_failed_total") > 0
        assert standing(database, broken_holds) == 3
        assert {event["sqlstate"] for event in service.events("expiry_failed")} == {"23505"}
    finally:
        database.run(
            "DELETE FROM pay.transfer WHERE credit_account = %s AND wallet_version = 5", broken
        )
    wait_until_released(database, broken_holds)


def test_killed_process_leaves_nothing_half_done(database, backlog, start_service):
    _, holds = backlog
    first = start_service(GENTLE)
    wait_until_begun(database, holds)
    first.kill()

    start_service(EAGER)

    wait_until_released(database, holds)


def test_lost_backends_lose_no_release_and_double_none(database, backlog, start_service):
    _, holds = backlog
    service = start_service({**GENTLE, **NO_PROBES})
    draw = random.Random(KILLS_SEED)
    wait_until_begun(database, holds)

    killed = 0
    while standing(database, holds) and killed < 20:
        busy = database.backends("state = 'active' AND query LIKE '%%expires_at%%'")
        if busy:
            terminate(database, [draw.choice(busy)])
            killed += 1

    wait_until_released(database, holds)
    assert killed > 0 and service.ready()


def test_drain_ends_the_sweep(database, backlog, start_service):
    _, holds = backlog
    service = start_service({**GENTLE, "DRAIN_DELAY_MS": "300"})
    wait_until_begun(database, holds)

    service.signal(signal.SIGTERM)

    assert service.wait() == 0
    left = standing(database, holds)
    assert left > 0
    told = sum(event["released"] for event in service.events("holds_expired"))
    assert told == len(holds) - left
    start_service(EAGER)
    wait_until_released(database, holds)


def test_sweep_stays_within_its_share(database, backlog, start_service):
    _, holds = backlog
    percent, connections = 2, 6
    service = start_service({**EAGER, "EXPIRY_SHARE_MAX": percent})
    wait_until_begun(database, holds)

    begun, at = service.metrics(), time.monotonic()
    wait_until(lambda: standing(database, holds) < MANY // 3, 60)
    page, took_s = service.metrics(), time.monotonic() - at

    used_s = page.value("lane_connection_seconds_total", lane="expire") - begun.value(
        "lane_connection_seconds_total", lane="expire"
    )
    longest_s = 0.1  # of a statement: one that ends after the first look
    assert 0 < used_s <= took_s * connections * percent / 100 * 1.05 + longest_s


def test_another_regions_holds_are_left_alone(database, book, start_service):
    holds = hold_overdue(database, [book.wallet()])
    before = book.fingerprint()
    service = start_service(
        {**EAGER, "REGION": "mx-central-1", "DB_PROBE_INTERVAL_MS": "50"}, ready=False
    )

    wait_until(lambda: probes(service) > 5, what="some time")

    assert book.fingerprint() == before
    assert standing(database, holds) == 1


def test_capture_against_expiry_has_one_order(database, book, start_service):
    """A hold's time ends while it is captured: it is captured or it expires, and all agree."""
    wallets = book.many(8, balance=1_000)
    service = start_service({**EAGER, "EXPIRY_INTERVAL_MS": "10"})
    holds = [transaction(hold(service, wallet)) for wallet in wallets for _ in range(10)]
    numbers = [number_of(own) for own in holds]
    ready = threading.Barrier(3)

    def play(index):
        ready.wait()
        if index == 0:
            for number in numbers:
                make_overdue(database, [number])
            return []
        return [(own, capture(service, own)) for own in holds[:: 1 if index == 1 else -1]]

    _, *told = in_threads(3, play)
    wait_until(lambda: standing(database, numbers) == 0, 10, "the visit to all")

    kinds = dict(
        database.rows(
            "SELECT replace(hold_id::text, '-', ''),"
            " string_agg(kind::text, '' ORDER BY wallet_version)"
            " FROM pay.transfer WHERE hold_id = ANY (%s) GROUP BY 1",
            numbers,
        )
    )
    assert set(kinds.values()) <= {"C", "X"} and len(kinds) == len(holds)
    statuses = {number: [] for number in kinds}
    for own, answer in (pair for pairs in told for pair in pairs):
        statuses[number_of(own)].append(
            (answer.status, json.loads(answer.body).get("state") if answer.status == 409 else None)
        )
    for number, answers in statuses.items():
        if kinds[number] == "X":
            assert answers == [(409, "expired")] * 2
        else:
            assert sorted(answers, key=str) in (
                [(201, None), (409, "captured")],
                [(201, None), (409, "expired")],
            )


def test_locked_wallet_with_many_expired_holds_stops_nobody_else(database, book, start_service):
    stuck = book.wallet(balance=10_000_000)
    stuck_holds = hold_overdue(database, [stuck], each=10_000, since_s=80_000)
    wallets = book.many(50, balance=1_000)
    holds = hold_overdue(database, wallets, each=4)
    with database.connect() as other, other.transaction():
        other.execute(LOCK_WALLET, (stuck,))
        service = start_service(EAGER)

        wait_until_released(database, holds)

        told = wait_until(lambda: (page := service.metrics()).value("expiry_left") and page, 20)
        assert told.value("expiry_left") == len(stuck_holds)
        assert 70_000 < told.value("expiry_overdue_seconds") < 90_000
        assert standing(database, stuck_holds) == len(stuck_holds)

    wait_until_released(database, stuck_holds)
    wait_until(lambda: service.metrics().value("expiry_overdue_seconds") == 0)
    assert service.metrics().value("expiry_left") == 0
