"""The database goes away, is killed and meddled with, for real; the service lives through it."""

import statistics
import threading

import pytest

from harness.faults import (
    NO_PROBES,
    SESSIONS,
    Load,
    full_again,
    hold_up,
    own_backends,
    own_pool_backends,
    own_probe_backends,
    post_until_created,
    terminate,
    waits_in_server,
)
from harness.http import timed
from harness.machine import seconds, wait_until
from harness.payments import evaluate, hold_bytes, new_key, payload, post, problem
from harness.service import PATIENT, SIMULATE

# Away


@pytest.fixture
def stopped_cluster(cluster):
    """The cluster is down until the test, or its end, starts it again."""
    cluster.stop()
    yield cluster
    if not (cluster.data / "postmaster.pid").exists():
        cluster.start()


def test_service_starts_without_its_database_and_is_ready_soon_after_it(
    start_service, stopped_cluster
):
    service = start_service(ready=False)
    assert (service.probe("/livez"), service.probe("/readyz")) == (200, 503)

    stopped_cluster.start()

    wait_until(service.ready, 2, "readiness within 2 s")


def test_database_away_is_503_at_once(start_victim, cluster):
    service = start_victim()
    cluster.stop()
    try:
        wait_until(lambda: service.probe("/readyz") == 503)
        calls = [timed(lambda: service.call("GET", SIMULATE)) for _ in range(50)]
        held = post(service, payload(1), new_key())
    finally:
        cluster.start()

    assert {answer.status for _, answer in calls} == {503}
    assert {problem(answer) for _, answer in calls} == {"database-unavailable"}
    assert all(int(answer.header("Retry-After")) >= 1 for _, answer in calls)
    assert statistics.median(duration for duration, _ in calls) < seconds(0.005)
    assert (held.status, problem(held)) == (503, "database-unavailable")
    wait_until(service.ready, 2, "readiness within 2 s")


def test_database_away_leaves_the_process_alive_and_honest(start_victim, cluster):
    service = start_victim()
    cluster.stop()
    try:
        wait_until(lambda: service.probe("/readyz") == 503)
        alive, health = service.probe("/livez"), service.call("GET", "/health", key=None)
        info, metrics = service.probe("/info"), service.metrics()
    finally:
        cluster.start()

    assert (alive, info, health.status) == (200, 200, 200)
    assert (health.json()["status"], health.json()["database"]) == ("degraded", "disconnected")
    assert metrics.value("pool_breaker_state") == 1


@pytest.mark.parametrize("mode", ["fast", "immediate"])
def test_restart_under_load_loses_and_doubles_nothing(start_victim, cluster, book, mode):
    service = start_victim()
    wallets = [book.wallet(balance=10**6) for _ in range(4)]

    with Load(service, wallets) as load:
        cluster.stop(mode)
        cluster.start()
        wait_until(service.ready, 2, "readiness within 2 s")
        answered = len(load.told)
        wait_until(lambda: [status for *_, status in load.told[answered:]].count(201) > 20)

    assert load.statuses() <= {201, 409, 503, 504}
    for wallet, key, status in load.told:
        if status != 201:
            post_until_created(service, wallet, key, 1)
    assert sum(book.holds(wallet) for wallet in wallets) == len(load.told)


# Backends killed


def test_idle_backends_killed_one_by_one_fail_no_request(start_victim, gate, database):
    service = start_victim(PATIENT, url=database.url(port=gate.port))
    statuses = []
    done = threading.Event()

    def call():
        while not done.is_set():
            statuses.append(service.call("GET", SIMULATE).status)

    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    for pid in own_pool_backends(gate, database):
        connects = service.metrics().value("pool_connects_total")
        terminate(database, [pid])
        wait_until(lambda: full_again(service, connects + 1))
    done.set()
    caller.join(seconds(10))

    assert set(statuses) == {200}


def test_all_idle_backends_killed_at_once_are_replaced(start_victim, gate, database):
    service = start_victim({**PATIENT, **NO_PROBES}, url=database.url(port=gate.port))
    before = service.metrics().value("pool_connects_total")

    terminate(database, own_backends(gate, database))
    wait_until(lambda: full_again(service, before + 6))

    assert service.call("GET", SIMULATE).status == 200


