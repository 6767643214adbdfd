"""`payment-latency-api audit`: a whole ledger passes, also under load, and each damage is found for
what it is, with the rights of operations and no more."""

import itertools
import re
import threading

import psycopg
import pytest

from harness.audit import BROKEN, LINE, NOT_DONE, WHOLE, audit, broken
from harness.invariants import INVARIANTS, violations
from harness.machine import BINARY, BUILD, in_threads, wait_until
from harness.payments import SEED, Book, new_key, payload, post, post_headers
from harness.postgres import OPS_ROLE, Database
from harness.service import API_KEY, PATIENT, SIMULATE, Service, migrate
from harness.statements import Hold, Session, Step

CONFIG_ERROR, USAGE = 78, 64
numbers = itertools.count(1)


def step(service, hold, verb, body):
    answer = service.call(
        "POST",
        f"{SIMULATE}/txn_{hold}/{verb}",
        post_headers(new_key()),
        body.encode(),
    )
    assert answer.status in (200, 201), answer
    return answer


def hold(service, wallet, amount, **changes):
    answer = post(service, payload(wallet, amount, **changes), new_key())
    assert answer.status == 201, answer
    return answer.json()["transaction_id"].removeprefix("txn_")


def live(service, wallet):
    """Every kind of step that a caller can have, on one wallet; the holds by how they ended."""
    whole, parts, undone, open_ = (hold(service, wallet, amount) for amount in (500, 900, 700, 300))
    hold(service, wallet, 10**9)  # declined
    step(service, whole, "capture", "{}")
    step(service, whole, "refund", '{"amount": 120}')
    step(service, parts, "increment", '{"amount": 100}')
    step(service, parts, "increment", '{"amount": 10000000000}')  # declined
    step(service, parts, "capture", '{"amount": 250}')
    step(service, parts, "void", '{"amount": 50}')
    step(service, parts, "capture", '{"amount": 300, "final": true}')
    step(service, undone, "void", "{}")
    return {"whole": whole, "parts": parts, "undone": undone, "open": open_}


def make(cluster, name):
    own = Database(cluster, name)
    own.create()
    migrate(own)
    own.run(SEED)
    return own


@pytest.fixture(scope="module")
def books(cluster, binary):
    """A database nobody is connected to, with the whole lives of some holds in it."""
    own = make(cluster, "audit_books")
    own.run("UPDATE pay.program SET over_capture_bps = 2000 WHERE program_id = 1")
    service = Service(own.url(), PATIENT).start()
    try:
        own.holds = live(service, Book(own).wallet())
        tipped = hold(service, 100_000, 1_000)
        step(service, tipped, "capture", '{"amount": 1150}')
        live(service, 8)
    finally:
        service.stop()
    own.run("VACUUM ANALYZE")
    return own


@pytest.fixture
def copy(books):
    own = Database(books.cluster, f"audit_copy_{next(numbers)}")
    with books.cluster.connect("postgres") as admin:
        admin.execute(f"CREATE DATABASE {own.name} TEMPLATE {books.name}")
    own.holds = books.holds
    own.run("TRUNCATE pay.audit_run")
    yield own
    with books.cluster.connect("postgres") as admin:
        admin.execute(f"DROP DATABASE {own.name} WITH (FORCE)")


def counts(database):
    return [
        database.value(f"SELECT count(*) FROM pay.{table}")
        for table in ("wallet", "simulation", "transfer")
    ]


def test_whole_books_pass_and_it_says_what_it_looked_at(books):
    done = audit(books)

    assert (done.returncode, done.stderr) == (WHOLE, ""), done.stdout + done.stderr
    lines = done.stdout.splitlines()
    looked = [int(number) for number in re.findall(r"\d+", lines[1])[:3]]
    assert looked == counts(books)
    assert lines[0] == "ledger of eu-south-2, whole"
    assert lines[-1] == "the ledger is whole"


def test_its_rules_are_those_of_the_tests(books):
    told = LINE.findall(audit(books).stdout)

    assert [f"{name} {rule}" for name, _, rule in told] == list(INVARIANTS)


