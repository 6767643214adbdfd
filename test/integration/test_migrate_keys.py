"""Idempotency keys over the migration that hashes them: old rows, and old processes that go on."""

import hashlib
import itertools
import threading

import psycopg
import pytest

from harness.invariants import assert_invariants
from harness.machine import ROOT, wait_until
from harness.payments import SEED, Book, hold, luhn_number, new_key, payload, post, problem
from harness.postgres import APP_ROLE, Database
from harness.service import PATIENT, REGION, SIMULATE, migrate
from harness.statements import Hold, Session, TextKeySession

SCHEMA = sorted((ROOT / "pool" / "schema").glob("*.sql"))
BEFORE_HASHES = 2
"""The last migration of the version that stored the keys as they came."""
numbers = itertools.count(1)


def apply_schema(database, count):
    """The first migrations, recorded as `migrate` records them."""
    database.run(
        "CREATE SCHEMA pay; CREATE TABLE pay.schema_migration (version int PRIMARY KEY,"
        " name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for version, file in enumerate(SCHEMA[:count], 1):
        database.run(file.read_text(encoding="utf-8"))
        database.run(
            "INSERT INTO pay.schema_migration (version, name, sha256) VALUES (%s, %s, %s)",
            version,
            file.name,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
    database.run("INSERT INTO pay.region (region) VALUES (%s)", REGION)
    database.run(SEED)


@pytest.fixture
def before(cluster, binary):
    """A database as the version before left it."""
    own = Database(cluster, f"text_keys_{next(numbers)}")
    own.create()
    apply_schema(own, BEFORE_HASHES)
    yield own
    assert_invariants(own)


@pytest.fixture
def after(before):
    migrate(before)
    return before


def hold_of(wallet, key, amount=100):
    """As the service asks for it: its fingerprint is the one of payload(wallet, amount)."""
    text = f"POST {SIMULATE}\nhold\n{wallet}\n{amount}\nEUR\n5812\nES"
    return Hold(wallet, amount, key, fingerprint=hashlib.sha256(text.encode()).digest())


def texts_of(database):
    return [row[0] for row in database.rows("SELECT s::text FROM pay.simulation s")]


def assert_stored_as_hash(database, keys):
    rows = database.rows("SELECT idem_key, idem_hash FROM pay.simulation")
    assert sorted(rows) == sorted((None, database.key_hash(key)) for key in keys)
    assert not any(key in text for key in keys for text in texts_of(database) if len(key) > 4)


KEYS = [
    "k",
    new_key(),
    "0192f0c1-a2b3-7c4d-8e9f-a0b1c2d3e4f5",
    "order-7-" + luhn_number(),
    "".join(map(chr, range(ord("!"), ord("~") + 1))),
    new_key().ljust(255, "z"),
]


def test_rows_from_before_are_replayed(before, start_service):
    wallets = range(1, 1 + len(KEYS))
    decided = TextKeySession(before).hold(
        "hold_batch", [hold_of(wallet, key) for wallet, key in zip(wallets, KEYS)]
    )
    declined = TextKeySession(before).hold("hold_batch", [hold_of(950, "declined")])
    assert {answer.how for answer in decided + declined} == {"new"}
    books = before.rows("SELECT * FROM pay.transfer ORDER BY txn_id")

    migrate(before)

    assert_stored_as_hash(before, [*KEYS, "declined"])
    service = start_service(PATIENT, url=before.url())
    for answer, wallet, key in zip(decided + declined, [*wallets, 950], [*KEYS, "declined"]):
        again = post(service, payload(wallet), key.replace("\\", "\\\\").replace('"', '\\"').join('""'))
        body = again.json()
        assert (again.status, again.header("Idempotent-Replayed")) == (201, "true"), again
        assert body["transaction_id"] == f"txn_{answer.txn.hex}"
        assert (body["response_code"], body["balance_after"]) == (answer.code, answer.balance)
    assert problem(post(service, payload(1, 101), "k")) == "idempotency-key-reused"
    assert before.rows("SELECT * FROM pay.transfer ORDER BY txn_id") == books


@pytest.mark.parametrize("statement", ["hold_batch", "hold_fold"])
def test_old_process_goes_on_and_its_keys_are_replayed_by_a_new_one(
    after, start_service, statement
):
    key = new_key()

    (answer,) = TextKeySession(after).hold(statement, [hold_of(1, key)])

    assert (answer.how, answer.code) == ("new", "00")
    assert_stored_as_hash(after, [key])
    again = post(start_service(PATIENT, url=after.url()), payload(1), key)
    assert (again.status, again.header("Idempotent-Replayed")) == (201, "true")
    assert again.json()["transaction_id"] == f"txn_{answer.txn.hex}"
    assert Book(after).holds(1) == 1


@pytest.mark.parametrize("statement", ["hold_batch", "hold_fold"])
def test_key_of_a_new_process_is_not_decided_again_by_an_old_one(after, start_service, statement):
    """55P03: the old process answers 409 idempotency-in-flight; its client comes again."""
    key = new_key()
    hold(start_service(PATIENT, url=after.url()), 1, key=key)

    with pytest.raises(psycopg.errors.LockNotAvailable) as refused:
        TextKeySession(after).hold(statement, [hold_of(1, key), hold_of(2, new_key())])

    assert key not in str(refused.value)
    assert (Book(after).holds(1), Book(after).holds(2)) == (1, 0)


def test_key_of_an_old_process_is_not_decided_again_by_an_old_one(after):
    key = new_key()
    TextKeySession(after).hold("hold_batch", [hold_of(1, key)])

    with pytest.raises(psycopg.errors.LockNotAvailable):
        TextKeySession(after).hold("hold_batch", [hold_of(1, key)])

    assert Book(after).holds(1) == 1


class NewSession(Session):
    """A process of this version: its keys are hashed with the database's own hash key."""

    def __init__(self, database):
        super().__init__(database)
        self.database = database

    def stored_key(self, key):
        return self.database.key_hash(key)


@pytest.mark.parametrize("first, second", [(NewSession, TextKeySession), (TextKeySession, NewSession)])
def test_old_and_new_process_at_once_decide_a_key_once(after, first, second):
    """The second waits for the first's row, which is not committed yet."""
    key, results = new_key(), []
    one, other = first(after), second(after)
    one.connection.execute("BEGIN")
    one.hold("hold_batch", [hold_of(1, key)])

    def ask():
        try:
            results.append(other.hold("hold_batch", [hold_of(2, key)])[0].how)
        except psycopg.errors.UniqueViolation:
            results.append("refused")

    waiting = threading.Thread(target=ask)
    waiting.start()
    wait_until(lambda: after.backends("wait_event_type = 'Lock'"), what="the second one's wait")
    one.connection.execute("COMMIT")
    waiting.join()

    assert results == ["race" if second is NewSession else "refused"]
    assert (Book(after).holds(1), Book(after).holds(2)) == (1, 0)
    assert_stored_as_hash(after, [key])


def test_hash_key_is_made_once_and_is_the_databases_own(after, cluster):
    key = after.value("SELECT key FROM pay.idempotency_secret")
    migrate(after)
    other = Database(cluster, f"text_keys_{next(numbers)}")
    other.create()
    migrate(other)

    assert after.value("SELECT key FROM pay.idempotency_secret") == key
    assert other.value("SELECT key FROM pay.idempotency_secret") != key
    with pytest.raises(psycopg.errors.UniqueViolation):
        after.run("INSERT INTO pay.idempotency_secret SELECT * FROM pay.idempotency_secret")


@pytest.mark.parametrize("key", KEYS, ids=range(len(KEYS)))
def test_server_and_service_hash_alike(after, key):
    assert after.value("SELECT pay.idempotency_hash(%s)", key) == after.key_hash(key)


def test_hash_key_is_for_the_service_alone(after):
    after.run("DROP ROLE IF EXISTS stranger; CREATE ROLE stranger")
    after.run("GRANT USAGE ON SCHEMA pay TO stranger")
    with after.connect() as connection:
        connection.execute("SET ROLE stranger")
        for asked in ("SELECT key FROM pay.idempotency_secret", "SELECT pay.idempotency_hash('k')"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(asked)
    with after.connect(APP_ROLE) as connection:
        for asked in (
            "UPDATE pay.idempotency_secret SET key = key",
            "DELETE FROM pay.idempotency_secret",
            "UPDATE pay.simulation SET idem_hash = idem_hash",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(asked)
    after.run("REVOKE USAGE ON SCHEMA pay FROM stranger; DROP ROLE stranger")
