"""What a caller must be told when the model has decided."""

from harness import ledger_model as model

WORDS = {
    "capture": ("captures", "captured"),
    "void": ("voids", "voided"),
    "increment": ("increments", "approved"),
    "refund": ("refunds", "refunded"),
}


def step(ask, wallet, hold, at):
    """What the model makes of a step that was asked for."""
    body = ask.body or {}
    amount = body.get("amount")
    if ask.kind == "capture":
        return model.capture(wallet, hold, amount, body.get("final", False), at)
    act = {"void": model.void, "increment": model.increment, "refund": model.refund}[ask.kind]
    return act(wallet, hold, amount, at)


def members_of(ask, outcome):
    """Of the answer to what was decided, the members that the model knows."""
    if isinstance(outcome, model.Declined):
        members = {
            "status": "declined",
            "response_code": outcome.code,
            "balance_after": outcome.balance,
        }
        if ask.kind == "increment":
            members |= {"increments": ask.name, "amount": ask.body["amount"]}
            members |= outcome.hold.amounts()
        return members
    members = {"balance_after": outcome.wallet.state.balance}
    if ask.kind == "hold":
        return members | {"status": "approved", "response_code": "00"}
    link, status = WORDS[ask.kind]
    if ask.kind == "increment":
        members["response_code"] = "00"
    amount = next(row.amount for row in outcome.rows if row.kind != "O")
    return members | {link: ask.name, "status": status, "amount": amount} | outcome.hold.amounts()


def is_told(ask, outcome, attempt):
    """Whether the answer is what the model makes of it."""
    if isinstance(outcome, model.Refused):
        return (
            attempt.status in (409, 422)
            and attempt.problem() == outcome.slug
            and outcome.members.items() <= attempt.json().items()
        )
    return attempt.decided and members_of(ask, outcome).items() <= attempt.json().items()