@pytest.mark.parametrize("rows", [1, 2, 7])
def test_borders_of_batches_are_no_breach(books, rows):
    done = audit(books, AUDIT_BATCH_ROWS=rows)

    assert done.returncode == WHOLE
    assert [int(number) for number in re.findall(r"\d+", done.stdout.splitlines()[1])[:3]] == counts(
        books
    )


# One damage each, on the rows of one wallet, and the invariants that it breaks: that one, and
# where a ledger cannot be wrong in one way alone, what follows from it.

WALLET = 100_000
OF_WALLET = f"greatest(debit_account, credit_account) = {WALLET}"
NEWEST = f"wallet_version = (SELECT version FROM pay.wallet WHERE wallet_id = {WALLET})"
DAMAGE = {
    "balance without a ledger row": (
        "I1",
        f"UPDATE pay.wallet SET balance = balance + 1 WHERE wallet_id = {WALLET}",
    ),
    "version without a ledger row": (
        "I1",
        f"UPDATE pay.wallet SET version = version + 1 WHERE wallet_id = {WALLET}",
    ),
    "approved hold turned into a declined one": (
        "I2",
        "UPDATE pay.simulation SET code = '51' WHERE txn_id = %(open)s",
    ),
    "declined hold turned into an approved one": (
        "I2",
        f"UPDATE pay.simulation SET code = '00' WHERE wallet_id = {WALLET} AND code <> '00'"
        " AND effect = 'H'",
    ),
    "hold without its decision": (
        "I3",
        "DELETE FROM pay.simulation WHERE txn_id = %(open)s",
    ),
    "refund without its decision": (
        "I3",
        "DELETE FROM pay.simulation WHERE hold_id = %(whole)s AND effect = 'R'",
    ),
    "release behind no capture": (
        "I3",
        "DELETE FROM pay.simulation WHERE hold_id = %(undone)s AND effect = 'V'",
    ),
    "key decided twice": (
        "I4",
        "DROP INDEX pay.simulation_idem_hash; CREATE INDEX ON pay.simulation (client_id, idem_hash);"
        " INSERT INTO pay.simulation (txn_id, client_id, idem_hash, fingerprint, wallet_id, amount,"
        " currency, mcc, effect, code, balance_after, processing_us, created_at)"
        " SELECT gen_random_uuid(), client_id, idem_hash, fingerprint, wallet_id, amount, currency,"
        " mcc, 'H', '51', balance_after, 0, now() FROM pay.simulation WHERE txn_id = %(open)s",
    ),
    "gap in the versions": (
        "I5",
        f"UPDATE pay.transfer SET wallet_version = wallet_version + 100 WHERE {OF_WALLET}"
        " AND kind IN ('H') AND txn_id = %(open)s;"
        f" UPDATE pay.wallet SET version = (SELECT max(wallet_version) FROM pay.transfer WHERE {OF_WALLET}),"
        " balance = (SELECT balance_after FROM pay.transfer WHERE txn_id = %(open)s)"
        f" WHERE wallet_id = {WALLET}",
    ),
    "entry that starts elsewhere": (
        "I5",
        f"UPDATE pay.transfer SET balance_after = balance_after + 1 WHERE {OF_WALLET} AND kind = 'F'",
    ),
    "decision of another amount": (
        "I6",
        "UPDATE pay.simulation SET amount = amount + 1 WHERE txn_id = %(open)s",
    ),
    "decision of another wallet": (
        "I6",
        "UPDATE pay.simulation SET wallet_id = 9 WHERE txn_id = %(open)s",
    ),
    "decision of another balance": (
        "I6",
        "UPDATE pay.simulation SET balance_after = balance_after + 1"
        " WHERE hold_id = %(parts)s AND effect = 'I' AND code = '00'",
    ),
    "step of another hold's": (
        "I6",
        "UPDATE pay.simulation SET hold_id = %(open)s WHERE hold_id = %(whole)s AND effect = 'R'",
    ),
    "negative balance": (
        "I1 I7",
        "ALTER TABLE pay.wallet DROP CONSTRAINT wallet_balance_check;"
        f" UPDATE pay.wallet SET balance = -1 WHERE wallet_id = {WALLET}",
    ),
    "day's counter": (
        "I8",
        f"UPDATE pay.wallet SET day_spent = day_spent + 1 WHERE wallet_id = {WALLET}",
    ),
    "count of the day": (
        "I8",
        f"UPDATE pay.wallet SET day_count = day_count - 1 WHERE wallet_id = {WALLET}",
    ),
    "month's counter": (
        "I8",
        f"UPDATE pay.wallet SET month_spent = month_spent - 1 WHERE wallet_id = {WALLET}",
    ),
    "wallet that is gone": (
        "I9",
        "DELETE FROM pay.wallet WHERE wallet_id = 900",
    ),
    "money that no account gives": (
        "I5 I9",
        "INSERT INTO pay.transfer VALUES (gen_random_uuid(), -5, -6, 1, 'F', 1, 1, now());"
        " UPDATE pay.transfer SET balance_after = 2 WHERE credit_account = -6",
    ),
    "step of no hold": (
        "I10 I11",
        "UPDATE pay.transfer SET hold_id = txn_id WHERE hold_id = %(whole)s AND kind = 'R';"
        " UPDATE pay.simulation SET hold_id = txn_id WHERE hold_id = %(whole)s AND effect = 'R'",
    ),
    "step that names no hold": (
        "I6 I10",
        "ALTER TABLE pay.transfer DROP CONSTRAINT transfer_kind_check;"
        " UPDATE pay.transfer SET hold_id = NULL WHERE hold_id = %(whole)s AND kind = 'R'",
    ),
    "step between other accounts": (
        "I10",
        "UPDATE pay.transfer SET debit_account = -77 WHERE hold_id = %(whole)s AND kind = 'R'",
    ),
    "hold that does not say that it is resolved": (
        "I10",
        "UPDATE pay.transfer SET pending_id = NULL WHERE pending_id = %(undone)s",
    ),
    "step that recorded other amounts": (
        "I11",
        "UPDATE pay.simulation SET authorised = authorised + 1"
        " WHERE hold_id = %(parts)s AND effect = 'I' AND code = '00'",
    ),
    "more captured than was held": (
        "I6 I11",
        "UPDATE pay.transfer SET amount = amount + 1 WHERE hold_id = %(whole)s AND kind = 'C'",
    ),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_found_and_nothing_else(copy, name):
    expected, statements = DAMAGE[name]
    with copy.connect() as connection:
        for statement in statements.split(";"):
            connection.execute(statement, copy.holds)

    done = audit(copy)

    assert set(broken(done)) == set(expected.split()), done.stdout
    assert (done.returncode, done.stdout.splitlines()[-1]) == (BROKEN, "the ledger is broken")


def test_every_invariant_has_its_damage():
    broken_by_tests = {invariant for expected, _ in DAMAGE.values() for invariant in expected.split()}

    assert broken_by_tests == {name.split()[0] for name in INVARIANTS}


def test_offenders_are_named_and_counted(copy):
    copy.run("UPDATE pay.wallet SET balance = balance + 1 WHERE wallet_id BETWEEN 101 AND 120")

    done = audit(copy, AUDIT_BATCH_ROWS=4)

    count, named = broken(done)["I1"]
    assert count == 20
    assert named[0] == "wal_101" and len(named) == 5


# What it may do, and what it leaves behind.


def test_it_changes_nothing_but_its_own_record(books):
    before = Book(books).fingerprint()

    assert audit(books).returncode == WHOLE

    assert Book(books).fingerprint() == before


def test_a_run_is_on_record(copy):
    copy.run("UPDATE pay.wallet SET balance = balance + 1 WHERE wallet_id = 7")

    done = audit(copy)

    (run,) = copy.rows(
        "SELECT since, finished_at >= started_at, wallets, decisions, entries, breaches, report"
        " FROM pay.audit_run"
    )
    assert run[:2] == (None, True)
    assert list(run[2:5]) == counts(copy)
    assert run[5] == 1
    assert run[6] in done.stdout and "wal_7" in run[6]


OPS_MAY_NOT = [
    "UPDATE pay.transfer SET amount = 1",
    "DELETE FROM pay.transfer",
    "INSERT INTO pay.transfer SELECT * FROM pay.transfer LIMIT 1",
    "UPDATE pay.simulation SET code = '00'",
    "UPDATE pay.simulation SET txn_id = txn_id",
    "UPDATE pay.wallet SET balance = 1",
    "DELETE FROM pay.wallet",
    "SELECT * FROM pay.idempotency_secret",
    "DELETE FROM pay.audit_run",
    "UPDATE pay.region SET region = 'x'",
    "CREATE TABLE pay.mine (x int)",
]


@pytest.mark.parametrize("statement", OPS_MAY_NOT)
def test_role_of_operations_may_not(books, statement):
    with books.connect(OPS_ROLE) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(statement)


@pytest.mark.parametrize("file", sorted((BUILD / "sql" / "ops").glob("*.sql")), ids=lambda f: f.stem)
def test_the_binary_holds_the_statement_and_the_role_may_prepare_it(books, file):
    text = file.read_text(encoding="utf-8")

    assert b"\0" + text.encode() + b"\0" in BINARY.read_bytes()
    with books.connect(OPS_ROLE) as connection:
        connection.execute(f"PREPARE statement AS {text}")


def test_another_regions_ledger_is_not_looked_at(books):
    done = audit(books, REGION="mx-central-1")

    assert (done.returncode, done.stdout) == (NOT_DONE, "")
    assert "eu-south-2" in done.stderr and "mx-central-1" in done.stderr


def test_schema_that_it_does_not_know_is_not_looked_at(copy):
    copy.run("INSERT INTO pay.schema_migration VALUES (9999, 'later', '')")

    done = audit(copy)

    assert (done.returncode, done.stdout) == (NOT_DONE, "")
    assert "9999" in done.stderr


def test_database_that_is_away_is_no_broken_ledger(books):
    done = audit(books, DATABASE_URL="postgresql://pay_ops:open-sesame@127.0.0.1:1/pay")

    assert done.returncode == NOT_DONE
    assert done.stderr.startswith("audit: no connection") and "open-sesame" not in done.stderr


# --since


def test_newer_rows_only(copy):
    copy.run(
        "UPDATE pay.simulation SET txn_id = overlay(txn_id::text placing '00000000-0000' from 1"
        " for 13)::uuid WHERE txn_id = %(hold)s".replace("%(hold)s", "%s"),
        copy.holds["open"],
    )

    recent, whole = audit(copy, "--since", "1h"), audit(copy)

    # The old decision has lost its ledger row, which a look at newer ones cannot see; the new row
    # has lost its decision.
    assert set(broken(recent)) == {"I3"}
    assert set(broken(whole)) == {"I2", "I3"}
    assert recent.stdout.startswith("ledger of eu-south-2, since 20")


def test_every_wallet_is_looked_at_whatever_since(copy):
    copy.run("UPDATE pay.wallet SET balance = balance + 1 WHERE wallet_id = 7")

    done = audit(copy, "--since", "2099-01-01T00:00:00Z")

    assert set(broken(done)) == {"I1"}
    assert " 1001 wallets, 0 decisions, " in done.stdout


def test_since_last_goes_back_to_the_last_run_that_found_nothing(copy):
    first = audit(copy, "--since", "last")
    begun = copy.value("SELECT started_at::text FROM pay.audit_run")
    second = audit(copy, "--since", "last")

    assert first.stdout.startswith("ledger of eu-south-2, whole\n")
    assert second.stdout.startswith("ledger of eu-south-2, since 20")
    assert copy.value("SELECT max(since)::text FROM pay.audit_run") == begun
    assert (first.returncode, second.returncode) == (WHOLE, WHOLE)


def test_since_last_does_not_go_on_behind_a_run_that_found_something(copy):
    audit(copy)
    begun = copy.value("SELECT started_at FROM pay.audit_run")
    copy.run("UPDATE pay.wallet SET balance = balance + 1 WHERE wallet_id = 7")

    results = [audit(copy, "--since", "last") for _ in range(2)]

    assert [done.returncode for done in results] == [BROKEN, BROKEN]
    assert copy.rows("SELECT since FROM pay.audit_run ORDER BY 1 DESC NULLS LAST LIMIT 2") == [
        (begun,),
        (begun,),
    ]


@pytest.mark.parametrize("since", ["", "yesterweek", "26x", "-3h", "2026-13-01"])
def test_since_that_is_none_is_a_wrong_usage(books, since):
    assert audit(books, "--since", since).returncode == USAGE


@pytest.mark.parametrize(
    "words", [("--since",), ("--until", "1h"), ("now",), ("--since", "1h", "2h")], ids=str
)
def test_other_words_are_a_wrong_usage(books, words):
    assert audit(books, *words).returncode == USAGE


def test_wrong_settings_are_explained(books):
    done = audit(books, AUDIT_BATCH_ROWS=0)

    assert done.returncode == CONFIG_ERROR
    assert " AUDIT_BATCH_ROWS: " in done.stderr


# While payments go on


def test_payments_that_are_made_meanwhile_are_no_breach(cluster, binary):
    busy = make(cluster, "audit_busy")
    service = Service(busy.url(), PATIENT).start()
    done, stop = [], threading.Event()

    def pay(index):
        rounds = 0
        while not stop.is_set():
            live(service, 1 + (rounds + index) % 3)
            rounds += 1
        return rounds

    def watch():
        for rows in (30, 300, 2000) * 2:
            done.append(audit(busy, AUDIT_BATCH_ROWS=rows))
        for _ in range(4):
            done.append(audit(busy, "--since", "last", AUDIT_BATCH_ROWS=100))

    def run(index):
        if index > 0:
            return pay(index)
        try:
            watch()
        finally:
            stop.set()
        return 0

    try:
        rounds = in_threads(7, run)
    finally:
        service.stop()

    assert [(run.returncode, broken(run)) for run in done] == [(WHOLE, {})] * len(done)
    assert min(rounds[1:]) > 0
    with busy.connect() as connection:
        assert violations(connection) == {}


# What the service tells of it


def test_the_last_runs_are_on_the_metrics_page(copy, start_service):
    service = start_service(url=copy.url())

    def told(name, scope):
        return service.metrics().value(name, scope=scope)

    def finished(scope):
        return told("ledger_audit_timestamp_seconds", scope)

    assert [finished(scope) for scope in ("whole", "recent")] == [0, 0]

    audit(copy)
    wait_until(lambda: finished("whole") > 0)
    assert told("ledger_audit_breaches", "whole") == 0
    copy.run("UPDATE pay.wallet SET balance = balance + 1 WHERE wallet_id IN (7, 8)")
    audit(copy, "--since", "1h")
    wait_until(lambda: told("ledger_audit_breaches", "recent") == 2)
    copy.run("UPDATE pay.wallet SET balance = balance - 1 WHERE wallet_id IN (7, 8)")
    audit(copy, "--since", "1h")
    # What was found stays told until the whole ledger was found whole.
    assert told("ledger_audit_breaches", "recent") == 2
    audit(copy)
    wait_until(lambda: told("ledger_audit_breaches", "recent") == 0)
    assert (told("ledger_audit_breaches", "whole"), finished("recent")) == (0, 0)
    last = copy.value("SELECT extract(epoch FROM max(finished_at))::int8 FROM pay.audit_run")
    assert finished("whole") == last


def test_what_was_given_back_counts_in_its_order(copy):
    """Of yesterday's hold: a void that gives the day nothing, and an increment that counts whole."""
    own = Session(copy)
    try:
        (held,) = own.hold("hold_batch", [Hold(9, 1_000)])
        copy.run(
            "UPDATE pay.transfer SET created_at = created_at - interval '1 day' WHERE txn_id = %s",
            held.txn,
        )
        copy.run(
            "UPDATE pay.wallet SET day_spent = 0, day_count = 0, month_spent ="
            " CASE WHEN extract(day FROM day) = 1 THEN 0 ELSE 1000 END WHERE wallet_id = 9"
        )
        steps = [Step("V", held.txn, 50), Step("I", held.txn, 30), Step("V", held.txn, 10)]
        assert [answer.how for answer in own.steps(steps)] == ["new"] * 3
    finally:
        own.connection.close()

    assert copy.value("SELECT day_spent FROM pay.wallet WHERE wallet_id = 9") == 30
    assert audit(copy).returncode == WHOLE
    with copy.connect() as connection:
        assert violations(connection) == {}
