"""adr/runbook-ledger-audit.sql finds what it is for, with the rights of the service's role."""

import importlib
import os
import re
import subprocess

import pytest

from harness.invariants import INVARIANTS
from harness.machine import ROOT
from harness.payments import SEED
from harness.postgres import APP_ROLE, Database
from harness.service import REGION, run_command

pytestmark = pytest.mark.delivery

SCRIPT = ROOT / "adr" / "runbook-ledger-audit.sql"
DAMAGE = importlib.import_module("integration.test_invariants").DAMAGE
BROKEN = 3
WALLET = 7


def audit(database):
    return subprocess.run(
        ["psql", "-X", "-f", SCRIPT, database.url(APP_ROLE)],
        env={"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def books(cluster, binary):
    """A ledger with a thousand funded wallets and one hold."""
    own = Database(cluster, "audit")
    own.create()
    settings = {"DATABASE_URL": own.url("postgres"), "REGION": REGION, "ENVIRONMENT": "dev"}
    done = run_command("migrate", settings=settings)
    assert done.returncode == 0, done.stderr
    own.run(SEED)
    own.run(
        "UPDATE pay.wallet w SET balance = balance - 100, version = 2, day_spent = 100,"
        " day_count = 1, month_spent = 100, day = (now() AT TIME ZONE p.tz)::date"
        f" FROM pay.program p WHERE p.program_id = w.program_id AND wallet_id = {WALLET}"
    )
    own.run(
        "WITH s AS (INSERT INTO pay.simulation SELECT gen_random_uuid(), 1, 'k', '', wallet_id,"
        " 100, 'EUR', 5812, 'H', '00', balance, 0, 0, now() FROM pay.wallet"
        f" WHERE wallet_id = {WALLET} RETURNING *) INSERT INTO pay.transfer SELECT txn_id,"
        " wallet_id, -1, amount, 'H', 2, balance_after, created_at, NULL FROM s"
    )
    return own


@pytest.fixture
def copy(books):
    own = Database(books.cluster, "audit_copy")
    with books.cluster.connect("postgres") as admin:
        admin.execute("CREATE DATABASE audit_copy TEMPLATE audit")
    yield own
    with books.cluster.connect("postgres") as admin:
        admin.execute("DROP DATABASE audit_copy WITH (FORCE)")


def test_whole_books_pass(books):
    done = audit(books)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == "the ledger is whole"


def test_rules_are_those_of_the_tests(books):
    told = re.findall(r"^(I\d+) +(.*?)  +kept$", audit(books).stdout, re.M)
    assert [f"{name} {rule}" for name, rule in told] == list(INVARIANTS)


@pytest.mark.parametrize("invariant", DAMAGE)
def test_damage_is_found(copy, invariant):
    for statement in DAMAGE[invariant].split(";"):
        copy.run(statement % {"wallet": WALLET})
    done = audit(copy)
    assert done.returncode == BROKEN
    assert re.search(rf"^{invariant.strip()} .* \d+ violations, the first: ", done.stdout, re.M)


def test_audit_writes_nothing(books):
    before = books.value("SELECT pg_current_wal_insert_lsn()")
    audit(books)
    assert books.value("SELECT pg_current_wal_insert_lsn()") == before
