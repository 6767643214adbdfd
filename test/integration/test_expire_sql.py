"""expire_batch.sql alone: what it gives back, only clears or leaves, and how it goes on."""

import uuid
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness.expiry import Expirer, stopping
from harness.machine import wait_until
from harness.overdue import forget_all, hold_overdue, make_overdue, releases, standing
from harness.payments import SEED, Book
from harness.postgres import Database
from harness.service import migrate
from harness.statements import STOP, Hold, Session

LOCK = "SELECT 1 FROM pay.wallet WHERE wallet_id = ANY (%s) FOR NO KEY UPDATE"


@pytest.fixture
def expirer(database, book):
    forget_all(database)
    own = Expirer(database)
    yield own
    own.connection.close()


@pytest.fixture
def session(database):
    own = Session(database)
    yield own
    own.connection.close()


@pytest.fixture(scope="module")
def loose(cluster):
    """Wallets whose counters a test may change: then they are not the ledger's any more."""
    own = Database(cluster, "expire_loose")
    own.create()
    migrate(own)
    own.run(SEED)
    return Book(own)


def wallet_row(database, wallet):
    (row,) = database.rows(
        "SELECT balance, version, day_spent, day_count, month_spent FROM pay.wallet"
        " WHERE wallet_id = %s",
        wallet,
    )
    return row


def ledger(database, hold):
    """(kind, amount, version, balance after, first step) of a hold's rows."""
    return database.rows(
        "SELECT kind::text, amount, wallet_version, balance_after, pending_id IS NOT NULL"
        " FROM pay.transfer WHERE txn_id = %s OR coalesce(hold_id, pending_id) = %s"
        " ORDER BY wallet_version",
        hold,
        hold,
    )


def lived(database, session, wallet, steps, amount=100):
    """A hold that went through these steps, (kind, amount) each, before its time was over."""
    (held,) = session.hold("hold_batch", [Hold(wallet, amount)])
    for kind, part in steps:
        assert session.step(kind, held.txn, part).how == "new"
    make_overdue(database, [held.txn])
    return held.txn


def date_back(database, hold, days):
    database.run(
        "UPDATE pay.transfer SET created_at = created_at - %s * interval '1 day'"
        " WHERE txn_id = %s",
        days,
        hold,
    )


def void_as_before(database, hold):
    """As the version before this ledger writes it."""
    database.run(
        """
        WITH h AS (SELECT * FROM pay.transfer WHERE txn_id = %s), w AS (
          UPDATE pay.wallet w
             SET balance = w.balance + h.amount, version = w.version + 1,
                 day_spent = w.day_spent - h.amount, day_count = w.day_count - 1,
                 month_spent = w.month_spent - h.amount
            FROM h WHERE w.wallet_id = h.debit_account RETURNING w.*)
        INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,
                                  wallet_version, balance_after, created_at, pending_id)
        SELECT gen_random_uuid(), h.credit_account, h.debit_account, h.amount, 'V', w.version,
               w.balance, now(), h.txn_id
          FROM h, w""",
        hold,
    )


def test_open_hold_gives_everything_back_once(database, book, expirer):
    wallet = book.wallet(balance=1_000)
    (hold,) = hold_overdue(database, [wallet], amount=300)
    assert wallet_row(database, wallet) == (700, 2, 300, 1, 300)

    first, second = expirer.ask(), expirer.ask()

    assert (first.looked, first.released, first.cleared) == (1, 1, 0)
    assert first.last_txn_id == hold and first.last_overdue_us > 3_500_000_000
    assert first.left_overdue_us is None
    assert (second.looked, second.released, second.last_txn_id) == (0, 0, None)
    assert wallet_row(database, wallet) == (1_000, 3, 0, 0, 0)
    assert ledger(database, hold) == [("H", 300, 2, 700, False), ("X", 300, 3, 1_000, True)]
    assert standing(database, [hold]) == 0


def test_hold_whose_time_has_not_come_is_not_looked_at(database, book, expirer):
    wallet = book.wallet()
    (hold,) = hold_overdue(database, [wallet])
    make_overdue(database, [hold], since_s=-60)

    assert expirer.ask().looked == 0
    assert standing(database, [hold]) == 1


@pytest.mark.parametrize("steps", [[("V", 100)], [("C", 100)], [("C", 60), ("V", 40)]])
def test_closed_hold_only_loses_its_expiry(database, book, expirer, session, steps):
    wallet = book.wallet(balance=1_000)
    hold = lived(database, session, wallet, steps)
    before, rows = wallet_row(database, wallet), ledger(database, hold)

    answer = expirer.ask()

    assert (answer.looked, answer.released, answer.cleared) == (1, 0, 1)
    assert (wallet_row(database, wallet), ledger(database, hold)) == (before, rows)
    assert standing(database, [hold]) == 0


