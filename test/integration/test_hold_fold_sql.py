"""The hold statements themselves, on a real server.

A batch that folds its wallets answers and writes what the same holds would one by one; nothing
waits for a wallet, and nothing is computed from a stale row.
"""

import random
import re
import threading
import uuid
from collections import defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date, timedelta

import psycopg
import pytest

from harness.machine import in_threads, wait_until
from harness.payments import new_key
from harness.postgres import Database
from harness.service import migrate
from harness.statements import REGION, STOP, TYPES, Hold, Session, built, stopping

HOLDS = ["hold_batch", "hold_fold"]
TWIN = 1_000_000
"""A wallet's twin has the same row, this much higher: one is folded, the other goes one by one."""
BATCH_MAX, CASES, ROUNDS, SEED = 32, 60, 3, 20240229
ZONES = ["Pacific/Kiritimati", "Europe/Madrid", "America/Mexico_City", "Etc/GMT+12"]


@pytest.fixture
def session():
    opened = []

    def open_one(database, make=built):
        opened.append(Session(database, make))
        return opened[-1]

    yield open_one
    for own in opened:
        own.connection.close()


@pytest.fixture(scope="module")
def limits(cluster, binary):
    """A database of its own: its wallets start in the middle of a day that no ledger explains."""
    own = Database(cluster, "fold")
    own.create()
    migrate(own)
    return own


def blocked(database):
    return wait_until(
        lambda: database.backends("wait_event_type = 'Lock'"), what="a statement that waits"
    )


def codes(answers):
    return [(answer.how, answer.code) for answer in answers]


# ---- the model: the same holds, one by one ----


def make_programs(database, draw):
    """Programs of every zone with limits that a few holds reach; one belongs to another region."""
    for number in range(1, 21):
        database.run(
            "INSERT INTO pay.program VALUES (%s,%s,'ES','meal','EUR',%s,%s,%s,%s,%s,%s)",
            number,
            REGION if number > 1 else "mx-central-1",
            draw.choice(ZONES),
            draw.choice([50, 100, 10**9]),
            draw.choice([150, 400, 10**9]),
            draw.choice([300, 600, 10**9]),
            draw.choice([1, 3, 6, 10**9]),
            -number,
        )
        database.run("INSERT INTO pay.program_mcc VALUES (%s, 5812)", number)


def make_wallets(database, draw, count):
    """Wallets with a day's history behind them, and their twins."""
    days = [date.today() - timedelta(days=back) for back in (-1, 0, 0, 0, 1, 1, 2, 31)]
    with database.connect() as connection, connection.cursor() as cursor:
        for number in range(1, count + 1):
            row = (
                draw.randint(1, 20),
                draw.choice("AAAAAAAAAABC"),
                date.today() + timedelta(days=draw.choice([-1, 0, 1] + [400] * 9)),
                draw.choice([0, 90, 250, 700, 10**9]),
                draw.randint(0, 9),
                draw.choice(days),
                draw.choice([0, 40, 120]),
                draw.choice([0, 1, 2]),
                draw.choice([120, 200, 300]),
            )
            for wallet in (number, number + TWIN):
                cursor.execute(
                    "INSERT INTO pay.wallet VALUES (%s,%s,%s,%s,%s,%s,%s,%s,%s,%s)", (wallet, *row)
                )


def draw_hold(draw, wallets, earlier):
    if earlier and draw.random() < 0.1:
        return replace(draw.choice(earlier), txn=uuid.uuid4())
    return Hold(
        wallet=draw.choice(wallets) if draw.random() < 0.97 else 900_000 + draw.randint(1, 3),
        amount=draw.choice([1, 10, 10, 40, 40, 60, 100, 101]),
        currency=draw.choice(["EUR"] * 30 + ["MXN"]),
        mcc=draw.choice([5812] * 30 + [4111]),
        budget_us=draw.choice([60_000_000] * 20 + [-1]),
    )


def draw_batch(draw, wallets, earlier):
    holds = [draw_hold(draw, wallets, earlier) for _ in range(draw.randint(1, BATCH_MAX))]
    return list({hold.key: hold for hold in holds}.values())


def one_by_one(session, holds):
    """What the twins answer: the first hold of every wallet, then the second of every wallet."""
    chains = defaultdict(list)
    for index, hold in enumerate(holds):
        chains[hold.wallet].append(index)
    answers = [None] * len(holds)
    while chains:
        turn = [chain.pop(0) for chain in chains.values()]
        chains = {wallet: chain for wallet, chain in chains.items() if chain}
        twins = [
            replace(
                holds[index],
                wallet=holds[index].wallet + TWIN,
                key="twin-" + holds[index].key,
                txn=uuid.uuid4(),
            )
            for index in turn
        ]
        for index, answer in zip(turn, session.hold("hold_batch", twins), strict=True):
            answers[index] = answer
    return answers


def comparable(answer, shift=0):
    wallet = answer.wallet - shift if answer.wallet is not None else None
    return answer.how, answer.code, answer.balance, wallet, answer.amount


