"""Callers that take holds through their lives, all at once, and remember what they asked and were
told.
"""

import itertools
import json
import random
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from harness.http import Closed, Connection, request_bytes
from harness.machine import seconds
from harness.payments import new_key, payload, post_headers
from harness.service import API_KEY, SIMULATE, WALLET_PATH

STEPS = ("capture", "void", "increment", "refund")
UNDECIDED = ("idempotency-in-flight", "wallet-busy")
"""Of the answers with 409, those after which the same request is sent again."""
UNKNOWN = "unknown"
PAUSE_S = 0.02
"""Before a request that was not decided is sent again."""
AMOUNT_MAX = 100
LASTING = 2
"""Of a wallet's first holds, how many are asked for all along, to the end of their steps."""
DECLINED_SHARE = 0.02
"""Of the declined holds, how many are taken for holds all the same."""
FOREIGN_MCC = "5999"


def now():
    return datetime.fromtimestamp(time.time(), UTC)


@dataclass(slots=True)
class Attempt:
    """One request and its answer; status 0: there was none, or nobody read it."""

    sent: datetime
    got: datetime | None = None
    status: int = 0
    body: bytes = b""
    replayed: bool = False

    @property
    def decided(self):
        return self.status // 100 == 2

    def problem(self):
        return self.json()["type"].rpartition(":")[2]

    def json(self):
        return json.loads(self.body)

    @property
    def answered(self):
        """Whether nothing is left to ask."""
        if self.status == 409:
            return self.problem() not in UNDECIDED
        return self.status not in (0, 503, 504)

    @property
    def may_have_moved(self):
        """Whether the answer, or that there was none, leaves it open."""
        if self.status in (0, 504, 409, 503):
            return not self.status or self.json().get("applied") == UNKNOWN
        return False


@dataclass(slots=True, eq=False)
class Ask:
    """What a caller wants, in however many attempts."""

    kind: str
    wallet: int
    key: str | None = None
    body: dict | None = None
    hold: "Ask | None" = None
    """The hold it is about; of a read by key the hold that has the key."""
    reuses: "Ask | None" = None
    """Whose key it takes for something else."""
    name: str | None = None
    """In the path: the transaction id it is called by, the key, or the query of a page."""
    attempts: list = field(default_factory=list)
    told: dict | None = None
    """Its decision."""
    lost: bool = False

    def __repr__(self):
        told = [(one.status, one.body.decode()[:400]) for one in self.attempts]
        of = f" of {self.name}" if self.name else ""
        return f"<{self.kind}{of} on {self.wallet} {self.key} {self.body} told {told}>"

    @property
    def is_read(self):
        return self.kind in ("get", "by_key", "wallet", "page")

    @property
    def approved(self):
        return self.told is not None and self.told.get("status") == "approved"

    def request(self):
        headers = {"X-API-Key": API_KEY}
        if self.is_read:
            return request_bytes("GET", self.path(), headers)
        if self.body is not None:
            pairs = post_headers(self.key, headers)
            return request_bytes("POST", self.path(), pairs, json.dumps(self.body).encode())
        if self.key:
            headers["Idempotency-Key"] = self.key
        return request_bytes("POST", self.path(), headers, b"")

    def path(self):
        if self.kind == "wallet":
            return f"{WALLET_PATH}/wal_{self.wallet}"
        if self.kind == "page":
            return f"{WALLET_PATH}/wal_{self.wallet}/transactions?{self.name}"
        if self.kind == "by_key":
            return f"{SIMULATE}/by-key/{self.name}"
        if self.kind == "hold":
            return SIMULATE
        return f"{SIMULATE}/{self.name}" + ("" if self.kind == "get" else f"/{self.kind}")

    def answered_by(self, attempt):
        if attempt.decided and self.told is None:
            self.told = attempt.json()


