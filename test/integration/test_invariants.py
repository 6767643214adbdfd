"""Holds, replays and voids at random, from many threads over few wallets; then the whole ledger."""

import random
from collections import Counter

import pytest

from harness.invariants import violations
from harness.machine import in_threads
from harness.payments import hold, new_key, payload, post, void

THREADS, STEPS, WALLETS, BALANCE = 24, 30, 6, 5_000


class Client:
    """One thread's calls, and what it was told."""

    def __init__(self, service, wallets, seed):
        self.service = service
        self.wallets = wallets
        self.random = random.Random(seed)
        self.done = []
        self.voided = []
        self.statuses = Counter()

    def run(self):
        for _ in range(STEPS):
            self.random.choices([self.hold, self.replay, self.void], [6, 2, 2])[0]()

    def hold(self):
        wallet, amount, key = (
            self.random.choice(self.wallets),
            self.random.randint(1, 200),
            new_key(),
        )
        answer = post(self.service, payload(wallet, amount), key)
        self.statuses[answer.status] += 1
        if answer.status == 201:
            self.done.append((wallet, amount, key, answer))

    def replay(self):
        if self.done:
            wallet, amount, key, first = self.random.choice(self.done)
            answer = post(self.service, payload(wallet, amount), key)
            self.statuses[answer.status] += 1
            assert answer.body == first.body

    def void(self):
        if self.done:
            wallet, amount, _, answer = self.random.choice(self.done)
            status = void(self.service, answer.json()["transaction_id"]).status
            if status == 200:
                self.voided.append((wallet, amount))

    def spent(self, wallet):
        held = sum(
            amount
            for own, amount, _, answer in self.done
            if own == wallet and answer.json()["status"] == "approved"
        )
        return held - sum(amount for own, amount in self.voided if own == wallet)


def test_random_load_leaves_exactly_what_the_clients_were_told(service, book):
    wallets = [book.wallet(balance=BALANCE) for _ in range(WALLETS)]
    clients = [Client(service, wallets, seed) for seed in range(THREADS)]

    in_threads(THREADS, lambda index: clients[index].run())

    assert set(sum((client.statuses for client in clients), Counter())) == {201}
    told = {wallet: BALANCE - sum(client.spent(wallet) for client in clients) for wallet in wallets}
    assert {wallet: book.balance(wallet) for wallet in wallets} == told


def test_wallet_is_never_overdrawn_by_a_rush(service, book):
    wallet = book.wallet(balance=7_050)

    answers = in_threads(60, lambda _: post(service, payload(wallet, 700), new_key()))

    codes = Counter(answer.json()["response_code"] for answer in answers)
    assert codes == {"00": 10, "51": 50}
    assert book.balance(wallet) == 50


def test_count_limit_holds_in_a_rush(service, book):
    wallet = book.wallet(book.program(day_count_max=7))

    answers = in_threads(40, lambda _: post(service, payload(wallet, 1), new_key()))

    assert Counter(answer.json()["response_code"] for answer in answers) == {"00": 7, "65": 33}


# The checks themselves: each finds what it is for. The damage is rolled back.

HOLD = "kind = 'H' AND debit_account = %(wallet)s"
DAMAGE = {
    "I1 ": "UPDATE pay.wallet SET balance = balance + 1 WHERE wallet_id = %(wallet)s",
    "I2 ": "UPDATE pay.simulation SET code = '51' WHERE wallet_id = %(wallet)s",
    "I3 ": "DELETE FROM pay.simulation WHERE wallet_id = %(wallet)s",
    "I4 ": "DROP INDEX pay.simulation_idem_hash; INSERT INTO pay.simulation SELECT gen_random_uuid(),"
    " client_id, fingerprint, wallet_id, amount, currency, mcc, effect, '51', balance_after, 0, 0,"
    " now(), idem_hash FROM pay.simulation WHERE wallet_id = %(wallet)s",
    "I5 ": f"UPDATE pay.transfer SET wallet_version = 9 WHERE {HOLD}",
    "I6 ": "UPDATE pay.simulation SET amount = amount + 1 WHERE wallet_id = %(wallet)s",
    "I7 ": "ALTER TABLE pay.wallet DROP CONSTRAINT wallet_balance_check;"
    " UPDATE pay.wallet SET balance = -1 WHERE wallet_id = %(wallet)s",
    "I8 ": "UPDATE pay.wallet SET day_spent = day_spent + 1 WHERE wallet_id = %(wallet)s",
    "I9 ": "UPDATE pay.wallet SET balance = balance - 1 WHERE wallet_id = %(wallet)s",
    "I10": "INSERT INTO pay.transfer SELECT gen_random_uuid(), credit_account, debit_account, 1, 'V',"
    f" 9, 0, now(), NULL, txn_id FROM pay.transfer WHERE {HOLD}",
    "I11": "INSERT INTO pay.transfer SELECT gen_random_uuid(), debit_account, credit_account,"
    f" amount + 1, 'C', 9, 0, now(), txn_id, txn_id FROM pay.transfer WHERE {HOLD}",
}


@pytest.mark.parametrize("invariant", DAMAGE)
def test_damage_is_found(service, book, invariant):
    wallet = book.wallet()
    hold(service, wallet)

    with book.database.connect() as connection, connection.transaction(force_rollback=True):
        for statement in DAMAGE[invariant].split(";"):
            connection.execute(statement % {"wallet": wallet})
        found = violations(connection)

    assert invariant in {name[:3] for name in found}