def test_fold_answers_and_writes_what_its_holds_would_one_by_one(limits, session):
    draw = random.Random(SEED)
    make_programs(limits, draw)
    make_wallets(limits, draw, CASES * 4)
    own, other = session(limits), session(limits)
    seen = set()

    for case in range(CASES):
        wallets = [case * 4 + place for place in (1, 2, 3, 4)][: draw.choice([1, 2, 4])]
        earlier = []
        for _ in range(ROUNDS):
            holds = draw_batch(draw, wallets, earlier)
            locked = [wallet for wallet in wallets if draw.random() < 0.1]
            with other.connection.transaction():
                other.lock(locked + [wallet + TWIN for wallet in locked])
                expected = one_by_one(own, holds)
                answers = own.hold("hold_fold", holds)
            told = [comparable(answer) for answer in answers]
            assert told == [comparable(answer, TWIN) for answer in expected], (case, holds)
            earlier += [hold for hold, answer in zip(holds, answers, strict=True) if answer.wallet]
            seen.update(codes(answers))

    assert unequal_twins(limits) == []
    decided = {("new", code) for code in "00 12 14 46 51 54 57 61 62 65 93".split()}
    assert decided | {("replay", "00"), ("busy", "-1"), ("late", "68")} <= seen


def unequal_twins(database):
    """Wallets, ledgers and decisions that differ between the folded and their twins."""
    return database.rows(
        f"""WITH side AS (
          SELECT w.wallet_id % {TWIN} AS wallet, w.wallet_id < {TWIN} AS folded,
                 to_jsonb(w) - 'wallet_id' AS state,
                 (SELECT jsonb_agg(jsonb_build_array(t.wallet_version, t.amount, t.balance_after,
                                                     t.credit_account, t.kind, s.code)
                                   ORDER BY t.wallet_version)
                    FROM pay.transfer t JOIN pay.simulation s USING (txn_id)
                   WHERE t.debit_account = w.wallet_id) AS ledger,
                 (SELECT jsonb_agg(jsonb_build_array(s.code, s.amount, s.balance_after, s.replays)
                                   ORDER BY s.code, s.amount, s.balance_after, s.replays)
                    FROM pay.simulation s WHERE s.wallet_id = w.wallet_id) AS decisions
            FROM pay.wallet w)
        SELECT wallet FROM (SELECT wallet, state, ledger, decisions FROM side GROUP BY 1, 2, 3, 4
                            HAVING count(*) <> 2) odd
        UNION ALL
        SELECT t.debit_account FROM pay.transfer t
         GROUP BY t.debit_account
        HAVING max(t.wallet_version) - min(t.wallet_version) + 1 <> count(*)"""
    )


# ---- keys that somebody else claims meanwhile ----


def claimed_meanwhile(database, session, name, holds, key):
    """Runs the holds while another session claims `key` and commits as soon as they wait for it."""
    other, own = session(database), session(database)
    stranger = Hold(wallet=1, amount=1, key=key)
    with ThreadPoolExecutor(1) as pool:
        with other.connection.transaction():
            assert codes(other.hold("hold_batch", [stranger])) == [("new", "00")]
            answers = pool.submit(own.hold, name, holds)
            blocked(database)
        return own, stranger, answers


def test_fold_fails_whole_when_the_key_of_an_approved_member_is_lost(database, book, session):
    wallet, key = book.wallet(balance=1_000), new_key()
    holds = [Hold(wallet), Hold(wallet, key=key), Hold(wallet)]

    own, stranger, answers = claimed_meanwhile(database, session, "hold_fold", holds, key)

    with pytest.raises(psycopg.errors.DivisionByZero):
        answers.result()
    assert (book.balance(wallet), book.decisions(wallet)) == (1_000, 0)
    again = own.hold("hold_fold", holds)
    assert codes(again) == [("new", "00"), ("replay", "00"), ("new", "00")]
    assert again[1].txn == stranger.txn
    assert (again[2].balance, book.balance(wallet)) == (800, 800)


@pytest.mark.parametrize("name", HOLDS)
def test_declined_member_whose_key_is_lost_is_told_what_won(database, book, session, name):
    wallet, key = book.wallet(balance=1_000), new_key()
    lost = Hold(wallet if name == "hold_fold" else book.wallet(balance=1), amount=5_000, key=key)
    holds = [Hold(wallet), lost] + ([Hold(wallet)] if name == "hold_fold" else [])

    _, stranger, answers = claimed_meanwhile(database, session, name, holds, key)

    answers = answers.result()
    assert codes(answers)[:2] == [("new", "00"), ("race", "00")]
    assert (answers[1].txn, answers[1].wallet) == (stranger.txn, stranger.wallet)
    assert book.balance(wallet) == answers[0 if name == "hold_batch" else -1].balance


def test_approved_member_of_the_plain_batch_that_lost_its_key_moves_nothing(
    database, book, session
):
    wallet, other, key = book.wallet(), book.wallet(), new_key()

    _, _, answers = claimed_meanwhile(
        database, session, "hold_batch", [Hold(wallet, key=key), Hold(other)], key
    )

    assert codes(answers.result()) == [("race", "00"), ("new", "00")]
    assert (book.balance(wallet), book.balance(other)) == (100_000, 99_900)


