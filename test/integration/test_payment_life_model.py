"""Sixteen callers take holds of few wallets through their lives, by two instances, while answers
are lost, backends are killed and the whole server is; every answer must be explained by the one
order of the wallet's versions, and by a model that knows no SQL.

PLA_LIFE_OPERATIONS says how many requests (15000): 200000 take about four minutes.
"""

import itertools
import json
import os
import random
import threading
from dataclasses import replace
from datetime import timedelta, timezone

import psycopg
import pytest

from harness.audit import assert_audited
from harness.decisions import Limits, State
from harness.faults import Killer
from harness.invariants import assert_invariants
from harness.ledger_history import History, entries_of, records_of
from harness.ledger_model import Terms, Wallet
from harness.life import Ask, Caller, Line, Place, ask_at_once, now
from harness.machine import in_threads, wait_until
from harness.payments import FAR, new_key, payload

OPERATIONS = int(os.environ.get("PLA_LIFE_OPERATIONS", "15000"))
CALLERS = 16
OFTEN = {"EXPIRY_INTERVAL_MS": "50"}
FORGIVING = {"POISON_HOLD_S": "1"}
"""A wallet whose statements fail while the server comes back is asked for again soon."""
ROUNDS = ("undisturbed", "backends killed", "server stopped at once")
EACH = OPERATIONS // len(ROUNDS)
"""Requests of a round. Of each of its wallets about EACH / 8, money held about ten times that."""
MONEY = EACH * 10 // 8
MIDNIGHT_IN_S = 0.2 + EACH / 10_000
"""And up to a second more, from the start of the load: by then it is over on no machine."""


class Account:
    """A wallet, and what the model must know of it."""

    def __init__(self, book, balance=FAR, over_capture_bps=0, hold_ttl_s=7 * 86400, **most):
        limits = {"txn_max": FAR, "day_max": FAR, "month_max": FAR, "day_count_max": 10**9, **most}
        program = book.program(tz="UTC", **limits)
        book.database.run(
            "UPDATE pay.program SET over_capture_bps = %s, hold_ttl_s = %s WHERE program_id = %s",
            *(over_capture_bps, hold_ttl_s, program.program_id),
        )
        self.program_id = program.program_id
        self.number = book.wallet(program, balance)
        limits = Limits(**limits, mccs=frozenset((5812,)))
        terms = Terms(limits, timezone.utc, hold_ttl_s, over_capture_bps)
        self.start = Wallet(terms, State(balance), 1)

    def live_in(self, zone):
        self.start = replace(self.start, terms=replace(self.start.terms, tz=zone))


def meet_midnight(database, accounts):
    """Their business day ends soon, from now on."""
    name, zone = zone_with_midnight_in(MIDNIGHT_IN_S)
    programs = [account.program_id for account in accounts]
    database.run("UPDATE pay.program SET tz = %s WHERE program_id = ANY (%s)", name, programs)
    for account in accounts:
        account.live_in(zone)


def zone_with_midnight_in(ahead_s):
    """(name in POSIX notation, the same as an object) of a zone where the day ends so soon."""
    moment = now() + timedelta(seconds=ahead_s + 1)
    behind = timedelta(hours=moment.hour, minutes=moment.minute, seconds=moment.second)
    hours, rest = divmod(int(behind.total_seconds()), 3600)
    return f"PLA+{hours:02}:{rest // 60:02}:{rest % 60:02}", timezone(-behind)


