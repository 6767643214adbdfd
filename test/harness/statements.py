"""The hold and void statements as the build wrote them, prepared as the service prepares them."""

import hashlib
import uuid
from dataclasses import dataclass, field

import psycopg

from harness.machine import BUILD
from harness.payments import new_key

LONG = "20s"
"""How long a statement may wait for a lock where nothing else is said: for the test's other half."""
SETTINGS = f"-c plan_cache_mode=force_generic_plan -c jit=off -c lock_timeout={LONG}"
HOLD_TYPES = "uuid[],int4[],bytea[],bytea[],int8[],int8[],text[],int4[],text[],int4[],int4[],text"
TEXT_KEY_HOLD_TYPES = HOLD_TYPES.replace("bytea[]", "text[]", 1)
TYPES = {"hold_batch": HOLD_TYPES, "hold_fold": HOLD_TYPES, "void": "uuid,uuid,int4,text"}
REGION = "eu-south-2"
STOP = 42
"""The advisory lock at which a statement made by stopping() stands still."""


def built(name):
    """As the build wrote it out, which is what the binary holds (test_statements)."""
    return (BUILD / "sql" / f"{name}.sql").read_text(encoding="utf-8")


def stopping(name):
    """The statement with a place to stand still: after its snapshot, before it locks a wallet."""
    lock = f"pg_advisory_xact_lock_shared({STOP})::text"
    before, after = "$12::text AS region", f"$12::text || {lock} AS region"
    if name == "void":
        before, after = "(SELECT h.debit_account ", f"(SELECT h.debit_account + length({lock}) "
    text = built(name)
    assert text.count(before) == 1
    return text.replace(before, after)


@dataclass(frozen=True)
class Hold:
    wallet: int
    amount: int = 100
    key: str = field(default_factory=new_key)
    currency: str = "EUR"
    mcc: int = 5812
    budget_us: int = 60_000_000
    fingerprint: bytes = b"\xab" * 32
    txn: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass(frozen=True)
class Answer:
    how: str
    code: str
    balance: int | None
    wallet: int | None
    amount: int | None
    txn: uuid.UUID


class Session:
    """One connection with the service's settings and rights, and its statements prepared."""

    types = TYPES

    def __init__(self, database, make=built):
        self.connection = psycopg.connect(
            database.url(), options=SETTINGS, autocommit=True, cursor_factory=psycopg.ClientCursor
        )
        for name, types in self.types.items():
            self.connection.execute(f"PREPARE {name} ({types}) AS {make(name)}".replace("%", "%%"))

    def stored_key(self, key):
        """As a service with some hash key stores it."""
        return hashlib.sha256(key.encode()).digest()[:16]

    def hold(self, name, holds):
        columns = [
            [hold.txn for hold in holds],
            [1 for _ in holds],
            [self.stored_key(hold.key) for hold in holds],
            [hold.fingerprint for hold in holds],
            [hold.wallet for hold in holds],
            [hold.amount for hold in holds],
            [hold.currency for hold in holds],
            [hold.mcc for hold in holds],
            ["ES" for _ in holds],
            [0 for _ in holds],
            [hold.budget_us for hold in holds],
        ]
        rows = self.connection.execute(
            f"EXECUTE {name} ({', '.join(['%s'] * 12)})", [*columns, REGION]
        ).fetchall()
        assert sorted(row[0] for row in rows) == list(range(1, len(holds) + 1))
        return [
            Answer(row[1], row[4], row[5], row[8], row[9], row[2])
            for row in sorted(rows, key=lambda row: row[0])
        ]

    def void(self, txn):
        ((outcome, balance, wallet),) = self.connection.execute(
            "EXECUTE void (%s, %s, 1, %s)", [uuid.uuid4(), txn, REGION]
        ).fetchall()
        return outcome, balance, wallet

    def lock(self, wallets):
        self.connection.execute(
            "SELECT 1 FROM pay.wallet WHERE wallet_id = ANY (%s) FOR NO KEY UPDATE", [wallets]
        )


def of_text_keys(name):
    """The statement of the version that stored the keys as they came."""
    return built(name).replace("idem_hash", "idem_key").replace("$3::bytea[]", "$3::text[]", 1)


class TextKeySession(Session):
    """A process of the version that stored the keys as they came."""

    types = {**TYPES, **dict.fromkeys(("hold_batch", "hold_fold"), TEXT_KEY_HOLD_TYPES)}

    def __init__(self, database):
        super().__init__(database, of_text_keys)

    def stored_key(self, key):
        return key
