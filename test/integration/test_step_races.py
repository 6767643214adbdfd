"""Two steps of one hold at once, and a step at the moment of the hold's expiry, a thousand times
each: exactly one order explains the answers, and the ledger has that order.

PLA_STEP_RACES says how often (1000); pairs that are variations of others a quarter of it.
"""

import os
import random
import threading
import time
from datetime import UTC, datetime, timedelta

import pytest

from harness.decisions import Limits, State
from harness.ledger_answers import is_told, step
from harness.ledger_history import History, entries_of, records_of
from harness.ledger_model import Done, Terms, Wallet, place_hold
from harness.life import Ask, Line, ask_at_once, now
from harness.machine import in_threads, wait_until
from harness.payments import FAR, new_key, payload
from harness.service import PATIENT, Service

RACES = int(os.environ.get("PLA_STEP_RACES", "1000"))
RACERS = 16
HELD = 100
OVER_CAPTURE_BPS = 2000
EARLY, LATE = 2, 1
"""A step that races against expiry is sent up to so long before or after it: times of a request."""
OFTEN = {"EXPIRY_INTERVAL_MS": "10"}
IN_FULL = (
    "capture against void",
    "two captures",
    "increment against capture",
    "capture",
)
PAIRS = {
    "capture against void": ([], ("capture", {}), ("void", {})),
    "part captured, part voided": ([], ("capture", {"amount": 60}), ("void", {"amount": 50})),
    "two captures": ([], ("capture", {"amount": 60}), ("capture", {"amount": 70})),
    "two captures of a part": ([], ("capture", {"amount": 30}), ("capture", {"amount": 40})),
    "final capture against capture": (
        [],
        ("capture", {"amount": 30, "final": True}),
        ("capture", {"amount": 40}),
    ),
    "two captures beyond the hold": (
        [],
        ("capture", {"amount": 115}),
        ("capture", {"amount": 120}),
    ),
    "increment against capture": ([], ("increment", {"amount": 50}), ("capture", {})),
    "increment against capture of more": (
        [],
        ("increment", {"amount": 50}),
        ("capture", {"amount": 140}),
    ),
    "increment against void": ([], ("increment", {"amount": 50}), ("void", {})),
    "two voids": ([], ("void", None), ("void", {"amount": 99})),
    "two refunds": ([("capture", {})], ("refund", {"amount": 60}), ("refund", {"amount": 70})),
    "refund against capture": (
        [("capture", {"amount": 40})],
        ("refund", {}),
        ("capture", {"amount": 30}),
    ),
}


AGAINST_EXPIRY = {
    "capture": ("capture", {}),
    "final capture of a part": ("capture", {"amount": 60, "final": True}),
    "capture beyond the hold": ("capture", {"amount": 120}),
    "void of a part": ("void", {"amount": 60}),
    "increment": ("increment", {"amount": 50}),
}