def test_hold_that_the_version_before_has_voided_only_loses_its_expiry(database, book, expirer):
    wallet = book.wallet(balance=1_000)
    (hold,) = hold_overdue(database, [wallet])
    void_as_before(database, hold)

    answer = expirer.ask()

    assert (answer.released, answer.cleared) == (0, 1)
    assert wallet_row(database, wallet) == (1_000, 3, 0, 0, 0)


def test_only_what_is_open_goes_back(database, book, expirer, session):
    wallet = book.wallet(balance=1_000)
    hold = lived(database, session, wallet, [("I", 50), ("C", 70), ("V", 30)])
    assert wallet_row(database, wallet) == (880, 5, 120, 2, 120)

    answer = expirer.ask()

    assert (answer.released, answer.cleared) == (1, 0)
    assert ledger(database, hold)[-1] == ("X", 50, 6, 930, False)
    # What was captured counts for the day, and the hold with it.
    assert wallet_row(database, wallet) == (930, 6, 70, 2, 70)


def test_holds_of_one_wallet_share_the_statement(database, book, expirer):
    wallets = book.many(3, balance=1_000)
    holds = hold_overdue(database, wallets, each=4)

    answer = expirer.ask()

    assert (answer.looked, answer.released) == (12, 12)
    assert [wallet_row(database, wallet) for wallet in wallets] == [(1_000, 9, 0, 0, 0)] * 3
    assert releases(database, holds) == {hold: [100] for hold in holds}


def test_locked_wallet_is_left_and_the_others_are_not(database, book, expirer):
    wallets = book.many(3, balance=1_000)
    holds = hold_overdue(database, wallets, each=2)
    with database.connect() as other, other.transaction():
        other.execute(LOCK, ([wallets[1]],))
        answer = expirer.ask()
    again = expirer.ask()

    assert (answer.released, answer.left) == (4, 2)
    assert answer.left_overdue_us > 3_500_000_000
    assert (again.looked, again.released) == (2, 2)
    assert releases(database, holds) == {hold: [100] for hold in holds}


def test_sweep_goes_on_behind_what_it_had_to_leave(database, book, expirer):
    """One locked wallet's holds are the oldest, and more than a statement looks at."""
    stuck, free = book.wallet(balance=100_000), book.wallet(balance=100_000)
    stuck_holds = hold_overdue(database, [stuck], each=50, since_s=7200)
    free_holds = hold_overdue(database, [free], each=5)
    with database.connect() as other, other.transaction():
        other.execute(LOCK, ([stuck],))
        answers = expirer.sweep(count=10)

    assert sum(answer.left for answer in answers) == 50
    assert sum(answer.released for answer in answers) == 5
    assert standing(database, free_holds) == 0
    assert sum(answer.released for answer in expirer.sweep(count=10)) == 50
    assert releases(database, stuck_holds + free_holds) == {
        hold: [100] for hold in stuck_holds + free_holds
    }


def test_holds_that_are_due_at_one_moment_are_each_looked_at_once(database, book, expirer):
    wallets = book.many(95, balance=1_000)
    holds = hold_overdue(database, wallets)
    database.run(
        "UPDATE pay.simulation SET expires_at = '2020-01-01' WHERE txn_id = ANY (%s)", holds
    )

    answers = expirer.sweep(count=10)

    assert [answer.looked for answer in answers] == [10] * 9 + [5]
    assert sum(answer.released for answer in answers) == 95


def test_holds_are_passed_over(database, book, expirer):
    wallet = book.wallet(balance=1_000)
    holds = hold_overdue(database, [wallet], each=3)

    answer = expirer.ask(count=1, pass_over=1)

    assert (answer.released, answer.last_txn_id) == (1, holds[1])
    assert expirer.ask(pass_over=3).looked == 0
    assert expirer.ask().released == 2


def test_wallet_that_changed_after_the_snapshot_is_left(database, book, expirer, session):
    """A void commits between snapshot and lock: by the snapshot the hold is open."""
    wallet, other = book.wallet(balance=1_000), book.wallet(balance=1_000)
    hold, quiet = hold_overdue(database, [wallet])[0], hold_overdue(database, [other])[0]
    own = Expirer(database, stopping())

    with database.connect() as gate, ThreadPoolExecutor(1) as pool:
        gate.execute("SELECT pg_advisory_lock(%s)", [STOP])
        answer = pool.submit(own.ask)
        wait_until(lambda: database.backends("wait_event_type = 'Lock'"), what="its standstill")
        assert session.void(hold).how == "new"
        gate.execute("SELECT pg_advisory_unlock(%s)", [STOP])
        told = answer.result()
    own.connection.close()

    assert (told.looked, told.released, told.cleared, told.left) == (2, 1, 0, 1)
    assert releases(database, [hold, quiet]) == {quiet: [100]}
    after = expirer.ask()
    assert (after.looked, after.released, after.cleared) == (1, 0, 1)
    assert book.balance(wallet) == 1_000


