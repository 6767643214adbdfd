"""The life of a payment, written a second time and without SQL: what each step does to a wallet and
to a hold of it. Everything here is a value: a step takes the two as they are and returns them as
they will be, or says why not.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta, tzinfo

from harness.decisions import Limits, State, code_of

BPS = 10_000
AUTHORISED_MAX = 999_999_999_999
STEPS_MAX = 100
"""Ledger rows of a hold after its first, from which on it can only be released."""


@dataclass(frozen=True)
class Terms:
    """A program."""

    limits: Limits
    tz: tzinfo
    hold_ttl_s: int = 7 * 24 * 3600
    over_capture_bps: int = 0


@dataclass(frozen=True)
class Day:
    """What a hold took and gave back on one business day."""

    day: date
    taken: int = 0
    given: int = 0


@dataclass(frozen=True)
class Hold:
    mcc: int
    born: date
    expires_at: datetime
    authorised: int
    over: int = 0
    """Of what is authorised: taken beyond the hold by captures."""
    captured: int = 0
    released: int = 0
    expired: int = 0
    refunded: int = 0
    rows: int = 0
    days: tuple = ()

    @property
    def open(self):
        return self.authorised - self.captured - self.released - self.expired

    @property
    def state(self):
        if self.open > 0:
            return "open"
        if self.captured:
            return "refunded" if self.refunded == self.captured else "captured"
        return "expired" if self.expired else "voided"

    def amounts(self):
        names = ("authorised", "captured", "released", "expired", "refunded", "open")
        return {name: getattr(self, name) for name in names}

    def on_day(self, day, taken=0, given=0):
        """The same hold with that in the books of the day."""
        days = {one.day: one for one in self.days}
        old = days.get(day, Day(day))
        days[day] = Day(day, old.taken + taken, old.given + given)
        return replace(self, days=tuple(days.values()))

    def given_back(self, amount, counts):
        """How much of a release the counters get back of those days for which counts(day)."""
        taken = sum(one.taken for one in self.days if counts(one.day))
        given = sum(one.given for one in self.days if counts(one.day))
        return min(given + amount, taken) - min(given, taken)


@dataclass(frozen=True)
class Wallet:
    terms: Terms
    state: State
    version: int

    def on(self, at):
        """Its state, with the counters as they count at that time. Days only move forward."""
        here = _day(self, at)
        return self.state.on(max(here, self.state.day) if self.state.day else here)


@dataclass(frozen=True)
class Row:
    """One row of the ledger."""

    kind: str
    amount: int
    balance_after: int


@dataclass(frozen=True)
class Done:
    """It happened, and these rows tell of it."""

    wallet: Wallet
    hold: Hold
    rows: tuple


@dataclass(frozen=True)
class Declined:
    """It was decided, and moved nothing."""

    code: str
    balance: int
    hold: Hold | None = None
    """Of an increment: as it was."""


@dataclass(frozen=True)
class Refused:
    slug: str
    members: dict


def fund(wallet, amount):
    """A credit from outside."""
    state = replace(wallet.state, balance=wallet.state.balance + amount)
    return _done(wallet, state, None, [("F", amount, state.balance)])


def place_hold(wallet, amount, mcc, expires_in_s, at):
    """A hold; of the hold that will be, its mcc and expires_in_s (None: as the program says)."""
    state, code = _decided(wallet, amount, mcc, at)
    if code != "00":
        return Declined(code, state.balance)
    day = _day(wallet, at)
    lasting_s = min(wallet.terms.hold_ttl_s, expires_in_s or wallet.terms.hold_ttl_s)
    hold = Hold(mcc, day, at + timedelta(seconds=lasting_s), amount).on_day(day, taken=amount)
    return _done(wallet, state.after(amount), hold, [("H", amount, state.balance - amount)])


def capture(wallet, hold, amount, final, at):
    """amount None: all that is open."""
    refused = _refused_unless_open(hold, at)
    if refused:
        return refused
    amount = amount or hold.open
    over = max(0, amount - hold.open)
    over_max = over_capture_max(wallet, hold)
    if over > over_max:
        return _exceeds(amount, hold.open + over_max)
    state, rows = wallet.on(at), []
    if over:
        state = replace(
            state,
            balance=state.balance - over,
            day_spent=state.day_spent + over,
            month_spent=state.month_spent + over,
        )
        rows.append(("O", over, state.balance))
        hold = replace(hold, authorised=hold.authorised + over, over=hold.over + over)
        hold = hold.on_day(_day(wallet, at), taken=over)
    hold = replace(hold, captured=hold.captured + amount)
    rows.append(("C", amount, state.balance))
    if final and hold.open:
        rest = hold.open
        state, hold = _released(state, hold, rest, _day(wallet, at))
        hold = replace(hold, released=hold.released + rest)
        rows.append(("V", rest, state.balance))
    return _done(wallet, state, hold, rows)


def over_capture_max(wallet, hold):
    """What a capture may take beyond what is open: a share of what was not given back."""
    kept = hold.authorised - hold.over - hold.released - hold.expired
    allowed = kept * wallet.terms.over_capture_bps // BPS - hold.over
    return max(0, min(allowed, wallet.state.balance, AUTHORISED_MAX - hold.authorised))


def void(wallet, hold, amount, at):
    """amount None: all that is open."""
    if not hold.open:
        return _resolved(hold.state)
    amount = amount or hold.open
    if hold.rows >= STEPS_MAX and amount < hold.open:
        return Refused("too-many-steps", {})
    if amount > hold.open:
        return _exceeds(amount, hold.open)
    state, hold = _released(wallet.on(at), hold, amount, _day(wallet, at))
    hold = replace(hold, released=hold.released + amount)
    return _done(wallet, state, hold, [("V", amount, state.balance)])


def increment(wallet, hold, amount, at):
    refused = _refused_unless_open(hold, at)
    if refused:
        return refused
    if amount > AUTHORISED_MAX - hold.authorised:
        return _exceeds(amount, AUTHORISED_MAX - hold.authorised)
    state, code = _decided(wallet, amount, hold.mcc, at)
    if code != "00":
        return Declined(code, state.balance, hold)
    hold = replace(hold, authorised=hold.authorised + amount)
    hold = hold.on_day(_day(wallet, at), taken=amount)
    return _done(wallet, state.after(amount), hold, [("I", amount, state.balance - amount)])


def refund(wallet, hold, amount, at):
    """amount None: all that was captured and not refunded yet."""
    left = hold.captured - hold.refunded
    if not left:
        return _resolved("refunded" if hold.captured else hold.state)
    if hold.rows >= STEPS_MAX:
        return Refused("too-many-steps", {})
    amount = amount or left
    if amount > left:
        return _exceeds(amount, left)
    state = wallet.on(at)
    state = replace(state, balance=state.balance + amount)
    hold = replace(hold, refunded=hold.refunded + amount)
    return _done(wallet, state, hold, [("R", amount, state.balance)])


def expire(wallet, hold, at):
    """What nobody asks for: the time of what is open is over."""
    if not hold.open or at < hold.expires_at:
        return _resolved(hold.state)
    amount = hold.open
    state, hold = _released(wallet.on(at), hold, amount, _day(wallet, at))
    hold = replace(hold, expired=hold.expired + amount)
    return _done(wallet, state, hold, [("X", amount, state.balance)])


def _day(wallet, at):
    return at.astimezone(wallet.terms.tz).date()


def _decided(wallet, amount, mcc, at):
    """The wallet's state on the day, and the code of a purchase then."""
    state = wallet.on(at)
    return state, code_of(wallet.terms.limits, state, amount, mcc)


