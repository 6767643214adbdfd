"""The statements of holds and steps as the build wrote them, prepared as by the service."""

import hashlib
import uuid
from dataclasses import dataclass, field
from datetime import datetime

import psycopg

from harness.machine import BUILD
from harness.payments import new_key

LONG = "20s"
"""How long a statement may wait for a lock where nothing else is said: for the test's other half."""
SETTINGS = f"-c plan_cache_mode=force_generic_plan -c jit=off -c lock_timeout={LONG}"
HOLD_TYPES = (
    "uuid[],int4[],bytea[],bytea[],int8[],int8[],text[],int4[],text[],int4[],int4[],text,int4[]"
)
STEP_TYPES = (
    "uuid[],uuid[],int4[],bytea[],bytea[],text[],uuid[],int8[],int4[],int4[],int4[],text"
)
TYPES = {"hold_batch": HOLD_TYPES, "hold_fold": HOLD_TYPES, "step_batch": STEP_TYPES}
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
    expires_in_s: int | None = None


@dataclass(frozen=True)
class Step:
    kind: str
    hold: uuid.UUID
    amount: int | None = None
    final: bool = False
    key: str | None = field(default_factory=new_key)
    client: int = 1
    budget_us: int = 60_000_000
    fingerprint: bytes = b"\xcd" * 32
    txn: uuid.UUID = field(default_factory=uuid.uuid4)


@dataclass(frozen=True)
class Stepped:
    """The row of step_batch, in the order of its columns."""

    n: int
    how: str
    txn: uuid.UUID
    fingerprint: bytes | None
    kind: str
    hold: uuid.UUID | None
    code: str | None
    amount: int | None
    balance: int | None
    processing_us: int | None
    created_at: datetime | None
    wallet: int | None
    currency: str | None
    mcc: int | None
    authorised: int | None
    captured: int | None
    released: int | None
    expired: int | None
    refunded: int | None
    limit: int | None
    state: str | None

    @property
    def amounts(self):
        return self.authorised, self.captured, self.released, self.expired, self.refunded


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
        limits = [hold.expires_in_s for hold in holds]
        rows = self.connection.execute(
            f"EXECUTE {name} ({', '.join(['%s'] * 13)})", [*columns, REGION, limits]
        ).fetchall()
        assert sorted(row[0] for row in rows) == list(range(1, len(holds) + 1))
        return [
            Answer(row[1], row[4], row[5], row[8], row[9], row[2])
            for row in sorted(rows, key=lambda row: row[0])
        ]

    def steps(self, steps):
        columns = [
            [step.txn for step in steps],
            [uuid.uuid4() for _ in steps],
            [step.client for step in steps],
            [step.key and self.stored_key(step.key) for step in steps],
            [step.fingerprint for step in steps],
            [step.kind for step in steps],
            [step.hold for step in steps],
            [step.amount for step in steps],
            [int(step.final) for step in steps],
            [0 for _ in steps],
            [step.budget_us for step in steps],
        ]
        rows = self.connection.execute(
            f"EXECUTE step_batch ({', '.join(['%s'] * 12)})", [*columns, REGION]
        ).fetchall()
        assert sorted(row[0] for row in rows) == list(range(1, len(steps) + 1))
        return [Stepped(*row) for row in sorted(rows, key=lambda row: row[0])]

    def step(self, *words, **more):
        return self.steps([Step(*words, **more)])[0]

    def void(self, txn):
        """As a caller without a key asks for it."""
        return self.step("V", txn, key=None)

    def lock(self, wallets):
        self.connection.execute(
            "SELECT 1 FROM pay.wallet WHERE wallet_id = ANY (%s) FOR NO KEY UPDATE", [wallets]
        )
