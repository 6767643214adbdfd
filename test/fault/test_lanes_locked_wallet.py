"""One wallet that another session holds: its own requests wait or are refused, nobody else's."""

import threading
from contextlib import contextmanager

import pytest

from harness.faults import LOCK_WALLET, post_until_created
from harness.load import Counted, Kind, find_lines, hold_lines, run_load, send_all, void_lines
from harness.machine import seconds
from harness.neighbours import EAGER, Neighbours, assert_unnoticed, hold_ids
from harness.payments import new_key

pytestmark = pytest.mark.measured


@pytest.fixture
def lock(database):
    """lock(wallet): a context in which another session holds the wallet."""

    @contextmanager
    def locked(wallet):
        with database.connect() as other:
            other.execute("BEGIN")
            other.execute(LOCK_WALLET, (wallet,))
            yield
            other.execute("ROLLBACK")

    return locked


def test_a_locked_wallet_is_its_own_trouble(start_service, book, lock):
    service, wallet = start_service(EAGER), book.wallet(balance=10**6)
    neighbours = Neighbours([service])
    asked = [Kind("locked", service.port, hold_lines([wallet]), rate=60, connections=64)]

    quiet, hurt = neighbours.compare(lambda: asked, lambda: lock(wallet))

    assert_unnoticed(quiet, hurt)
    assert set(hurt["locked"].statuses()) <= {409, 503, 504}, str(hurt["locked"])
    post_until_created(service, wallet, new_key())


def test_many_locked_wallets_are_their_own_trouble(start_service, database, book):
    """More wallets than connections: waiting for each must cost none."""
    service = start_service(EAGER)
    wallets = [book.wallet(balance=10**6) for _ in range(16)]
    neighbours = Neighbours([service])
    asked = [Kind("locked", service.port, hold_lines(wallets), rate=100, connections=64)]

    @contextmanager
    def all_locked():
        with database.connect() as other:
            other.execute("BEGIN")
            for wallet in wallets:
                other.execute(LOCK_WALLET, (wallet,))
            yield
            other.execute("ROLLBACK")

    quiet, hurt = neighbours.compare(lambda: asked, all_locked)

    assert_unnoticed(quiet, hurt)
    assert set(hurt["locked"].statuses()) <= {409, 503, 504}, str(hurt["locked"])
    for wallet in wallets:
        post_until_created(service, wallet, new_key())


def test_voids_of_a_locked_wallet_are_its_own_trouble(start_service, book, lock):
    service, wallet = start_service(EAGER), book.wallet(balance=10**6)
    neighbours = Neighbours([service])
    ids = hold_ids(service, [wallet], 40)
    asked = [Kind("locked", service.port, void_lines(ids), rate=60, connections=64)]

    quiet, hurt = neighbours.compare(lambda: asked, lambda: lock(wallet))

    assert_unnoticed(quiet, hurt)
    assert set(hurt["locked"].statuses()) <= {409, 503, 504}, str(hurt["locked"])


def test_a_crowd_of_finds_leaves_the_service_ready(start_service):
    service = start_service(EAGER)
    neighbours = Neighbours([service], rates={"finds": 0})
    crowd = Kind(
        "crowd",
        service.port,
        find_lines(neighbours.found),
        connections=600,
        think_ms=40,
        pause_ms=100,
    )

    quiet, hurt = neighbours.compare(lambda: [crowd])

    assert_unnoticed(quiet, hurt)


class Credits(threading.Thread):
    """Another session that tops up wallets one after another, each in a transaction that stays open
    for as long as a hold may come to wait behind it."""

    OPEN_S = 0.02

    def __init__(self, database, wallets, amount):
        super().__init__(daemon=True)
        self.database = database
        self.wallets = wallets
        self.amount = amount
        self.stopping = threading.Event()
        self.made = 0
        self.failures = []

    def run(self):
        try:
            with self.database.connect() as other:
                while not self.stopping.is_set():
                    self._credit(other, self.wallets[self.made % len(self.wallets)])
        except Exception as failure:  # told by stop()
            self.failures.append(failure)

    def _credit(self, other, wallet):
        other.execute("BEGIN")
        other.execute(
            "WITH w AS (UPDATE pay.wallet SET balance = balance + %s, version = version + 1"
            " WHERE wallet_id = %s RETURNING wallet_id, version, balance)"
            " INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,"
            " wallet_version, balance_after, created_at)"
            " SELECT gen_random_uuid(), -1000, wallet_id, %s, 'F', version, balance, now() FROM w",
            (self.amount, wallet, self.amount),
        )
        self.stopping.wait(self.OPEN_S)
        other.execute("COMMIT")
        self.made += 1

    def stop(self):
        self.stopping.set()
        self.join(seconds(10))
        assert self.failures == []


def test_holds_behind_credits_of_nearly_empty_wallets_are_decided(start_service, database, book):
    """What is decided on the locked row must be computed from it: never a 500."""
    service = start_service(EAGER)
    wallets = [book.wallet(balance=132) for _ in range(4)]
    credits = Credits(database, wallets, 300)
    credits.start()
    kinds = [Kind("holds", service.port, hold_lines(wallets, 300), rate=200, connections=64)]
    got = run_load(kinds, 3, 0)["holds"]
    credits.stop()

    print(f"   {credits.made} credits; holds {got}")
    codes = [a.json()["response_code"] for a in got.answers if a.status == 201]
    assert set(got.statuses()) <= {201, 409, 503, 504}, got.statuses()
    assert codes.count("00") > credits.made / 2, "hardly a hold met its credit"


@pytest.fixture
def slow_voids(database, book):
    """Eight wallets with 300 each, whose voids take 15 ms once they have the wallet."""
    wallets = [book.wallet(balance=300) for _ in range(8)]
    database.run(f"""
        CREATE FUNCTION pay.void_slowly() RETURNS trigger LANGUAGE plpgsql AS
          $$ BEGIN PERFORM pg_sleep(0.015); RETURN NEW; END $$;
        CREATE TRIGGER void_slowly BEFORE INSERT ON pay.transfer FOR EACH ROW
          WHEN (NEW.kind = 'V' AND NEW.credit_account BETWEEN {wallets[0]} AND {wallets[-1]})
          EXECUTE FUNCTION pay.void_slowly()""")
    yield wallets
    database.run("DROP TRIGGER void_slowly ON pay.transfer; DROP FUNCTION pay.void_slowly()")


def approved(answers):
    return [
        answer.json()["transaction_id"]
        for answer in answers
        if answer.status == 201 and answer.json()["response_code"] == "00"
    ]


def test_holds_behind_voids_of_nearly_empty_wallets_are_decided(start_service, slow_voids):
    service, got, met = start_service(EAGER), Counted(), 0
    lines = hold_lines(slow_voids, 300)
    held = approved(send_all(service.port, lines, 8).answers)
    for _ in range(8):
        kinds = [
            Kind("voids", service.port, void_lines(held), rate=80, once=True),
            Kind("holds", service.port, lines, rate=400, connections=32),
        ]
        results = run_load(kinds, 0.3, 0)
        got += results["holds"]
        held = approved(results["holds"].answers)
        met += len(held)
        lines = hold_lines(slow_voids, 300)
        held += approved(send_all(service.port, lines, 8).answers)
        lines = hold_lines(slow_voids, 300)

    print(f"   holds beside voids {got}, {met} approved")
    assert set(got.statuses()) <= {201, 409, 503, 504}, got.statuses()
    assert met > 0, "no hold met a void"
