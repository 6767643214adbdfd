"""What a read must tell of a history at one of its versions."""

import bisect
import itertools
from datetime import UTC, datetime

STEP_TYPES = {
    "C": "capture",
    "V": "void",
    "I": "increment",
    "O": "over_capture",
    "R": "refund",
    "X": "expiry",
}
OPEN_REACH = 1000
"""What a wallet says of its open holds is of those placed in so many of its newest versions."""



def explains(history, ask, attempt, version):
    """Whether this is what would have been read at that version."""
    if ask.kind == "by_key" and attempt.status == 404:
        return _is_unknown(history, ask, attempt, version)
    if attempt.status != 200:
        return False
    if ask.kind == "wallet":
        return _is_wallet(history, attempt, version)
    if ask.kind == "page":
        return _is_page(history, ask, attempt, version)
    return _is_payment(history, ask, attempt, version)


def _is_unknown(history, ask, attempt, version):
    """Somebody asks by the key of a hold that nobody has heard of yet."""
    if ask.hold.told is None:
        return False
    told = min(one.got for one in ask.hold.attempts if one.decided)
    hold = history.hold_at(ask.hold.told["transaction_id"], version)
    return hold is None and attempt.sent < told


def _is_payment(history, ask, attempt, version):
    body = attempt.json()
    if ask.hold.told is None or not ask.hold.told.items() <= body.items():
        return False
    name = ask.hold.told["transaction_id"]
    hold = history.hold_at(name, version)
    if hold is None:
        return name not in history.holds and "authorised" not in body
    steps = [
        {
            "id": one.txn,
            "type": STEP_TYPES[one.kind],
            "amount": one.amount,
            "balance_after": one.balance_after,
            "timestamp": one.at,
        }
        for one in history.steps_at(name, version)
    ]
    return (
        _timed(body["steps"]) == steps
        and body["state"] == hold.state
        and hold.amounts().items() <= body.items()
        and body["wallet_id"] == f"wal_{ask.wallet}"
        and body["voided"] == (hold.state == "voided")
        and ("expires_at" not in body or _time(body["expires_at"]) == hold.expires_at)
        and ("expires_at" in body) >= (hold.state == "open" and attempt.got < hold.expires_at)
    )


def _is_wallet(history, attempt, version):
    body = attempt.json()
    wallet = history.wallets[version]
    opens = [hold.open for hold in _holds_in_reach(history, version) if hold.open]
    holds = {"count": len(opens), "amount": sum(opens)}
    if version > OPEN_REACH:
        holds["at_least"] = True
    counters = [body[name] for name in ("day", "day_spent", "day_count", "month_spent")]
    told = [body[name] for name in ("version", "balance", "open_holds")]
    return told == [version, wallet.state.balance, holds] and any(
        counters == [state.day.isoformat(), state.day_spent, state.day_count, state.month_spent]
        for state in (wallet.on(attempt.sent), wallet.on(attempt.got))
    )


def _holds_in_reach(history, version):
    first, last = (
        bisect.bisect_right(history.placed, end, key=lambda one: one[0])
        for end in (version - OPEN_REACH, version)
    )
    return [history.hold_at(name, version) for _, name in history.placed[first:last]]


def _is_page(history, ask, attempt, version):
    """The newest of the client's rows, in front of a version where the query names one."""
    query = dict(pair.split("=") for pair in ask.name.split("&"))
    end = min(int(query.get("before", version + 1)), version + 1)
    # Versions are gapless, and that of the first entry is the start's next.
    newest = reversed(history.entries[: end - history.versions[0] - 1])
    rows = itertools.islice((one for one in newest if one.kind != "F"), int(query["limit"]))
    return _timed(attempt.json()["transactions"]) == [
        {
            "id": one.txn,
            "type": "hold" if one.kind == "H" else STEP_TYPES[one.kind],
            **({} if one.kind == "H" else {"hold": one.hold}),
            "version": one.version,
            "amount": one.amount,
            "balance_after": one.balance_after,
            "timestamp": one.at,
        }
        for one in rows
    ]


def _timed(entries):
    return [{**one, "timestamp": _time(one["timestamp"])} for one in entries]


def _time(text):
    return datetime.fromisoformat(text).astimezone(UTC)
