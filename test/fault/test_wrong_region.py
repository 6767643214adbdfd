"""Residency under fault: whatever the database turns into, nothing of one country reaches another's.

Two databases of one server: home is the service's own region's, abroad is another's. Both hold the
same wallets, so that a hold would be approved wherever it arrives.
"""

import signal

import pytest

from harness.faults import NO_PROBES, Load, post_until_created
from harness.invariants import assert_invariants
from harness.machine import wait_until
from harness.payments import SEED, evaluate, new_key, payload, post, problem, void
from harness.postgres import Database
from harness.service import PATIENT, SIMULATE, migrate

ABROAD = "mx-central-1"
HOLDS = 30
WALLET = 1
EAGER = {**PATIENT, "DB_PROBE_INTERVAL_MS": "50"}


def make(cluster, name, region):
    own = Database(cluster, name)
    own.create()
    migrate(own, region)
    own.run(SEED)
    return own


@pytest.fixture
def home(homes):
    yield homes[0]
    assert_invariants(homes[0])


@pytest.fixture
def abroad(homes):
    """Where nothing may ever arrive."""
    yield homes[1]
    assert written(homes[1]) == 0
    assert_invariants(homes[1])


@pytest.fixture(scope="module")
def homes(cluster):
    return make(cluster, "home", "eu-south-2"), make(cluster, "abroad", ABROAD)


def written(database):
    return database.value("SELECT count(*) FROM pay.simulation")


def refused(answer):
    return answer.status == 503 and problem(answer) == "wrong-region"


def hold(service):
    return post(service, payload(WALLET, 1), new_key())


def sent(service):
    """Statements of callers that were answered."""
    metrics = service.metrics()
    return sum(
        metrics.value("db_query_duration_seconds_count", query=query)
        for query in ("eval", "hold", "find", "void")
    )


def is_shut(service):
    return service.events("region_mismatch")


def guard(service):
    return [line["result"] for line in service.events("residency_guard")]


def is_told(service):
    (line,) = service.events("region_mismatch")
    return (line["database.region"], line["configured.region"]) == (ABROAD, "eu-south-2")


def region_becomes(database, region):
    database.run("UPDATE pay.region SET region = %s", region)


def exchange_names(first, second):
    """Whoever connects to the one reaches the other from now on; all sessions end."""
    with first.cluster.connect("postgres") as admin:
        for own in (first, second):
            admin.execute(f"ALTER DATABASE {own.name} ALLOW_CONNECTIONS false")
            admin.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE datname = %s",
                (own.name,),
            )
        admin.execute(f"ALTER DATABASE {first.name} RENAME TO neither")
        admin.execute(f"ALTER DATABASE {second.name} RENAME TO {first.name}")
        admin.execute(f"ALTER DATABASE neither RENAME TO {second.name}")
        first.name, second.name = second.name, first.name
        for own in (first, second):
            admin.execute(f"ALTER DATABASE {own.name} ALLOW_CONNECTIONS true")


def test_another_regions_database_is_sent_nothing_but_probes(start_service, home, abroad):
    service = start_service(EAGER, ready=False, url=abroad.url())
    wait_until(lambda: is_shut(service), what="the guard")
    wait_until(lambda: service.metrics().value("pool_connections", state="idle") == 6)

    answers = [hold(service) for _ in range(HOLDS)]
    unknown = f"txn_{'0' * 12}7{'0' * 3}8{'0' * 15}"
    answers += [evaluate(service, WALLET), void(service, unknown)]
    answers.append(service.call("GET", f"{SIMULATE}/{unknown}"))

    rows = written(abroad)
    print(f"answers {[a.status for a in answers]}, sent {sent(service)}, rows {rows}")
    assert all(refused(answer) for answer in answers)
    assert all(answer.header("Retry-After") == "1" for answer in answers)
    assert (sent(service), rows) == (0, 0)
    assert service.metrics().value("http_requests_shed_total", reason="region") == len(answers)
    assert service.metrics().value("database_wrong_region") == 1
    assert is_told(service) and guard(service) == ["shut"]


def test_region_that_changes_while_nobody_looks_is_seen_by_the_statement(start_service, home):
    service = start_service({**PATIENT, **NO_PROBES}, url=home.url())
    post_until_created(service, WALLET, new_key(), 1)
    before = written(home)

    region_becomes(home, ABROAD)
    try:
        first = hold(service)
        wait_until(lambda: is_shut(service), what="the guard, long before the next interval")
        others = [hold(service) for _ in range(HOLDS - 1)]
        rows = written(home) - before
        elsewhere = service.metrics().value("payment_outcomes_total", outcome="elsewhere")
    finally:
        region_becomes(home, "eu-south-2")

    print(f"{HOLDS} holds: {rows} written, {elsewhere} stopped by the statement")
    assert rows == 0
    assert refused(first) and all(refused(answer) for answer in others)
    assert elsewhere == 1


@pytest.mark.parametrize("what", ["evaluate", "find", "void"])
def test_no_statement_reads_another_region(start_service, home, what):
    """Each kind of statement is the first to meet it."""
    service = start_service({**PATIENT, **NO_PROBES}, url=home.url())
    txn = post_until_created(service, WALLET, new_key(), 1).json()["transaction_id"]

    region_becomes(home, ABROAD)
    try:
        if what == "evaluate":
            answer = evaluate(service, WALLET)
        elif what == "find":
            answer = service.call("GET", f"{SIMULATE}/{txn}")
        else:
            answer = void(service, txn)
    finally:
        region_becomes(home, "eu-south-2")

    assert refused(answer), answer.text
    assert home.value("SELECT count(*) FROM pay.transfer WHERE kind = 'V'") == 0


def test_another_database_under_the_same_name_gets_nothing(start_service, home, abroad):
    service = start_service(EAGER, url=home.url())
    with Load(service, [1, 2, 3]) as load:
        exchange_names(home, abroad)
        try:
            wait_until(lambda: is_shut(service), 10, "the guard")
            told = len(load.told)
            wait_until(lambda: len(load.told) > told + 50, what="more holds")
            rows, told = written(abroad), load.told[told:]
        finally:
            exchange_names(home, abroad)
        wait_until(service.ready, 10, "readiness at home")

    answered = {status for _, _, status in told}
    print(f"{len(told)} holds while it was shut: {answered}, {rows} rows abroad")
    assert rows == 0 and answered == {503}
    post_until_created(service, WALLET, new_key(), 1)
    assert guard(service) == ["shut", "open"]


def test_credentials_that_lead_abroad_write_nothing_there(start_service, home, abroad, tmp_path):
    """The URL's file changes; for a while connections of both databases are in the pool."""
    file = tmp_path / "url"
    file.write_text(home.url())
    settings = {**EAGER, "DATABASE_URL": None, "DATABASE_URL_FILE": str(file)}
    service = start_service(settings)
    with Load(service, [1, 2, 3]) as load:
        file.write_text(abroad.url())
        service.signal(signal.SIGHUP)
        wait_until(lambda: is_shut(service), 10, "the guard")
        told = len(load.told)
        wait_until(lambda: len(load.told) > told + 50, what="more holds")
        rows = written(abroad)
        file.write_text(home.url())
        service.signal(signal.SIGHUP)
        wait_until(service.ready, 10, "readiness at home")

    print(f"{len(load.told)} holds, {rows} rows abroad, answers {load.statuses()}")
    assert rows == 0
    assert load.statuses() <= {201, 503}
    post_until_created(service, WALLET, new_key(), 1)
