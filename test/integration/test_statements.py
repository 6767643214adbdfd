"""The statements as they are sent: what the build wrote into sql/ is what the binary prepares, the
server takes each of them as the service's role, and the plan they keep finds its rows by index."""

import re
from contextlib import contextmanager

import pytest

from harness.machine import BINARY, BUILD, ROOT
from harness.payments import SEED
from harness.postgres import APP_ROLE, Database
from harness.service import REGION, migrate

SQL = ROOT / "pool" / "sql"
FILES = sorted((BUILD / "sql").glob("*.sql"))
NAMES = {
    "eval_batch",
    "eval_one",
    "expire_batch",
    "find",
    "find_key",
    "hold_batch",
    "hold_fold",
    "probe",
    "step_batch",
    "transactions",
    "wallet",
}
BIG_TABLES = ("wallet", "simulation", "transfer")
# What the service asks of its connections (pool/pg_url.c).
SESSION = "SET plan_cache_mode = force_generic_plan; SET jit = off"
ROWS = """
INSERT INTO pay.wallet (wallet_id, program_id, valid_thru, balance, version)
  SELECT id, 1, '2099-12-31', 100000000, 1 FROM generate_series(1001, 20000) id;
INSERT INTO pay.simulation (txn_id, client_id, idem_hash, fingerprint, wallet_id, amount, currency,
                            mcc, effect, code, balance_after, processing_us, created_at)
  SELECT gen_random_uuid(), 1, decode(md5(id::text), 'hex'), '', id, 1, 'EUR', 5812, 'H', '00', 1, 1, now()
    FROM generate_series(1, 20000) id;
INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                          balance_after, created_at)
  SELECT gen_random_uuid(), -1000, id, 100000000, 'F', 1, 100000000, now()
    FROM generate_series(1001, 20000) id;
"""


# A wallet table that was never analysed counts as ten pages, and many evaluations then scan it.
SCANNED_WHEN_EMPTY = "eval_batch"


def make(cluster, name):
    own = Database(cluster, name)
    own.create()
    migrate(own)
    return own


def fill(database):
    database.run(SEED)
    database.run(ROWS)
    database.run("VACUUM ANALYZE")


@pytest.fixture(scope="module")
def full(cluster):
    own = make(cluster, "statements_full")
    fill(own)
    return own


@pytest.fixture(scope="module")
def empty(cluster):
    return make(cluster, "statements_empty")


@contextmanager
def prepared(database, file):
    """A session of the service's role with this statement prepared; gives it and the arguments."""
    text = file.read_text(encoding="utf-8")
    count = max(map(int, re.findall(r"\$(\d+)", text)), default=0)
    with database.connect(APP_ROLE) as session:
        session.execute(SESSION)
        session.execute(f"PREPARE statement AS {text}")
        yield session, f"({', '.join(['NULL'] * count)})" if count else ""


def plan_nodes(plan):
    yield plan
    for child in plan.get("Plans", ()):
        yield from plan_nodes(child)


def test_every_statement_was_written_out():
    assert {file.stem for file in FILES} == NAMES


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_binary_holds_this_text(file):
    assert b"\0" + file.read_bytes() + b"\0" in BINARY.read_bytes()


def check_reached_by_index(session, arguments):
    rows = session.execute(f"EXPLAIN (FORMAT JSON) EXECUTE statement{arguments}").fetchall()
    scans = [node for node in plan_nodes(rows[0][0][0]["Plan"]) if "Relation Name" in node]
    read = {node["Relation Name"] for node in scans if "Scan" in node["Node Type"]}
    assert read & set(BIG_TABLES), "the plan reads none of the big tables"
    whole = {node["Relation Name"] for node in scans if node["Node Type"] == "Seq Scan"}
    assert not whole & set(BIG_TABLES), "a big table is read whole"


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_the_server_takes_it_and_reaches_big_tables_by_index(full, file):
    with prepared(full, file) as (session, arguments):
        if file.stem == "probe":
            assert session.execute(f"EXECUTE statement{arguments}").fetchone()[0] == REGION
        else:
            check_reached_by_index(session, arguments)


@pytest.mark.parametrize(
    "file",
    [file for file in FILES if file.stem not in ("probe", SCANNED_WHEN_EMPTY)],
    ids=lambda file: file.stem,
)
def test_a_plan_made_on_empty_tables_is_as_good(empty, file):
    with prepared(empty, file) as (session, arguments):
        check_reached_by_index(session, arguments)


def test_a_plan_made_on_empty_tables_ends_when_they_are_analysed(cluster):
    grows = make(cluster, "statements_grow")
    file = BUILD / "sql" / f"{SCANNED_WHEN_EMPTY}.sql"
    with prepared(grows, file) as (session, arguments):
        with pytest.raises(AssertionError, match="read whole"):
            check_reached_by_index(session, arguments)
        fill(grows)
        check_reached_by_index(session, arguments)


def text_of(name):
    return " ".join((BUILD / "sql" / f"{name}.sql").read_text(encoding="utf-8").split())


def test_both_holds_read_and_answer_alike_and_decide_by_the_same_text():
    batch, fold = text_of("hold_batch"), text_of("hold_fold")
    decision = re.sub(r"--.*", "", (SQL / "decision.inc.sql").read_text(encoding="utf-8"))
    begin, answer = "req AS MATERIALIZED (", "SELECT n, 'replay'"

    assert [" ".join(decision.split()) in text for text in (batch, fold)] == [True, True]
    assert batch[batch.index(answer) :] == fold[fold.index(answer) :]
    read = batch[batch.index(begin) : batch.index(" ), todo AS")]
    assert read == fold[fold.index(begin) : fold.index(" ), todo AS")]


@pytest.mark.parametrize("name", ["hold_batch", "hold_fold", "step_batch"])
def test_no_statement_waits_for_a_wallet(name):
    locks = re.findall(r"FOR NO KEY UPDATE(?: SKIP LOCKED)?|FOR (?:UPDATE|SHARE)", text_of(name))
    assert locks == ["FOR NO KEY UPDATE SKIP LOCKED"]
