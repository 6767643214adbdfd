"""Idempotency keys over the migration that hashes them."""

import hashlib
import itertools
import uuid

import psycopg
import pytest

from harness.invariants import assert_invariants
from harness.machine import ROOT
from harness.payments import SEED, luhn_number, new_key, payload, post, problem
from harness.postgres import APP_ROLE, Database
from harness.service import PATIENT, REGION, SIMULATE, migrate

SCHEMA = sorted((ROOT / "pool" / "schema").glob("*.sql"))
BEFORE_HASHES = 2
"""The last migration of the version that stored the keys as they came."""
BOOKS = "SELECT txn_id, debit_account, amount, kind, balance_after FROM pay.transfer ORDER BY 1"
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


def decide(database, wallet, key, code="00", amount=100):
    """A decision as the version before recorded it; its fingerprint is the one of payload(wallet)."""
    text = f"POST {SIMULATE}\nhold\n{wallet}\n{amount}\nEUR\n5812\nES"
    txn = uuid.uuid4()
    balance = None
    if code == "00":
        ((version, balance),) = database.rows(
            "UPDATE pay.wallet SET balance = balance - %s, version = version + 1, day_count = 1,"
            " day = (now() AT TIME ZONE 'Europe/Madrid')::date, day_spent = %s, month_spent = %s"
            " WHERE wallet_id = %s RETURNING version, balance",
            *(amount, amount, amount, wallet),
        )
        database.run(
            "INSERT INTO pay.transfer VALUES (%s, %s, -1, %s, 'H', %s, %s, now())",
            *(txn, wallet, amount, version, balance),
        )
    database.run(
        "INSERT INTO pay.simulation (txn_id, client_id, idem_key, fingerprint, wallet_id, amount,"
        " currency, mcc, effect, code, balance_after, processing_us, created_at)"
        " VALUES (%s, 1, %s, %s, %s, %s, 'EUR', 5812, 'H', %s, %s, 1, now())",
        *(txn, key, hashlib.sha256(text.encode()).digest(), wallet, amount, code, balance),
    )
    return txn, code, balance


def texts_of(database):
    return [row[0] for row in database.rows("SELECT s::text FROM pay.simulation s")]


def assert_stored_as_hash(database, keys):
    rows = [row[0] for row in database.rows("SELECT idem_hash FROM pay.simulation")]
    assert sorted(rows) == sorted(database.key_hash(key) for key in keys)
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
    decided = [decide(before, wallet, key) for wallet, key in zip(wallets, KEYS)]
    decided.append(decide(before, 950, "declined", "14"))
    books = before.rows(BOOKS)

    migrate(before)

    assert_stored_as_hash(before, [*KEYS, "declined"])
    service = start_service(PATIENT, url=before.url())
    for (txn, code, balance), wallet, key in zip(decided, [*wallets, 950], [*KEYS, "declined"]):
        again = post(service, payload(wallet), key.replace("\\", "\\\\").replace('"', '\\"').join('""'))
        body = again.json()
        assert (again.status, again.header("Idempotent-Replayed")) == (201, "true"), again
        assert body["transaction_id"] == f"txn_{txn.hex}"
        assert (body["response_code"], body.get("balance_after")) == (code, balance)
    assert problem(post(service, payload(1, 101), "k")) == "idempotency-key-reused"
    assert before.rows(BOOKS) == books


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