def test_killed_probe_is_replaced_and_nobody_notices(start_victim, gate, database):
    service = start_victim(url=database.url(port=gate.port))
    (before,) = own_probe_backends(gate, database)

    terminate(database, [before])
    statuses = []

    def replaced():
        statuses.append(service.probe("/readyz"))
        return [pid for pid in own_probe_backends(gate, database) if pid != before]

    wait_until(replaced, what="another session of the probe")
    assert set(statuses) == {200}


def test_backend_killed_while_a_hold_waits_never_debits_twice(start_victim, database, book):
    service = start_victim(PATIENT)
    wallet, key = book.wallet(balance=1000), new_key()
    with database.connect() as other, service.connect() as connection:
        hold_up(other, "server", wallet)
        connection.send(hold_bytes(wallet, key))
        (pid,) = wait_until(lambda: waits_in_server(database))
        terminate(database, [pid])
        wait_until(lambda: pid not in database.backends())
        other.execute("COMMIT")
        answer = connection.response()

    post_until_created(service, wallet, key)

    assert answer.status in (201, 503, 504), answer
    assert (book.balance(wallet), book.holds(wallet)) == (900, 1)


def test_backend_killed_while_it_reads_is_hidden_by_a_retry(start_victim, database, book):
    service = start_victim(PATIENT)
    wallet = book.wallet(balance=1000)
    answers = []
    with database.connect() as other:
        other.execute("BEGIN")
        other.execute("LOCK TABLE pay.wallet IN ACCESS EXCLUSIVE MODE")
        caller = threading.Thread(
            target=lambda: answers.append(evaluate(service, wallet)), daemon=True
        )
        caller.start()
        (pid,) = wait_until(
            lambda: database.backends("wait_event_type = 'Lock' AND query LIKE '%%country%%'")
        )
        terminate(database, [pid])
        wait_until(lambda: pid not in database.backends())
        other.execute("COMMIT")
    caller.join(seconds(10))

    assert [answer.status for answer in answers] == [200]


def test_backends_killed_again_and_again_under_load_lose_and_double_nothing(
    start_victim, database, book
):
    service = start_victim()
    wallets = [book.wallet(balance=10**6) for _ in range(4)]

    with Load(service, wallets) as load:
        for _ in range(15):
            count = len(load.told)
            terminate(database, database.backends("state = 'active'"))
            wait_until(lambda: len(load.told) > count + 3)

    assert load.statuses() <= {201, 409, 503, 504}
    for wallet, key, status in load.told:
        if status != 201:
            post_until_created(service, wallet, key, 1)
    assert sum(book.holds(wallet) for wallet in wallets) == len(load.told)


# Behind its back


@pytest.mark.parametrize("statement", ["DISCARD ALL", "DEALLOCATE ALL"])
def test_statements_discarded_behind_its_back_are_prepared_again(
    start_victim, gate, database, book, statement
):
    service = start_victim({**PATIENT, **NO_PROBES}, url=database.url(port=gate.port))
    wallet = book.wallet(balance=1000)
    links = gate.idle_links()
    assert len(links) == SESSIONS

    for link in links:
        link.inject(statement)
    read = [evaluate(service, wallet).status for _ in range(3)]
    written = [post(service, payload(wallet), new_key()).status for _ in range(3)]

    assert (read, written) == ([200] * 3, [201] * 3)
    assert service.metrics().value("pool_reprepare_total") > 0
    assert book.holds(wallet) == 3


def test_read_only_database_refuses_holds_without_losing_them(start_victim, database, book):
    service = start_victim()
    wallet, key = book.wallet(balance=1000), new_key()
    database.run("ALTER DATABASE pay SET default_transaction_read_only = on")
    try:
        terminate(database, database.backends())
        wait_until(lambda: service.probe("/readyz") == 503)
        answer = post(service, payload(wallet), key)
    finally:
        with database.cluster.connect("postgres") as admin:
            admin.execute("ALTER DATABASE pay RESET default_transaction_read_only")

    assert answer.status in (503, 504)
    post_until_created(service, wallet, key)
    assert book.holds(wallet) == 1
