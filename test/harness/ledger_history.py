"""What a wallet went through by its ledger, and whether that explains what its callers were told.

The order of the wallet's versions is the only order there is: the model is led through it, row by
row, and must have done what each row says. An answer that moved nothing has no version; there must
be one at which the model would have given it, no earlier than all that was answered before it was
asked, and no later than what was asked after it was answered.
"""

import bisect
from dataclasses import dataclass
from datetime import datetime

from harness import ledger_model as model
from harness import ledger_reads as reads
from harness.ledger_answers import is_told, members_of, step
from harness.ledger_order import Order


@dataclass(frozen=True)
class Entry:
    """A row of pay.transfer."""

    txn: str
    hold: str
    kind: str
    amount: int
    version: int
    balance_after: int
    at: datetime


@dataclass(frozen=True)
class Record:
    """A row of pay.simulation."""

    txn: str
    key_hash: bytes
    code: str
    at: datetime


def entries_of(database, wallet, first_version):
    return [
        Entry(f"txn_{txn.hex}", f"txn_{hold.hex}" if hold else None, *rest)
        for txn, hold, *rest in database.rows(
            "SELECT txn_id,"
            "       CASE WHEN kind = 'H' THEN txn_id ELSE coalesce(hold_id, pending_id) END,"
            "       kind::text, amount, wallet_version, balance_after, created_at"
            "  FROM pay.transfer WHERE (debit_account = %s OR credit_account = %s)"
            "   AND wallet_version >= %s ORDER BY wallet_version",
            *(wallet, wallet, first_version),
        )
    ]


def records_of(database, wallet):
    return [
        Record(f"txn_{txn.hex}", key_hash, code, at)
        for txn, key_hash, code, at in database.rows(
            "SELECT txn_id, idem_hash, code::text, created_at FROM pay.simulation"
            " WHERE wallet_id = %s",
            wallet,
        )
    ]


@dataclass(frozen=True)
class Move:
    """What one request moved: its rows have the versions from first to last."""

    txn: str
    at: datetime
    first: int
    last: int
    done: model.Done


class Refuted(Exception):
    """The ledger and the model differ."""