@pytest.mark.parametrize("name", HOLDS)
def test_wait_for_a_key_ends_with_the_sessions_limit(database, book, session, name):
    wallet, key = book.wallet(), new_key()
    other, own = session(database), session(database)

    with other.connection.transaction():
        other.hold("hold_batch", [Hold(wallet=1, amount=1, key=key)])
        own.connection.execute("SET lock_timeout = '5ms'")
        with pytest.raises(psycopg.errors.LockNotAvailable):
            own.hold(name, [Hold(wallet, key=key)])

    assert book.decisions(wallet) == 0
    assert codes(own.hold(name, [Hold(wallet)])) == [("new", "00")]


# ---- wallets that somebody else has locked, or changes ----


@pytest.mark.parametrize("name", HOLDS)
def test_hold_of_a_locked_wallet_is_busy_at_once_and_the_others_go_on(
    database, book, session, name
):
    locked, free = book.wallet(), book.wallet()
    other, own = session(database), session(database)

    with other.connection.transaction():
        other.lock([locked])
        answers = own.hold(name, [Hold(locked), Hold(free)])

    assert codes(answers) == [("busy", "-1"), ("new", "00")]
    assert book.decisions(locked) == 0


@pytest.mark.parametrize("name", HOLDS)
def test_new_row_comes_from_the_locked_row_not_from_the_snapshot(database, book, session, name):
    """A credit that commits between snapshot and lock: the stale row would be overdrawn."""
    wallet = book.wallet(balance=500)
    own, other = session(database, stopping), session(database)
    other.hold("hold_batch", [Hold(wallet, amount=400)])

    with database.connect() as gate, ThreadPoolExecutor(1) as pool:
        gate.execute("SELECT pg_advisory_lock(%s)", [STOP])
        answer = pool.submit(own.hold, name, [Hold(wallet, amount=300)])
        blocked(database)
        book.top_up(wallet, 1_000)
        gate.execute("SELECT pg_advisory_unlock(%s)", [STOP])

        assert answer.result()[0].balance == 800
    assert book.balance(wallet) == 800


def test_holds_against_voids_of_nearly_empty_wallets_never_fail(database, book, session):
    wallets = [book.wallet(balance=120) for _ in range(2)]
    sessions = [session(database) for _ in range(4)]
    standing, lock = [], threading.Lock()

    def spend_and_give_back(index):
        own, draw = sessions[index], random.Random(SEED + index)
        for _ in range(60):
            holds = [Hold(draw.choice(wallets), draw.choice([50, 100])) for _ in range(4)]
            answers = own.hold("hold_fold", holds)
            held = [answer.txn for answer in answers if answer.code == "00"]
            with lock:
                standing.extend(held)
                picked = [standing.pop(draw.randrange(len(standing))) for _ in standing[:2]]
            kept = [txn for txn in picked if own.void(txn).how == "busy"]
            with lock:
                standing.extend(kept)
        return True

    assert in_threads(len(sessions), spend_and_give_back) == [True] * len(sessions)
    assert {sessions[0].void(txn).how for txn in standing} <= {"new"}
    assert [book.balance(wallet) for wallet in wallets] == [120, 120]


# ---- plans ----

MANY_ROWS = """
INSERT INTO pay.program VALUES
  (1, 'eu-south-2', 'ES', 'meal', 'EUR', 'Europe/Madrid', 9, 9, 9, 9, -1);
INSERT INTO pay.wallet (wallet_id, program_id, valid_thru, balance)
  SELECT i, 1, '2099-12-31', 0 FROM generate_series(1, 20000) i;
INSERT INTO pay.simulation (txn_id, client_id, idem_hash, fingerprint, wallet_id, amount, currency,
                            mcc, effect, code, processing_us, created_at)
  SELECT gen_random_uuid(), 1, decode(md5(i::text), 'hex'), '', i, 1, 'EUR', 5812, 'H', '00', 1, now()
    FROM generate_series(1, 20000) i;
INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                          balance_after, created_at)
  SELECT txn_id, wallet_id, -1, 1, 'H', 1, 0, now() FROM pay.simulation
"""


def test_generic_plans_read_the_large_tables_by_index_whatever_their_size(cluster, binary, session):
    own = Database(cluster, "plans")
    own.create()
    migrate(own)

    assert scans_of_large_tables(session(own)) == set()
    own.run(MANY_ROWS)
    own.run("VACUUM ANALYZE")
    assert scans_of_large_tables(session(own)) == set()


def scans_of_large_tables(session):
    found = set()
    for name, types in TYPES.items():
        nothing = ", ".join(["NULL"] * (types.count(",") + 1))
        plan = session.connection.execute(f"EXPLAIN EXECUTE {name} ({nothing})").fetchall()
        large = re.compile(r"on (wallet|simulation|transfer)\b")
        touched = [line for (line,) in plan if large.search(line)]
        assert any("Index" in line for line in touched)
        found.update((name, line) for line in touched if "Seq Scan" in line)
    return found
