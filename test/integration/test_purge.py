"""`payment-latency-api purge`: what is past its retention loses its key, the ledger loses nothing."""

import itertools

import pytest

from harness.audit import WHOLE, assert_audited, ops_settings
from harness.machine import in_threads
from harness.payments import SEED, Book, new_key, payload, post
from harness.postgres import Database
from harness.service import PATIENT, Service, migrate, run_command

CONFIG_ERROR, FAILED = 78, 1
numbers = itertools.count(1)
# A record's identifier begins with its time, and so must that of an old one.
AGE = """
UPDATE pay.simulation SET txn_id = pg_temp.aged(txn_id), created_at = created_at - interval '{days} days'
 WHERE {which};
UPDATE pay.transfer SET txn_id = pg_temp.aged(txn_id), created_at = created_at - interval '{days} days'
 WHERE {which} AND kind <> 'F';
UPDATE pay.wallet SET day = day - {days} WHERE isfinite(day);
"""
AGED = """
CREATE FUNCTION pg_temp.aged(id uuid) RETURNS uuid LANGUAGE sql AS $$
  SELECT (left(ms, 8) || '-' || right(ms, 4) || right(id::text, 23))::uuid
    FROM lpad(to_hex(('x' || translate(left(id::text, 13), '-', ''))::bit(48)::bigint
                     - {days}::bigint * 86400000), 12, '0') ms $$
"""


def purge(database, **changes):
    return run_command("purge", settings=ops_settings(database, **changes), limit=60)


@pytest.fixture
def books(cluster, binary):
    own = Database(cluster, f"purge_{next(numbers)}")
    own.create()
    migrate(own)
    own.run(SEED)
    yield own
    with cluster.connect("postgres") as admin:
        admin.execute(f"DROP DATABASE {own.name} WITH (FORCE)")


@pytest.fixture
def service(books):
    own = Service(books.url(), PATIENT)
    try:
        yield own.start()
    finally:
        own.stop()


def pay(service, approved, declined, wallet=1):
    """Holds of this wallet, by key: its body and its answer."""
    done = {}
    for amount in [100] * approved + [10**10] * declined:
        key, body = new_key(), payload(wallet, amount)
        done[key] = body, post(service, body, key)
    return done


def make_old(books, days, which="true"):
    with books.connect() as session:
        session.execute(AGED.format(days=days))
        session.execute(AGE.format(days=days, which=which))


def told(done):
    """What it says that it deleted, and kept without a key."""
    words = done.stdout.split()
    return int(words[words.index("deleted,") - 1]), int(words[words.index("kept") - 1])


def records(books):
    return books.rows(
        "SELECT count(*) FILTER (WHERE code = '00'), count(*) FILTER (WHERE code <> '00'),"
        " count(*) FILTER (WHERE idem_hash IS NOT NULL) FROM pay.simulation"
    )[0]


def ledger(books):
    return [row for row in Book(books).fingerprint() if row[0] != "simulation"]


def test_old_records_lose_their_keys_and_the_ledger_nothing(books, service):
    pay(service, 3, 2)
    make_old(books, 91)
    kept = pay(service, 2, 1)
    before = ledger(books)

    done = purge(books)

    assert (done.returncode, done.stderr) == (WHOLE, "")
    assert told(done) == (2, 3)
    assert records(books) == (5, 1, 3)
    assert ledger(books) == before
    for key, (body, first) in kept.items():
        again = post(service, body, key)
        assert (again.body, again.header("Idempotent-Replayed")) == (first.body, "true")
    assert_audited(books)


def test_key_that_is_forgotten_begins_a_new_payment(books, service):
    ((key, (body, first)),) = pay(service, 1, 0).items()
    make_old(books, 91)
    purge(books)

    second = post(service, body, key)

    assert second.status == 201 and second.header("Idempotent-Replayed") is None
    assert second.json()["transaction_id"] != first.json()["transaction_id"]
    assert Book(books).holds(1) == 2
    assert_audited(books)


@pytest.mark.parametrize("rows", [1, 2, 3, 100])
def test_batches_of_any_size_do_the_same(books, service, rows):
    pay(service, 3, 3)
    make_old(books, 31)

    done = purge(books, PURGE_BATCH_ROWS=rows, IDEMPOTENCY_RETENTION_DAYS=30)

    assert told(done) == (3, 3)
    assert records(books) == (3, 0, 0)
    assert books.rows("SELECT deleted, forgotten, finished_at IS NOT NULL FROM pay.purge_run") == [
        (3, 3, True)
    ]


def test_a_second_run_reads_on_from_where_the_first_came(books, service):
    pay(service, 2, 1)
    make_old(books, 200)
    assert told(purge(books)) == (1, 2)
    pay(service, 1, 1)
    make_old(books, 100, "created_at > now() - interval '1 hour'")

    done = purge(books)

    assert told(done) == (1, 1)
    assert records(books) == (3, 0, 0)
    first, second = books.rows("SELECT through FROM pay.purge_run ORDER BY purge_run_id")
    assert first < second
    assert told(purge(books)) == (0, 0)


def test_retention_decides_what_is_old(books, service):
    pay(service, 0, 2)
    make_old(books, 31)

    assert told(purge(books)) == (0, 0)
    assert told(purge(books, IDEMPOTENCY_RETENTION_DAYS=30)) == (2, 0)


def test_approved_record_without_its_ledger_row_is_left_for_the_audit(books, service):
    pay(service, 0, 1)
    make_old(books, 91)
    books.run("UPDATE pay.simulation SET code = '00'")

    assert told(purge(books)) == (0, 1)
    assert records(books) == (1, 0, 0)


def test_two_purges_take_turns(books, service):
    pay(service, 5, 5)
    make_old(books, 91)

    results = in_threads(3, lambda _: purge(books, PURGE_BATCH_ROWS=1))

    assert [done.returncode for done in results] == [WHOLE] * 3
    assert tuple(map(sum, zip(*map(told, results)))) == (5, 5)


def test_record_that_is_locked_ends_the_run_and_the_next_one_goes_on_there(books, service):
    pay(service, 1, 3)
    make_old(books, 91)
    with books.connect() as other, other.transaction():
        other.execute(
            "SELECT FROM pay.simulation ORDER BY txn_id DESC LIMIT 1 FOR UPDATE"
        )
        cut = purge(books, PURGE_BATCH_ROWS=2)

    assert cut.returncode == FAILED
    assert "another session holds a lock" in cut.stderr and "not finished" in cut.stdout
    done = purge(books)
    assert tuple(map(sum, zip(told(cut), told(done)))) == (3, 1)


def test_another_regions_records_are_not_touched(books, service):
    pay(service, 0, 1)
    make_old(books, 91)

    done = purge(books, REGION="mx-central-1")

    assert (done.returncode, done.stdout) == (FAILED, "")
    assert "eu-south-2" in done.stderr
    assert records(books) == (0, 1, 1)


@pytest.mark.parametrize("days", [29, 0, "forever"])
def test_retention_below_a_month_is_refused(books, days):
    done = purge(books, IDEMPOTENCY_RETENTION_DAYS=days)

    assert done.returncode == CONFIG_ERROR
    assert " IDEMPOTENCY_RETENTION_DAYS: " in done.stderr
