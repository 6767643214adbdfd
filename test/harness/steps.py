"""Steps of a hold: how they are asked for, and what is true of their answers."""

from harness.payments import hold, new_key, post_bytes, post_headers, problem
from harness.service import API_KEY, SIMULATE

STEPS = ("capture", "void", "increment", "refund")
AMOUNTS = ("authorised", "captured", "released", "expired", "refunded", "open")
"""What an answer tells of a hold's money."""


def step(service, transaction_id, name, body=None, key=None, headers=None, api_key=API_KEY):
    """One step of a hold: body is a dict, raw bytes, or None for none at all; key None: without."""
    if body is None:
        content, pairs = b"", [("Idempotency-Key", key)] if key is not None else []
    else:
        content, pairs = post_bytes(body), post_headers(key, headers)
    path = f"{SIMULATE}/{transaction_id}/{name}"
    return service.call("POST", path, pairs, content, key=api_key)


def members(**given):
    """A body of those that are not None."""
    return {name: value for name, value in given.items() if value is not None}


def capture(service, transaction_id, amount=None, final=None, key=None):
    body = members(amount=amount, final=final)
    return step(service, transaction_id, "capture", body, key or new_key())


def increment(service, transaction_id, amount, key=None):
    return step(service, transaction_id, "increment", {"amount": amount}, key or new_key())


def refund(service, transaction_id, amount=None, key=None):
    return step(service, transaction_id, "refund", members(amount=amount), key or new_key())


def void_part(service, transaction_id, amount, key=None):
    return step(service, transaction_id, "void", {"amount": amount}, key or new_key())


def amounts(answer):
    """What a hold has come to, as the answer to one of its steps tells it; zeros left out."""
    assert answer.status // 100 == 2, answer
    body = answer.json()
    return {name: body[name] for name in AMOUNTS if body[name]}


def held(service, wallet, amount=300):
    """The id of an approved hold."""
    answer = hold(service, wallet, amount).json()
    assert answer["status"] == "approved", answer
    return answer["transaction_id"]


def overdue(book, transaction):
    """Its time is over, and nobody has released it yet."""
    book.database.run(
        "UPDATE pay.simulation SET expires_at = now() - interval '1 second' WHERE txn_id = %s",
        transaction.removeprefix("txn_"),
    )


def rows(book, wallet):
    """What the ledger has of the wallet after it was funded: kind, amount, balance after."""
    return book.database.rows(
        "SELECT kind::text, amount, balance_after FROM pay.transfer"
        " WHERE %s IN (debit_account, credit_account) AND kind <> 'F' ORDER BY wallet_version",
        wallet,
    )


def assert_resolved(book, answer, state, before):
    assert (answer.status, problem(answer)) == (409, "already-resolved")
    assert answer.json()["state"] == state
    assert answer.header("Retry-After") is None
    assert book.fingerprint() == before


def assert_overdue(book, answer, wallet, kind):
    """Refused for the hold's time, which may have been noticed meanwhile: only this kind did not move."""
    assert (answer.status, problem(answer)) == (409, "already-resolved")
    assert answer.json()["state"] == "expired"
    assert kind not in [row[0] for row in rows(book, wallet)]


def assert_exceeds(book, answer, asked, limit, before):
    assert (answer.status, problem(answer)) == (422, "amount-exceeds-open")
    assert (answer.json()["asked"], answer.json()["limit"]) == (asked, limit)
    assert book.fingerprint() == before