class Racer:
    """One wallet, and whoever takes its holds through their lives: a pair of steps at a time."""

    def __init__(self, book, services):
        program = book.program(tz="UTC")
        book.database.run(
            "UPDATE pay.program SET over_capture_bps = %s WHERE program_id = %s",
            *(OVER_CAPTURE_BPS, program.program_id),
        )
        limits = Limits(FAR, FAR, FAR, 10**9, frozenset((5812,)))
        self.number = book.wallet(program, 10**8)
        self.start = Wallet(
            Terms(limits, UTC, over_capture_bps=OVER_CAPTURE_BPS), State(10**8), 1
        )
        self.wallet = self.start
        self.lines = [[Line(service.port) for service in services] for _ in range(2)]
        self.asks = []
        self.orders = {}
        """How often the first came first, and how often the second."""

    def ask(self, kind, body, hold=None):
        key = None if body is None else new_key()
        name = hold.told["transaction_id"] if hold else None
        self.asks.append(Ask(kind, self.number, key, body, hold, name=name))
        return self.asks[-1]

    def hold(self, **more):
        ask = self.ask("hold", {**payload(self.number, HELD), **more})
        self.at_once([ask], 0)
        return ask

    def at_once(self, asks, number):
        """All together; by the number to one service or to two, in one order or the other."""
        places = [number % 2, number // 2 % 2]
        asked = [(lines[place], ask) for lines, place, ask in zip(self.lines, places, asks)]
        return ask_at_once(asked if number // 4 % 2 else asked[::-1])

    def race(self, number, prepare, *pair):
        hold = self.hold()
        placed = place_hold(self.wallet, HELD, 5812, None, now())
        self.wallet, book = placed.wallet, placed.hold
        for kind, body in prepare:
            ask = self.ask(kind, body, hold)
            self.at_once([ask], 0)
            self.wallet, book = self.after([ask], book)
        asks = [self.ask(kind, body, hold) for kind, body in pair]
        self.at_once(asks, number)

        after = [self.after(asks, book), self.after(asks[::-1], book)]
        assert after.count(None) == 1, (asks, "explained by both orders, or by none")
        first = after.index(None) ^ 1
        self.wallet, _ = after[first]
        self.orders[first] = self.orders.get(first, 0) + 1

    def race_expiry(self, count, chance, kind, body):
        """Holds, then a step of each when its time comes."""
        due = []
        begun = time.monotonic()
        for number in range(count):
            # Longer than it takes to make all of them, by what the first ones took.
            if number < 5:
                took_s = (time.monotonic() - begun) / max(1, number)
                expires_in_s = 2 + int(2 * count * took_s)
            hold = self.hold(expires_in_s=expires_in_s)
            # So that the next one's time does not come before this one's answer.
            self.at_once([self.ask("wallet", None)], 0)
            end = datetime.fromisoformat(hold.told["timestamp"]) + timedelta(seconds=expires_in_s)
            early_s = chance.uniform(-LATE, EARLY) * took_s
            due.append((end - timedelta(seconds=early_s), hold))
        for number, (when, hold) in enumerate(sorted(due, key=lambda one: one[0])):
            threading.Event().wait(max(0.0, (when - now()).total_seconds()))
            ask = self.ask(kind, body, hold)
            self.at_once([ask], number)
            self.orders[ask.told is None] = self.orders.get(ask.told is None, 0) + 1

    def after(self, asks, hold):
        """Wallet and hold if they were done in this order; None if that was not what was told."""
        wallet = self.wallet
        for ask in asks:
            outcome = step(ask, wallet, hold, ask.attempts[0].sent)
            if not is_told(ask, outcome, ask.attempts[0]):
                return None
            if isinstance(outcome, Done):
                wallet, hold = outcome.wallet, outcome.hold
        return wallet, hold

    def close(self):
        for lines in self.lines:
            for line in lines:
                line.close()

    def history(self, database):
        return History(
            self.start,
            entries_of(database, self.number, 2),
            records_of(database, self.number),
            self.asks,
            database.key_hash,
        )


@pytest.fixture(scope="module")
def services(database):
    own = [Service(database.url(), {**PATIENT, **OFTEN}) for _ in range(2)]
    try:
        yield [one.start() for one in own]
    finally:
        for one in own:
            one.stop()


@pytest.fixture
def racers(services, book):
    """Each with its wallet, and with both services."""
    made = [Racer(book, services) for _ in range(RACERS)]
    yield made
    for racer in made:
        racer.close()


def races_of_each(name):
    """Of each racer, rounded up."""
    return -(-RACES // (1 if name in IN_FULL else 4) // RACERS)


@pytest.mark.parametrize("name", PAIRS)
def test_one_order_explains_two_steps_at_once(racers, database, name):
    count = races_of_each(name)

    def run(index):
        for number in range(count):
            racers[index].race(number, *PAIRS[name])

    in_threads(RACERS, run, 120)

    assert [one for racer in racers for one in racer.history(database).check()] == []
    orders = orders_of(racers)
    print(f"   the first before the second {orders[0]} times, after it {orders[1]} times")
    assert sum(orders) == RACERS * count
    assert min(orders) > 0


@pytest.mark.parametrize("name", AGAINST_EXPIRY)
def test_one_order_explains_a_step_and_expiry(racers, database, name):
    seed = random.SystemRandom().randrange(10**9)
    print(f"   seed {seed}")

    count = races_of_each(name)

    def run(index):
        racers[index].race_expiry(count, random.Random(seed + index), *AGAINST_EXPIRY[name])

    in_threads(RACERS, run, 120)

    numbers = [racer.number for racer in racers]
    wait_until(lambda: unvisited(database, numbers) == 0, 20, "the end of all holds")
    histories = [racer.history(database) for racer in racers]
    assert [one for history in histories for one in history.check()] == []
    assert [hold for history in histories for hold in history.last() if hold.open] == []
    orders = orders_of(racers)
    print(f"   in time {orders[0]} times, too late {orders[1]} times")
    assert sum(orders) == RACERS * count
    assert min(orders) > 0


def orders_of(racers):
    return [sum(racer.orders.get(which, 0) for racer in racers) for which in (0, 1)]


def unvisited(database, wallets):
    """Holds that the expiry lane has not looked at."""
    return database.value(
        "SELECT count(*) FROM pay.simulation WHERE wallet_id = ANY (%s) AND expires_at IS NOT NULL",
        wallets,
    )