def _refused_unless_open(hold, at):
    """Why money of this hold can no longer be taken."""
    if not hold.open:
        return _resolved(hold.state)
    if at >= hold.expires_at:
        return _resolved("expired")
    return Refused("too-many-steps", {}) if hold.rows >= STEPS_MAX else None


def _resolved(state):
    return Refused("already-resolved", {"state": state})


def _exceeds(asked, limit):
    return Refused("amount-exceeds-open", {"asked": asked, "limit": limit})


def _released(state, hold, amount, today):
    """State and hold when so much of what is open is given back. The counters get back what this
    hold took of them on the wallet's own day and month, and never more."""
    day = state.day

    def same_month(other):
        return (other.year, other.month) == (day.year, day.month)

    of_day = hold.given_back(amount, lambda other: other == day)
    of_month = hold.given_back(amount, same_month)
    undone = hold.born == day and not hold.captured and amount == hold.open
    state = State(
        state.balance + amount,
        day,
        max(0, state.day_spent - of_day),
        max(0, state.day_count - undone),
        max(0, state.month_spent - of_month),
    )
    return state, hold.on_day(today, given=amount)


def _done(wallet, state, hold, rows):
    if rows[0][0] not in "FH":
        hold = replace(hold, rows=hold.rows + len(rows))
    wallet = Wallet(wallet.terms, state, wallet.version + len(rows))
    return Done(wallet, hold, tuple(Row(*row) for row in rows))
