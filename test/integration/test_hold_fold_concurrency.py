"""Holds of few wallets near every limit, through two instances whose connections are killed, while
midnight passes: each answer must be explained by the order of the wallet's versions.

PLA_FOLD_HOLDS says how many holds (4000): 200000 take about three minutes.
"""

import os
import random
from dataclasses import dataclass

import pytest

from harness.decisions import Decision, Limits, State, unexplained
from harness.faults import Killer
from harness.invariants import assert_invariants
from harness.load import Kind, line, run_load, start_load
from harness.machine import wait_until
from harness.payments import FAR, new_key, payload
from harness.service import SIMULATE

HOLDS = int(os.environ.get("PLA_FOLD_HOLDS", "4000"))
LASTING_S = max(3.0, HOLDS / 2500)
AMOUNT_MAX = 100
EACH = HOLDS // 8
"""Holds of one wallet, about; money in them about EACH * AMOUNT_MAX / 2."""
MONEY = EACH * AMOUNT_MAX // 2
BOTH_SHARE, FOREIGN_MCC_SHARE = 0.05, 0.03
FOREIGN_MCC = "5999"


@dataclass
class Wallet:
    number: int
    limits: Limits
    start: State
    first_version: int
    passes_midnight: bool


def zone_with_midnight_in(database, ahead_s):
    """A time zone in POSIX notation, seconds included, where the day ends so soon."""
    return database.value(
        "SELECT to_char((now() + %s * interval '1 second') AT TIME ZONE 'UTC',"
        " '\"PLA+\"HH24:MI:SS')",
        ahead_s,
    )


def make_wallet(book, zone, balance=FAR, txn_max=FAR, day_max=FAR, month_max=FAR, count_max=10**9):
    program = book.program(
        tz=zone or "Europe/Madrid",
        txn_max=txn_max,
        day_max=day_max,
        month_max=month_max,
        day_count_max=count_max,
    )
    limits = Limits(txn_max, day_max, month_max, count_max, frozenset((5812,)))
    number = book.wallet(program, balance)
    return Wallet(number, limits, State(balance), 2, zone is not None)


def add_hold_of_last_month(database, wallet, amount):
    """One in the books, so that the counters in the wallet are those of another month."""
    number, left = wallet.number, wallet.start.balance - amount
    database.run(
        """
        WITH old AS (SELECT gen_random_uuid() AS txn_id, now() - interval '40 days' AS at),
        s AS (INSERT INTO pay.simulation (txn_id, client_id, idem_hash, fingerprint, wallet_id,
                amount, currency, mcc, effect, code, balance_after, processing_us, created_at)
              SELECT txn_id, 1, pay.idempotency_hash(%s), '', %s, %s, 'EUR', 5812, 'H', '00', %s, 0, at FROM old),
        t AS (INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,
                wallet_version, balance_after, created_at)
              SELECT txn_id, %s, p.clearing_account, %s, 'H', 2, %s, at
                FROM old, pay.program p JOIN pay.wallet w USING (program_id) WHERE w.wallet_id = %s)
        UPDATE pay.wallet w SET balance = %s, version = 2, day_spent = %s, day_count = 1,
               month_spent = %s, day = (old.at AT TIME ZONE p.tz)::date
          FROM old, pay.program p WHERE w.wallet_id = %s AND p.program_id = w.program_id""",
        *(new_key(), number, amount, left, number, amount, left, number),
        *(left, amount, amount, number),
    )
    day = database.value("SELECT day FROM pay.wallet WHERE wallet_id = %s", number)
    wallet.start = State(left, day, amount, 1, amount)
    wallet.first_version = 3


