"""The decision on a hold, written a second time: what the ledger must be explained by.

A wallet is replayed in the order of its versions. An approved hold must be approved by the state
that the version before left. A declined one moves nothing and has no version; the balance it was
told names the state it saw, since balances only fall where nothing is credited.
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Limits:
    txn_max: int
    day_max: int
    month_max: int
    day_count_max: int
    mccs: frozenset


@dataclass(frozen=True)
class State:
    """A wallet between two versions."""

    balance: int
    day: object = None
    """The business day of the last approved hold."""
    day_spent: int = 0
    day_count: int = 0
    month_spent: int = 0

    def on(self, today):
        """The same wallet with the counters as they count today."""
        same_day = self.day == today
        same_month = self.day is not None and (self.day.year, self.day.month) == (
            today.year,
            today.month,
        )
        return replace(
            self,
            day=today,
            day_spent=self.day_spent if same_day else 0,
            day_count=self.day_count if same_day else 0,
            month_spent=self.month_spent if same_month else 0,
        )

    def after(self, amount):
        """After an approved hold; of a state on() its day."""
        return State(
            self.balance - amount,
            self.day,
            self.day_spent + amount,
            self.day_count + 1,
            self.month_spent + amount,
        )


@dataclass(frozen=True)
class Decision:
    key: str
    amount: int
    mcc: int
    code: str
    balance_after: int
    today: object
    version: int
    """None: declined."""


def code_of(limits, state, amount, mcc):
    """Of an active wallet, a state on() the day of the purchase."""
    if mcc not in limits.mccs:
        return "57"
    if state.day_count >= limits.day_count_max:
        return "65"
    if (
        amount > limits.txn_max
        or state.day_spent + amount > limits.day_max
        or state.month_spent + amount > limits.month_max
    ):
        return "61"
    return "51" if state.balance < amount else "00"


def unexplained(limits, start, first_version, decisions):
    """What no order of decisions explains, as texts; first_version is that of the first hold."""
    found = []
    approved = sorted(
        (decision for decision in decisions if decision.version), key=lambda one: one.version
    )
    states = {start.balance: start}
    state = start
    for version, one in enumerate(approved, first_version):
        state = state.on(one.today)
        code = code_of(limits, state, one.amount, one.mcc)
        state = state.after(one.amount)
        if (one.version, one.code, one.balance_after) != (version, code, state.balance):
            found.append(f"version {version}: {one}, but {code} and {state}")
            break
        states[state.balance] = state
    for one in decisions:
        if one.version or found:
            continue
        seen = states.get(one.balance_after)
        code = code_of(limits, seen.on(one.today), one.amount, one.mcc) if seen else "no such state"
        if code != one.code:
            found.append(f"declined: {one}, but {code} by {seen}")
    return found