def make_accounts(book):
    """Eight, each near another limit. The first three are for midnight."""
    return [
        Account(book, day_max=MONEY // 3, over_capture_bps=1500),
        Account(book, day_count_max=EACH // 40),
        Account(book, balance=MONEY, month_max=MONEY // 2, day_max=MONEY // 3, hold_ttl_s=1),
        Account(book, balance=MONEY // 2, over_capture_bps=2000),
        Account(book, txn_max=60, over_capture_bps=10000),
        Account(book, month_max=MONEY, day_count_max=EACH // 20, hold_ttl_s=2),
        Account(book, balance=MONEY // 4, over_capture_bps=5000, hold_ttl_s=3),
        Account(book),
    ]


class StopAtOnce:
    """Ends the server without a checkpoint when half of the work is done, and starts it again."""

    def __init__(self, cluster, work):
        self.cluster = cluster
        self.work = work
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.thread.join()

    def _run(self):
        wait_until(lambda: self.work.taken >= EACH // 2, 600, "half of the work")
        self.cluster.stop("immediate")
        self.cluster.start()


class Work:
    """An iterator over so many requests, which knows how many were taken."""

    def __init__(self, most):
        self.numbers = iter(range(most))
        self.taken = 0

    def __iter__(self):
        return self

    def __next__(self):
        self.taken = next(self.numbers)
        return self.taken


class World:
    """What else happens to the database: money comes in from outside where little is left, whatever
    the service is doing there, and the tables' statistics are kept, as autovacuum would."""

    CREDIT = """
        WITH w AS (UPDATE pay.wallet SET balance = balance + %s, version = version + 1
                    WHERE wallet_id = %s AND balance < %s RETURNING wallet_id, balance, version)
        INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,
                                  wallet_version, balance_after, created_at)
        SELECT gen_random_uuid(), -1000, w.wallet_id, %s, 'F', w.version, w.balance, now() FROM w"""
    EVERY_S, STATISTICS_EVERY = 0.1, 20
    AMOUNT = 300

    def __init__(self, database, numbers, seed):
        self.database = database
        self.numbers = numbers
        self.chance = random.Random(seed)
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self):
        self.thread.start()

    def __exit__(self, *_):
        self.stopping.set()
        self.thread.join()

    def _run(self):
        turns = itertools.count(1)
        while not self.stopping.wait(self.EVERY_S):
            number = self.chance.choice(self.numbers)
            try:
                if next(turns) % self.STATISTICS_EVERY == 0:
                    self.database.run("ANALYZE pay.wallet, pay.simulation, pay.transfer")
                self.database.run(self.CREDIT, self.AMOUNT, number, self.AMOUNT, self.AMOUNT)
            except psycopg.Error:
                continue  # the server is away: whether it was written stands in the books


def run_callers(places, services, seed, work):
    """All callers until the work is done and every request with a key is answered."""

    def call(index):
        lines = [[Line(service.port) for service in services] for _ in range(Caller.VOLLEY)]
        caller = Caller(places, lines, seed + index)
        try:
            caller.run(work)
        finally:
            caller.close()

    in_threads(CALLERS, call, 3600)


def ask_again(places, services):
    """What was lost on the way, with the same key: by now it is decided, or never will be."""
    lost = [ask for place in places for ask in place.asks if ask.lost and ask.key]
    line = Line(services[0].port)
    for ask in lost:
        ask_at_once([(line, ask)])
    line.close()


def read_all(places, services):
    """Every hold, every wallet and every page once more, at rest."""
    line = Line(services[-1].port)

    def read(place, kind, **about):
        ask = Ask(kind, place.number, **about)
        place.asks.append(ask)
        (attempt,) = ask_at_once([(line, ask)])
        return attempt.json()

    for place in places:
        read(place, "wallet")
        for hold in place.holds:
            read(place, "get", hold=hold, name=hold.told["transaction_id"])
        query = "limit=100"
        while before := read(place, "page", name=query).get("next_before"):
            query = f"limit=100&before={before}"
    line.close()


def disturbance(kind, database, cluster, seed, work):
    if kind == "backends killed":
        return Killer(database, random.Random(seed))
    if kind == "server stopped at once":
        return StopAtOnce(cluster, work)
    return threading.Lock()


@pytest.mark.parametrize("kind", ROUNDS)
def test_every_answer_is_explained_by_the_model(start_service, cluster, database, book, kind):
    seed = random.SystemRandom().randrange(10**9)
    print(f"   seed {seed}")
    services = [start_service(FORGIVING), start_service({"POOL_SIZE": "2", **FORGIVING, **OFTEN})]
    accounts = make_accounts(book)
    places = [Place(account.number) for account in accounts]
    work = Work(EACH)
    meet_midnight(database, accounts[:3])

    numbers = [place.number for place in places]
    with disturbance(kind, database, cluster, seed, work), World(database, numbers, seed):
        run_callers(places, services, seed, work)
    for service in services:
        wait_until(service.ready, 5, "readiness after the load")
    ask_again(places, services)
    read_all(places, services)

    histories = [
        history_of(database, account, place.asks) for account, place in zip(accounts, places)
    ]
    differences = [one for history in histories for one in history.check()]
    report(histories)
    assert not differences, f"{len(differences)} differences, the first: {differences[0]}"
    assert sum(len(history.days()) > 1 for history in histories) >= 3, "midnight was missed"
    assert_invariants(database)
    assert_audited(database)


def history_of(database, account, asks):
    return History(
        account.start,
        entries_of(database, account.number, account.start.version + 1),
        records_of(database, account.number),
        asks,
        database.key_hash,
    )


def report(histories):
    kinds, statuses = {}, {}
    for history in histories:
        for entry in history.entries:
            kinds[entry.kind] = kinds.get(entry.kind, 0) + 1
        for ask in history.asks:
            for attempt in ask.attempts:
                told = attempt.problem() if attempt.status >= 400 else attempt.status
                statuses[told] = statuses.get(told, 0) + 1
    print(f"   rows {kinds}\n   answers {statuses}")


# The model is believed because it finds what is wrong.


@pytest.fixture
def told(service, database, book):
    """One hold's life, answered rightly: (account, its asks)."""
    account = Account(book, balance=1000, over_capture_bps=2000)
    line, asks = Line(service.port), []

    def ask(kind, body=None, hold=None, key=True, **about):
        name = hold.told["transaction_id"] if hold else None
        asks.append(
            Ask(kind, account.number, new_key() if key else None, body, hold, name=name, **about)
        )
        ask_at_once([(line, asks[-1])])
        return asks[-1]

    hold = ask("hold", payload(account.number, 100))
    ask("hold", payload(account.number, 901))
    ask("increment", {"amount": 50}, hold)
    ask("increment", {"amount": 5000}, hold)
    ask("capture", {"amount": 30}, hold)
    ask("capture", {"amount": 200}, hold)
    ask("capture", {"amount": 130}, hold)
    ask("void", None, hold)
    ask("refund", {"amount": 10}, hold)
    ask("get", None, hold, key=False)
    ask("wallet", key=False)
    line.close()
    yield account, asks
    assert history_of(database, account, asks).check() == []


def changed(attempt, member):
    """The answer with one member that is wrong by one."""
    body = attempt.json()
    old = body[member]
    body[member] = old + 1 if isinstance(old, int) else old + "x"
    return json.dumps(body).encode()


@pytest.mark.parametrize(
    "place, member",
    [
        (0, "balance_after"),
        (0, "transaction_id"),
        (1, "response_code"),
        (1, "balance_after"),
        (2, "authorised"),
        (3, "open"),
        (4, "captured"),
        (5, "limit"),
        (6, "amount"),
        (7, "state"),
        (8, "refunded"),
        (9, "open"),
        (9, "state"),
        (10, "balance"),
        (10, "version"),
        (10, "day_spent"),
    ],
)
def test_wrong_answer_is_found(database, told, place, member):
    account, asks = told
    ask = asks[place]
    right, told_right = ask.attempts[0].body, ask.told
    ask.attempts[0].body = changed(ask.attempts[0], member)
    ask.told = ask.told and ask.attempts[0].json()

    found = history_of(database, account, asks).check()

    ask.attempts[0].body, ask.told = right, told_right
    assert found != []


@pytest.mark.parametrize("place", range(1, 6))
def test_wrong_ledger_is_found(database, told, place):
    account, asks = told
    entries = entries_of(database, account.number, 2)
    records = records_of(database, account.number)

    def found(wrong):
        return History(account.start, wrong, records, asks, database.key_hash).check()

    assert found(entries[:place] + entries[place + 1 :]) != []
    assert found([*entries[:place], replace(entries[place], amount=7), *entries[place + 1 :]]) != []
    assert found([*entries[: place + 1], *entries[place:]]) != []
    assert found(entries[:-1]) != []


def test_answer_older_than_what_was_known_is_found(database, told):
    """The refusal of the void, as if it had been told before the last capture was asked for."""
    account, asks = told
    void, capture = asks[7].attempts[0], asks[6].attempts[0]
    right = void.sent, void.got
    void.sent = void.got = capture.sent - timedelta(microseconds=1)

    found = history_of(database, account, asks).check()

    void.sent, void.got = right
    assert len(found) == 1
