"""Requests that fail or dawdle each time: they cost themselves, and in the end not even that."""

import pytest

from harness.load import Kind, evaluate_lines, hold_lines
from harness.machine import wait_until
from harness.neighbours import EAGER, WALLETS, Neighbours, assert_unnoticed, late_refusals
from harness.payments import new_key, payload, post, problem

pytestmark = pytest.mark.measured


def broken(database, book):
    """A wallet whose next version the ledger has already: every hold on it ends in 23505."""
    wallet = book.wallet(balance=10**6)
    database.run(
        "INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,"
        " wallet_version, balance_after, created_at)"
        " VALUES (gen_random_uuid(), -1000, %s, 1, 'F', 2, 1, now())",
        wallet,
    )
    return wallet


@pytest.fixture
def broken_wallet(database, book):
    wallet = broken(database, book)
    yield wallet
    mend(database, wallet)


@pytest.fixture
def broken_wallets(database, book):
    wallets = [broken(database, book) for _ in range(40)]
    yield wallets
    for wallet in wallets:
        mend(database, wallet)


@pytest.fixture
def lost_wallet(database, book):
    """A wallet of a program in a time zone that is none: whatever is asked about it is an error."""
    program = book.program(tz="Nowhere/Land")
    yield book.wallet(program, balance=10**6)
    database.run(
        "UPDATE pay.program SET tz = 'Europe/Madrid' WHERE program_id = %s", program.program_id
    )


def mend(database, wallet):
    database.run(
        "DELETE FROM pay.transfer WHERE credit_account = %s AND wallet_version = 2 AND kind = 'F'",
        wallet,
    )


@pytest.fixture
def slow_wallet(database, book):
    """Every hold on this wallet takes 200 ms once its statement runs."""
    wallet = book.wallet(balance=10**6)
    database.run(f"""
        CREATE FUNCTION pay.dawdle() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(0.2); RETURN NEW; END $$;
        CREATE TRIGGER dawdle BEFORE INSERT ON pay.simulation FOR EACH ROW
          WHEN (NEW.wallet_id = {wallet}) EXECUTE FUNCTION pay.dawdle()""")
    yield wallet
    database.run("DROP TRIGGER dawdle ON pay.simulation; DROP FUNCTION pay.dawdle()")


def of_poison(answer):
    return answer.status == 503 and answer.problem() == "wallet-unavailable"


def test_a_wallet_that_breaks_the_ledger_costs_itself(start_service, broken_wallet):
    service = start_service(EAGER)
    neighbours = Neighbours([service])
    asked = Kind("broken", service.port, hold_lines([broken_wallet]), rate=100, connections=64)

    quiet, hurt = neighbours.compare(lambda: [asked])

    found = late_refusals(quiet, hurt["broken"])
    known = sum(map(of_poison, hurt["broken"].answers))
    if known < 0.9 * hurt["broken"].offered:
        found.append(f"answered wallet-unavailable {known}: {hurt['broken']}")
    assert_unnoticed(quiet, hurt, found)


def test_many_wallets_that_break_the_ledger_cost_themselves(start_service, broken_wallets):
    """Statements fail again and again, with all that is in them, until each wallet is known."""
    service = start_service(EAGER)
    neighbours = Neighbours([service])
    asked = Kind("broken", service.port, hold_lines(broken_wallets), rate=200, connections=64)

    quiet, hurt = neighbours.compare(lambda: [asked])

    found = []
    known = sum(map(of_poison, hurt["broken"].answers))
    if known < 0.5 * hurt["broken"].offered:
        found.append(f"answered wallet-unavailable {known}: {hurt['broken']}")
    assert_unnoticed(quiet, hurt, found)


def test_evaluates_of_a_broken_program_cost_themselves(start_service, lost_wallet):
    service = start_service(EAGER)
    neighbours = Neighbours([service])
    asked = Kind("broken", service.port, evaluate_lines([lost_wallet]), rate=100, connections=64)

    quiet, hurt = neighbours.compare(lambda: [asked])

    found = late_refusals(quiet, hurt["broken"])
    known = sum(map(of_poison, hurt["broken"].answers))
    if known < 0.9 * hurt["broken"].offered:
        found.append(f"answered wallet-unavailable {known}: {hurt['broken']}")
    assert_unnoticed(quiet, hurt, found)


def test_a_slow_wallet_costs_itself(start_service, slow_wallet):
    service = start_service(EAGER)
    neighbours = Neighbours([service])
    asked = Kind("slow", service.port, hold_lines([slow_wallet]), rate=5, connections=16)

    quiet, hurt = neighbours.compare(lambda: [asked])

    assert_unnoticed(quiet, hurt)
    assert set(hurt["slow"].statuses()) <= {409, 503, 504}, str(hurt["slow"])


def poisoned(service, wallet):
    """An answer that says so, asked for again and again beside holds of other wallets: where nobody
    is served, it is not the wallet that is broken."""

    def told():
        for other in WALLETS[:4]:
            assert post(service, payload(other), new_key()).status == 201
        answer = post(service, payload(wallet), new_key())
        known = answer.status == 503 and problem(answer) == "wallet-unavailable"
        return answer if known else None

    return wait_until(told, 5, "a wallet known as poisoned")


def test_a_poisoned_wallet_is_told_counted_and_recovers(start_service, broken_wallet, database):
    service = start_service({**EAGER, "POISON_HOLD_S": "1"})

    answer = poisoned(service, broken_wallet)

    metrics = service.metrics()
    assert metrics.value("lane_poisoned_wallets") == 1
    assert metrics.value("lane_poisoned_total") == 1
    assert len(wait_until(lambda: service.events("wallet_poisoned"))) == 1
    assert answer.header("Retry-After") is not None

    mend(database, broken_wallet)
    wait_until(
        lambda: post(service, payload(broken_wallet), new_key()).status == 201, 5, "a decision"
    )

    assert service.metrics().value("lane_poisoned_wallets") == 0
    assert len(wait_until(lambda: service.events("wallet_recovered"))) == 1


def test_one_request_at_a_time_tries_a_poisoned_wallet_again(start_service, broken_wallet):
    """After each hold one request meets the database again, and the wallet stays poisoned."""
    service = start_service({**EAGER, "POISON_HOLD_S": "1"})
    poisoned(service, broken_wallet)
    neighbours = Neighbours([service], lasting_s=2.5, rounds=1)
    asked = Kind("broken", service.port, hold_lines([broken_wallet]), rate=200, connections=64)

    _, hurt = neighbours.compare(lambda: [asked])

    tried = sum(not of_poison(answer) for answer in hurt["broken"].answers)
    print(f"   tried again {tried} times of {hurt['broken'].offered}")
    assert 1 <= tried <= 4
    assert service.metrics().value("lane_poisoned_total") == 1
    assert len(service.events("wallet_poisoned")) == 1
    assert service.events("wallet_recovered") == []