class Line:
    """A keep-alive connection to a service, made again after its end."""

    def __init__(self, port):
        self.port = port
        self.connection = None

    def send(self, ask):
        if self.connection is None:
            self.connection = Connection(self.port)
        self.connection.send(ask.request())

    def receive(self):
        answer = self.connection.response()
        if answer.closes:
            self.close()
        return answer.status, answer.body, answer.header("Idempotent-Replayed") == "true"

    def reset(self):
        """Whatever comes is not heard."""
        if self.connection is not None:
            self.connection.reset()
        self.connection = None

    def close(self):
        if self.connection is not None:
            self.connection.close()
        self.connection = None


def ask_at_once(asked):
    """Sends each (line, ask), then reads all answers: the attempts."""
    attempts = []
    for line, ask in asked:
        attempts.append(Attempt(now()))
        ask.attempts.append(attempts[-1])
        line.send(ask)
    for (line, ask), attempt in zip(asked, attempts):
        attempt.status, attempt.body, attempt.replayed = line.receive()
        attempt.got = now()
        ask.answered_by(attempt)
    return attempts


class Place:
    """A wallet as the callers know it: what they did there."""

    def __init__(self, number):
        self.number = number
        self.holds = []
        self.decided = []
        self.asks = []


class Caller:
    """One of many. It sends up to VOLLEY requests at once, most of them about the same hold."""

    VOLLEY = 3
    LOST_SHARE, SAME_HOLD_SHARE, OLD_SHARE = 0.03, 0.6, 0.04
    RECENT = 12
    """Of a wallet's holds, how many of the last are asked for."""
    KINDS = {
        "hold": 22,
        "capture": 20,
        "void": 12,
        "increment": 14,
        "refund": 10,
        "get": 8,
        "by_key": 3,
        "wallet": 3,
        "page": 2,
        "replay": 8,
        "reuse": 2,
        "nobody": 1,
    }

    def __init__(self, places, lines, seed):
        self.places = places
        self.by_number = {place.number: place for place in places}
        self.lines = lines
        """Of each slot of a volley, one to each service."""
        self.chance = random.Random(seed)
        self.unsure = []
        self.pause = threading.Event()

    # what to ask

    def next_asks(self, more):
        """A volley, if there is more to do."""
        place = self.chance.choice(self.places)
        hold = self.any_hold(place)
        asks = []
        for _ in itertools.islice(more, self.chance.randint(1, self.VOLLEY)):
            if self.chance.random() > self.SAME_HOLD_SHARE:
                place = self.chance.choice(self.places)
                hold = self.any_hold(place)
            asks.append(self.next_ask(place, hold))
        return asks

    def any_hold(self, place):
        if not place.holds:
            return None
        if self.chance.random() < self.OLD_SHARE:
            return self.chance.choice(place.holds[:LASTING])
        return self.chance.choice(place.holds[-self.RECENT :])

    def next_ask(self, place, hold):
        kind = self.chance.choices(list(self.KINDS), self.KINDS.values())[0]
        if kind == "replay" and place.decided:
            return self.chance.choice(place.decided[-200:])
        if kind == "wallet":
            ask = Ask("wallet", place.number)
        elif kind == "page":
            ask = Ask("page", place.number, name=f"limit={self.chance.randint(1, 20)}")
        elif kind == "nobody":
            ask = Ask("void", place.number, name="txn_" + f"{self.chance.getrandbits(128):032x}")
        elif kind == "hold" or hold is None or kind in ("replay", "reuse") and not place.decided:
            ask = self.new_hold(place)
        elif kind == "reuse":
            ask = self.reuse(place, hold)
        elif kind == "by_key" and any(self.is_hold(one) for one in self.unsure):
            lost = next(one for one in self.unsure if self.is_hold(one))
            ask = Ask(kind, lost.wallet, hold=lost, name=lost.key)
            place = self.by_number[ask.wallet]
        elif kind in ("get", "by_key"):
            known = self.chance.choice([hold, *self.steps_of(place, hold)])
            name = known.key if kind == "by_key" else known.told["transaction_id"]
            ask = Ask(kind, place.number, hold=hold, name=name)
        else:
            ask = self.new_step(kind, place, hold)
        place.asks.append(ask)
        return ask

    @staticmethod
    def is_hold(ask):
        return ask.kind == "hold" and not ask.reuses

    @staticmethod
    def steps_of(place, hold):
        """Some that were done to it, whose ids and keys lead to it, too."""
        return [
            one
            for one in place.decided[-30:]
            if one.hold is hold and one.told["status"] != "declined"
        ]

    def new_hold(self, place):
        mcc = FOREIGN_MCC if self.chance.random() < 0.03 else "5812"
        body = payload(
            place.number, self.chance.randint(1, AMOUNT_MAX), merchant={"mcc": mcc, "country": "ES"}
        )
        if self.chance.random() < 0.3:
            body["expires_in_s"] = self.chance.randint(1, 4)
        return Ask("hold", place.number, new_key(), body)

    def new_step(self, kind, place, hold):
        most = AMOUNT_MAX if self.chance.random() < 0.2 else AMOUNT_MAX // 8
        body = {"amount": self.chance.randint(1, most)}
        if kind != "increment" and self.chance.random() < 0.15:
            del body["amount"]
        if kind == "capture" and self.chance.random() < 0.2:
            body["final"] = self.chance.random() < 0.7
        key = new_key()
        if kind == "void" and self.chance.random() < 0.2:
            key, body = (None, None) if self.chance.random() < 0.5 else (key, None)
        return Ask(kind, place.number, key, body, hold, name=hold.told["transaction_id"])

    def reuse(self, place, hold):
        """Another request with the key of one that was decided."""
        old = self.chance.choice(place.decided[-200:])
        if self.chance.random() < 0.3:
            ask = self.new_hold(place)
        else:
            ask = self.new_step(self.chance.choice(("capture", "increment", "refund")), place, hold)
        ask.key, ask.reuses = old.key, old
        if old.kind == ask.kind and (old.body, old.name) == (ask.body, ask.name):
            ask.body = {**(ask.body or {}), "amount": AMOUNT_MAX + 1}
        return ask

    # asking

    def volley(self, asks):
        """Sends all, then reads all."""
        under_way = []
        for lines, ask in zip(self.lines, asks):
            line = self.chance.choice(lines)
            attempt = Attempt(now())
            ask.attempts.append(attempt)
            try:
                line.send(ask)
            except (OSError, Closed):
                line.reset()
            under_way.append((line, ask, attempt))
        for line, ask, attempt in under_way:
            self.read(line, ask, attempt)
            if ask.key and not attempt.answered:
                self.unsure.append(ask)

    def read(self, line, ask, attempt):
        lost = self.chance.random() < self.LOST_SHARE
        try:
            if lost and self.chance.random() < 0.5:
                line.reset()
                ask.lost = True
                return
            status, body, replayed = line.receive()
        except (OSError, Closed, AttributeError):
            line.reset()
            ask.lost = True
            return
        if lost:
            ask.lost = True
            return
        attempt.status, attempt.body, attempt.replayed = status, body, replayed
        attempt.got = now()
        self.learn(ask, attempt)

    def learn(self, ask, attempt):
        if not attempt.decided or ask.told is not None:
            return
        ask.answered_by(attempt)
        if ask.is_read:
            return
        place = self.by_number[ask.wallet]
        if ask.key:
            place.decided.append(ask)
        if ask.kind == "hold" and (ask.approved or self.chance.random() < DECLINED_SHARE):
            place.holds.append(ask)

    def run(self, more):
        """Asks while there is more to do, then until every request is answered. All callers share
        the iterator `more`."""
        while asks := self.next_asks(more):
            self.volley(asks)
            if self.unsure and self.chance.random() < 0.5:
                self.ask_unsure()
        end = time.monotonic() + seconds(60)
        while self.unsure:
            assert time.monotonic() < end, self.unsure[:3]
            self.ask_unsure()

    def ask_unsure(self):
        asks, self.unsure = self.unsure[: self.VOLLEY], self.unsure[self.VOLLEY :]
        if any(one.attempts[-1].status for one in asks):
            self.pause.wait(PAUSE_S)
        self.volley(asks)

    def close(self):
        for line in itertools.chain(*self.lines):
            line.close()