def test_two_at_once_release_each_hold_once(database, book, expirer):
    wallets = book.many(40, balance=10_000)
    holds = hold_overdue(database, wallets, each=10)
    sessions = [Expirer(database) for _ in range(4)]

    def sweep_until_done(own):
        released = 0
        while standing(database, holds):
            released += sum(answer.released for answer in own.sweep(count=20))
        return released

    with ThreadPoolExecutor(len(sessions)) as pool:
        released = list(pool.map(sweep_until_done, sessions))
    for own in sessions:
        own.connection.close()

    assert sum(released) == len(holds)
    assert releases(database, holds) == {hold: [100] for hold in holds}


def test_another_regions_database_is_left_alone(database, book, expirer):
    (hold,) = hold_overdue(database, [book.wallet()])
    before = book.fingerprint()

    assert expirer.ask(region="mx-central-1") is None

    assert book.fingerprint() == before
    assert expirer.ask().last_txn_id == hold


def test_counter_that_was_reset_keeps_nobody_from_his_money(loose):
    database, wallet = loose.database, loose.wallet(balance=1_000)
    hold_overdue(database, [wallet], each=2)
    database.run("UPDATE pay.wallet SET day_spent = 0, day_count = 0, month_spent = 50")

    assert Expirer(database).ask().released == 2
    assert wallet_row(database, wallet) == (1_000, 5, 0, 0, 0)


def test_hold_of_an_earlier_month_gives_todays_limits_nothing(loose):
    database, wallet = loose.database, loose.wallet(balance=1_000)
    old, new = hold_overdue(database, [wallet], each=2)
    date_back(database, old, days=40)
    database.run(
        "UPDATE pay.wallet SET day_spent = 100, day_count = 1, month_spent = 100"
        " WHERE wallet_id = %s",
        wallet,
    )

    assert Expirer(database).ask(count=1).last_txn_id == old
    assert wallet_row(database, wallet) == (900, 4, 100, 1, 100)
    assert Expirer(database).ask().last_txn_id == new
    assert wallet_row(database, wallet) == (1_000, 5, 0, 0, 0)


def test_wallets_day_moves_forward_with_the_release(loose):
    """As with every other row: the counters are those of the day of the newest."""
    database, wallet = loose.database, loose.wallet(balance=1_000)
    (hold,) = hold_overdue(database, [wallet])
    date_back(database, hold, days=1)
    database.run("UPDATE pay.wallet SET day = day - 1 WHERE wallet_id = %s", wallet)

    assert Expirer(database).ask().released == 1
    assert wallet_row(database, wallet)[2:4] == (0, 0)
    assert database.value(
        "SELECT day = (now() AT TIME ZONE 'Europe/Madrid')::date FROM pay.wallet"
        " WHERE wallet_id = %s",
        wallet,
    )


@pytest.mark.parametrize("is_known", [True, False], ids=["its wallet", "no such wallet"])
def test_decline_that_the_version_before_gave_an_expiry_only_loses_it(
    database, book, expirer, is_known
):
    wallet, txn = book.wallet() if is_known else 999_999_999, uuid.uuid4()
    database.run(
        "INSERT INTO pay.simulation (txn_id, client_id, fingerprint, wallet_id, amount, currency,"
        " mcc, effect, code, processing_us, created_at, expires_at)"
        " VALUES (%s, 1, '', %s, 100, 'EUR', 5812, 'H', %s, 1, now(), now())",
        txn,
        wallet,
        "51" if is_known else "14",
    )

    answer = expirer.ask()

    assert (answer.looked, answer.released, answer.cleared) == (1, 0, 1)
    assert standing(database, [txn]) == 0


def test_what_is_left_is_not_written(database, book, expirer):
    """However often it is looked at: no version of a row, no commit record."""
    wallet = book.wallet(balance=1_000)
    holds = hold_overdue(database, [wallet], each=3)
    states = "SELECT xmin::text, xmax::text, ctid::text FROM pay.simulation WHERE txn_id = ANY (%s)"
    before = database.rows(states, holds)
    with database.connect() as other, other.transaction():
        other.execute(LOCK, ([wallet],))
        assert expirer.ask().left == 3
    assert database.rows(states, holds) == before
    assert expirer.ask().released == 3