@pytest.fixture
def wallets(database, book):
    """Eight, each near another limit; five of them meet a midnight in the middle of the load."""
    zone = zone_with_midnight_in(database, 2 + 0.4 * LASTING_S)
    made = [
        make_wallet(book, None, balance=MONEY // 2),
        make_wallet(book, None, txn_max=AMOUNT_MAX // 2),
        make_wallet(book, None, month_max=MONEY // 2, count_max=EACH // 3),
        make_wallet(book, zone, day_max=MONEY // 5),
        make_wallet(book, zone, count_max=EACH // 5),
        make_wallet(book, zone, month_max=MONEY // 2, day_max=MONEY // 3),
        make_wallet(book, zone, balance=MONEY // 2, day_max=MONEY // 5, count_max=EACH // 3),
        make_wallet(book, zone, balance=MONEY, month_max=MONEY * 2 // 3, count_max=EACH // 2),
    ]
    add_hold_of_last_month(database, made[-1], MONEY // 3)
    return made


@dataclass
class Hold:
    wallet: int
    amount: int
    mcc: str
    key: str
    instances: tuple

    def line(self):
        merchant = {"mcc": self.mcc, "country": "ES"}
        return line(
            "POST", SIMULATE, self.key, payload(self.wallet, self.amount, merchant=merchant)
        )


def make_holds(wallets, seed):
    chance = random.Random(seed)
    holds = []
    for _ in range(HOLDS):
        mcc = FOREIGN_MCC if chance.random() < FOREIGN_MCC_SHARE else "5812"
        one = chance.randrange(2)
        at = (0, 1) if chance.random() < BOTH_SHARE else (one,)
        wallet = chance.choice(wallets).number
        holds.append(Hold(wallet, chance.randint(1, AMOUNT_MAX), mcc, new_key(), at))
    return holds


def load_with_kills(database, services, holds, seed):
    """Everything once, at its time: the answers of both instances."""
    lines = [[hold.line() for hold in holds if at in hold.instances] for at in (0, 1)]
    kinds = [
        Kind(
            f"instance{at}",
            service.port,
            lines[at],
            rate=len(lines[at]) / LASTING_S,
            connections=64,
            once=True,
        )
        for at, service in enumerate(services)
    ]
    with Killer(database, random.Random(seed)) as killer:
        results = start_load(kinds, LASTING_S * 1.2, 0).result()
    print(f"   {killer.killed} backends killed")
    for name, counted in results.items():
        print(f"   {name} {counted}")
    return [answer for counted in results.values() for answer in counted.every]


def ask_again(services, holds):
    """Each key again, at an instance by chance, until it is decided: {key: body}."""
    bodies = {}

    def all_decided():
        missing = [hold for hold in holds if hold.key not in bodies]
        kinds = [
            Kind(
                f"again{at}",
                service.port,
                [hold.line() for hold in missing[at::2]],
                connections=16,
                once=True,
            )
            for at, service in enumerate(services)
            if missing[at::2]
        ]
        for counted in run_load(kinds, 600, 0).values() if kinds else ():
            assert set(counted.statuses()) <= {201, 409, 503, 504}, str(counted)
            bodies.update({one.key: one.body for one in counted.every if one.status == 201})
        return len(bodies) == len(holds)

    wait_until(all_decided, 120, "a decision on every key")
    return bodies


def decisions_of(database, wallet):
    return [
        Decision(*row)
        for row in database.rows(
            "SELECT s.idem_hash, s.amount, s.mcc, s.code::text, s.balance_after,"
            " (s.created_at AT TIME ZONE p.tz)::date, t.wallet_version"
            "  FROM pay.simulation s JOIN pay.wallet w USING (wallet_id)"
            "  JOIN pay.program p USING (program_id) LEFT JOIN pay.transfer t USING (txn_id)"
            " WHERE s.wallet_id = %s AND s.created_at > now() - interval '1 day'",
            wallet.number,
        )
    ]


def check_bodies(bodies, decisions):
    for one in decisions:
        body = bodies[one.key]
        assert f'"response_code":"{one.code}"'.encode() in body, (one, body)
        assert f'"balance_after":{one.balance_after}'.encode() in body, (one, body)


def test_every_answer_is_explained_by_the_order_of_versions(
    start_service, database, book, wallets
):
    seed = random.SystemRandom().randrange(10**9)
    print(f"   seed {seed}")
    services = [start_service(), start_service()]
    holds = make_holds(wallets, seed)

    told = load_with_kills(database, services, holds, seed)
    for service in services:
        wait_until(service.ready, 5, "readiness after the kills")
    bodies = ask_again(services, holds)
    replayed = ask_again(services[::-1], holds)

    assert {answer.status for answer in told} <= {201, 409, 503, 504}
    created = [answer for answer in told if answer.status == 201]
    assert len(created) > HOLDS / 2
    assert [one for one in created if bodies[one.key] != one.body] == []
    assert replayed == bodies
    by_hash = {database.key_hash(key): body for key, body in bodies.items()}
    codes, days = {}, {}
    for wallet in wallets:
        decisions = decisions_of(database, wallet)
        check_bodies(by_hash, decisions)
        assert unexplained(wallet.limits, wallet.start, wallet.first_version, decisions) == []
        for one in decisions:
            codes[one.code] = codes.get(one.code, 0) + 1
        days[wallet.number] = {one.today for one in decisions if one.version}
    print(f"   codes {codes}")
    assert sum(codes.values()) == HOLDS
    assert set(codes) == {"00", "51", "57", "61", "65"}
    assert {len(days[wallet.number]) for wallet in wallets if wallet.passes_midnight} == {2}
    assert_invariants(database)