class History:
    """One wallet's. `differences` are texts, none when everything is explained."""

    def __init__(self, start, entries, records, asks, key_hash):
        self.terms = start.terms
        self.entries = entries
        self.records = {record.txn: record for record in records}
        self.asks = asks
        self.by_hash = {key_hash(ask.key): ask for ask in asks if ask.key and not ask.reuses}
        self.unkeyed = [ask for ask in asks if ask.kind == "void" and not ask.key]
        self.wallets = {start.version: start}
        self.holds = {}
        """Of each hold, (version, model.Hold) in order."""
        self.placed = []
        """(version, hold) of each."""
        self.steps = {}
        """Of each hold, its entries but the first."""
        self.moves = {}
        self.differences = []

    def check(self):
        try:
            self._replay()
        except Refuted as why:
            self.differences.append(str(why))
            return self.differences
        self.versions = sorted(self.wallets)
        self.order = Order(self.moves)
        for ask, move in self.moves.items():
            self._check_move(ask, move)
        self._check_answers()
        return self.differences

    # the ledger, led through the model

    def _replay(self):
        at = 0
        version = min(self.wallets)
        while at < len(self.entries):
            wallet = self.wallets[version]
            lead = self._lead(at)
            ask, outcome = self._outcome(wallet, lead)
            rows = outcome.rows if isinstance(outcome, model.Done) else ()
            told = self.entries[at : at + len(rows)]
            expected = [
                (row.kind, row.amount, row.balance_after, version + place, lead.at, lead.hold)
                for place, row in enumerate(rows, 1)
            ]
            found = [
                (one.kind, one.amount, one.balance_after, one.version, one.at, one.hold)
                for one in told
            ]
            if not rows or found != expected:
                raise Refuted(
                    f"version {version + 1}: {ask or lead.kind} wrote {told or lead}, but"
                    f" {outcome} by {wallet} and {self._hold_now(lead.hold)}"
                )
            self._keep(wallet, lead, told, outcome)
            if ask is not None:
                last = outcome.wallet.version
                self.moves[ask] = Move(lead.txn, lead.at, version + 1, last, outcome)
            version = outcome.wallet.version
            at += len(rows)

    def _lead(self, at):
        """Of the rows that belong together, that which is on record."""
        lead = self.entries[at]
        if lead.kind == "O" and at + 1 < len(self.entries):
            lead = self.entries[at + 1]
        if lead.kind in "FX":
            return lead
        if lead.txn not in self.records:
            raise Refuted(f"{lead} was never decided")
        return lead

    def _outcome(self, wallet, lead):
        """(who asked for it, what the model makes of it)"""
        hold = self._hold_now(lead.hold)
        if lead.kind == "F":
            return None, model.fund(wallet, lead.amount)
        if lead.kind == "X":
            return None, model.expire(wallet, hold, lead.at) if hold else None
        ask = self._asked(lead)
        if ask.kind == "hold":
            return ask, model.place_hold(
                wallet,
                ask.body["amount"],
                int(ask.body["merchant"]["mcc"]),
                ask.body.get("expires_in_s"),
                lead.at,
            )
        if hold is None or ask.name != lead.hold:
            raise Refuted(f"{lead} is of another hold than {ask}")
        return ask, step(ask, wallet, hold, lead.at)

    def _asked(self, lead):
        key_hash = self.records[lead.txn].key_hash
        if key_hash is not None:
            ask = self.by_hash.get(bytes(key_hash))
            if ask is None or ask in self.moves:
                raise Refuted(f"{lead} was asked for by nobody, or is {ask} once more")
            return ask
        for ask in self.unkeyed:
            if ask not in self.moves and ask.told and ask.told["transaction_id"] == lead.txn:
                return ask
        for ask in self.unkeyed:
            if (
                ask not in self.moves
                and ask.name == lead.hold
                and ask.attempts[0].may_have_moved
            ):
                return ask
        raise Refuted(f"{lead} was asked for by nobody")

    def _hold_now(self, name):
        return self.holds[name][-1][1] if name in self.holds else None

    def _keep(self, wallet, lead, told, outcome):
        version = outcome.wallet.version
        self.wallets[version] = outcome.wallet
        if outcome.hold is not None:
            if lead.hold not in self.holds:
                self.placed.append((version, lead.hold))
            self.holds.setdefault(lead.hold, []).append((version, outcome.hold))
            self.steps.setdefault(lead.hold, []).extend(
                entry for entry in told if entry.kind != "H"
            )

    def days(self):
        """The business days of its rows."""
        return {entry.at.astimezone(self.terms.tz).date() for entry in self.entries}

    def last(self):
        """What every hold has come to."""
        return [kept[-1][1] for kept in self.holds.values()]

    def hold_at(self, name, version):
        kept = self.holds.get(name, ())
        place = bisect.bisect_right(kept, version, key=lambda one: one[0])
        return kept[place - 1][1] if place else None

    def steps_at(self, name, version):
        return [one for one in self.steps.get(name, ()) if one.version <= version]

    # what was told of it

    def _differ(self, what, ask, *more):
        self.differences.append(f"{what}: {ask} {' '.join(map(str, more))}")

    def _check_move(self, ask, move):
        if self.order.newest_before(ask.attempts[0].sent) >= move.first:
            self._differ("after what was answered before it was asked", ask, move)
        if not any(_made(attempt, move.at) for attempt in ask.attempts):
            self._differ("moved by a request that was told it moved nothing", ask, move)
        expected = {"transaction_id": move.txn, **members_of(ask, move.done)}
        if ask.told is not None and not expected.items() <= ask.told.items():
            self._differ("told otherwise than it was", ask, expected)

    def _check_answers(self):
        declines = {
            bytes(record.key_hash): record
            for record in self.records.values()
            if record.code != "00" and record.key_hash is not None
        }
        by_ask = {self.by_hash[key]: one for key, one in declines.items() if key in self.by_hash}
        if len(by_ask) != len(declines):
            self.differences.append("declined, but asked for by nobody")
        still = []
        for ask in self.asks:
            self._check_bytes(ask)
            record = by_ask.get(ask)
            if record is not None:
                still.append(_declined(ask, record))
            elif ask not in self.moves and ask.told and not ask.is_read:
                self._differ("not in the books", ask)
            for attempt in ask.attempts:
                if attempt.status and attempt.answered and (ask.is_read or not attempt.decided):
                    still.append(_Still(ask, attempt.sent, attempt.got, attempt=attempt))
        for one, why in self.order.unexplained(still, self.versions, self._explains):
            self._differ("no version explains", one.ask, why)

    def _check_bytes(self, ask):
        if ask.is_read:
            return
        decided = [attempt for attempt in ask.attempts if attempt.decided]
        if len({attempt.body for attempt in decided}) > 1:
            self._differ("two decisions", ask)
        if sum(not attempt.replayed for attempt in decided) > 1:
            self._differ("decided twice", ask)
        for attempt in ask.attempts:
            if attempt.status and not attempt.answered and "applied" not in attempt.json():
                self._differ("says not whether it was applied", ask)

    # answers that moved nothing

    def _explains(self, still, version):
        """Whether this is what would have been answered at that version."""
        if still.record is not None:
            return self._explains_decline(still.ask, still.record, version)
        ask, attempt = still.ask, still.attempt
        if ask.is_read:
            return reads.explains(self, ask, attempt, version)
        if attempt.status not in (404, 409, 422):
            return False
        if ask.reuses:
            return attempt.problem() == "idempotency-key-reused"
        hold = self.hold_at(ask.name, version)
        if hold is None:
            return attempt.problem() == "not-found"
        # The time of a hold may end between question and answer.
        return any(
            is_told(ask, step(ask, self.wallets[version], hold, at), attempt)
            for at in (attempt.sent, attempt.got)
        )

    def _explains_decline(self, ask, record, version):
        wallet = self.wallets[version]
        if ask.kind == "hold":
            outcome = model.place_hold(
                wallet, ask.body["amount"], int(ask.body["merchant"]["mcc"]), None, record.at
            )
        else:
            hold = self.hold_at(ask.name, version)
            if ask.kind != "increment" or hold is None:
                return False
            outcome = model.increment(wallet, hold, ask.body["amount"], record.at)
        if not isinstance(outcome, model.Declined) or outcome.code != record.code:
            return False
        expected = {"transaction_id": record.txn, **members_of(ask, outcome)}
        return ask.told is None or expected.items() <= ask.told.items()


def _made(attempt, at):
    """Whether this request may be the one that moved money at that time."""
    if at < attempt.sent:
        return False
    if attempt.decided:
        return not attempt.replayed and at <= attempt.got
    return attempt.may_have_moved


@dataclass(frozen=True)
class _Still:
    """What moved nothing and must be explained: an answer, or a decline on record."""

    ask: object
    sent: datetime
    got: datetime | None
    attempt: object = None
    record: Record | None = None


def _declined(ask, record):
    """From the first question to the first answer, whichever of them was decided."""
    ends = [attempt.got for attempt in ask.attempts if attempt.decided]
    return _Still(ask, ask.attempts[0].sent, min(ends, default=None), record=record)
