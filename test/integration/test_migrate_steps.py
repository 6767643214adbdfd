"""The migration to the whole life of a hold: holds and processes of the version before."""

import hashlib
import itertools
import re
import uuid
from datetime import timedelta

import pytest

from harness.invariants import assert_invariants
from harness.machine import ROOT
from harness.payments import SEED, Book
from harness.postgres import Database
from harness.service import REGION, migrate
from harness.statements import TYPES, Hold, Session, Step, built

SCHEMA = sorted((ROOT / "pool" / "schema").glob("*.sql"))
BEFORE = 4
"""The last migration of the version that knew holds and voids only."""
WEEK = timedelta(days=7)
numbers = itertools.count(1)
VOID = """
WITH h AS MATERIALIZED (
  SELECT t.*, EXISTS (SELECT 1 FROM pay.transfer v WHERE v.pending_id = $2) AS resolved
    FROM pay.transfer t JOIN pay.simulation s USING (txn_id)
   WHERE t.txn_id = $2 AND t.kind = 'H' AND s.client_id = 1
), w AS MATERIALIZED (
  SELECT w.* FROM pay.wallet w
   WHERE w.wallet_id = (SELECT h.debit_account FROM h WHERE NOT h.resolved)
     FOR NO KEY UPDATE SKIP LOCKED
), m AS MATERIALIZED (
  SELECT w.wallet_id, w.balance + h.amount AS balance, w.version + 1 AS version,
         w.day_spent - h.amount AS day_spent, w.day_count - 1 AS day_count,
         w.month_spent - h.amount AS month_spent
    FROM h, w
), led AS (
  INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                            balance_after, created_at, pending_id)
  SELECT $1, h.credit_account, h.debit_account, h.amount, 'V', m.version, m.balance,
         statement_timestamp(), $2 FROM h, m
  ON CONFLICT (pending_id) WHERE pending_id IS NOT NULL DO NOTHING
  RETURNING credit_account
), upd AS (
  UPDATE pay.wallet x SET balance = m.balance, version = m.version, day_spent = m.day_spent,
                          day_count = m.day_count, month_spent = m.month_spent
    FROM led JOIN m ON m.wallet_id = led.credit_account WHERE x.wallet_id = m.wallet_id
)
SELECT EXISTS (SELECT 1 FROM led)
"""
"""A void of the version before, on a day that does not change."""


def of_before(name):
    """A hold statement of the version before: it knows of nothing that expires."""
    new = (
        r", \$13::int4\[\]|expires_in_s, |p\.hold_ttl_s, |,\s+expires_at(?=\))"
        r"|\s+statement_timestamp\(\) \+ least\(.* AS expires_at,"
        r"|,\s+CASE WHEN [^,]* THEN d.expires_at END"
    )
    return re.sub(new, "", built(name))


class OldSession(Session):
    """A process of the version before."""

    types = {name: TYPES[name] for name in ("hold_batch", "hold_fold")}

    def __init__(self, database):
        super().__init__(database, of_before)
        self.connection.execute(f"PREPARE void (uuid, uuid) AS {VOID}")

    def void(self, txn):
        """True: it gave the hold back."""
        rows = self.connection.execute("EXECUTE void (%s, %s)", [uuid.uuid4(), txn]).fetchall()
        return rows[0][0]


@pytest.fixture
def before(cluster, binary):
    """A database as the version before left it."""
    own = Database(cluster, f"before_steps_{next(numbers)}")
    own.create()
    own.run(
        "CREATE SCHEMA pay; CREATE TABLE pay.schema_migration (version int PRIMARY KEY,"
        " name text NOT NULL, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
    )
    for version, file in enumerate(SCHEMA[:BEFORE], 1):
        own.run(file.read_text(encoding="utf-8"))
        own.run(
            "INSERT INTO pay.schema_migration (version, name, sha256) VALUES (%s, %s, %s)",
            version,
            file.name,
            hashlib.sha256(file.read_bytes()).hexdigest(),
        )
    own.run("INSERT INTO pay.region (region) VALUES (%s)", REGION)
    own.run(SEED)
    yield own
    assert_invariants(own)


@pytest.fixture
def after(before):
    migrate(before)
    return before


def held(session, wallet, amount=100, statement="hold_batch"):
    (answer,) = session.hold(statement, [Hold(wallet, amount)])
    assert answer.how == "new"
    return answer.txn


def lasts(database, hold):
    return database.value("SELECT expires_at - now() FROM pay.simulation WHERE txn_id = %s", hold)


def test_statements_of_the_version_before_are_what_they_seem():
    for name in OldSession.types:
        assert not re.search(r"expires|hold_ttl|\$13", of_before(name))


def test_holds_from_before_expire_a_week_after_the_migration_unless_they_are_resolved(before):
    old = OldSession(before)
    hold, voided, declined = held(old, 1), held(old, 1), held(old, 1, 10**10)
    assert old.void(voided)

    migrate(before)

    assert WEEK - timedelta(minutes=5) < lasts(before, hold) <= WEEK
    assert (lasts(before, voided), lasts(before, declined)) == (None, None)
    new = Session(before)
    assert new.void(voided).state == "voided"
    assert new.void(declined).how == "not_found"
    assert new.step("C", hold, 30, final=True).amounts == (100, 30, 70, 0, 0)


@pytest.mark.parametrize("statement", OldSession.types)
def test_holds_of_an_old_process_expire_and_have_steps(after, statement):
    hold = held(OldSession(after), 1, statement=statement)

    assert WEEK - timedelta(minutes=5) < lasts(after, hold) <= WEEK
    new = Session(after)
    answers = new.steps([Step("I", hold, 5), Step("C", hold, 60), Step("V", hold)])
    assert [answer.how for answer in answers] == ["new"] * 3


@pytest.mark.parametrize("kind", "CVI")
def test_hold_with_a_step_is_resolved_to_an_old_process(after, kind):
    old, new = OldSession(after), Session(after)
    hold = held(new, 1)

    assert new.step(kind, hold, 10).how == "new"

    assert not old.void(hold)
    assert new.step("V", hold).how == "new"


def test_hold_voided_by_an_old_process_is_voided(after):
    old, new = OldSession(after), Session(after)
    hold = held(new, 1)

    assert old.void(hold)

    answers = [new.step(kind, hold, 1) for kind in "CVIR"]
    assert [(answer.how, answer.state) for answer in answers] == [("resolved", "voided")] * 4
    assert answers[0].amounts == (100, 0, 100, 0, 0)
    assert not old.void(hold)
    assert Book(after).balance(1) == 100_000_000


def test_process_of_two_versions_ago_cannot_decide_a_key_again(after):
    """It would not see what was decided under the same key: it is refused by name."""
    assert after.rows(
        "SELECT 1 FROM information_schema.columns"
        " WHERE table_schema = 'pay' AND column_name = 'idem_key'"
    ) == []
