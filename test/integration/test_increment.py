"""An increment is decided like a hold of its amount; a declined one leaves the hold as it was."""

import pytest

from harness.machine import in_threads
from harness.payments import hold, new_key, problem, void
from harness.service import SIMULATE
from harness.steps import (
    amounts,
    assert_exceeds,
    assert_overdue,
    assert_resolved,
    capture,
    held,
    increment,
    overdue,
    refund,
    rows,
    step,
    void_part,
)

MEMBERS = [
    "transaction_id",
    "increments",
    "status",
    "region",
    "timestamp",
    "processing_time_ms",
    "response_code",
    "reason",
    "advice",
    "amount",
    "currency",
    "authorised",
    "captured",
    "released",
    "expired",
    "refunded",
    "open",
    "balance_after",
]


def test_increment_adds_to_the_hold(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)

    answer = increment(service, transaction, 200)

    told = answer.json()
    assert (answer.status, list(told)) == (201, MEMBERS)
    assert (told["increments"], told["status"], told["amount"]) == (transaction, "approved", 200)
    assert (told["response_code"], told["reason"], told["advice"]) == ("00", "approved", "none")
    assert told["balance_after"] == 500
    assert answer.header("Location") == f"{SIMULATE}/{told['transaction_id']}"
    assert amounts(answer) == {"authorised": 500, "open": 500}
    assert rows(book, wallet) == [("H", 300, 700), ("I", 200, 500)]


def test_increment_of_a_hold_that_is_captured_in_part(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction, 200)

    answer = increment(service, transaction, 50)

    assert amounts(answer) == {"authorised": 350, "captured": 200, "open": 150}
    assert amounts(capture(service, transaction)) == {"authorised": 350, "captured": 350}


@pytest.mark.parametrize("body", [None, b"", b"{}"])
def test_increment_without_an_amount_is_422(service, book, body):
    transaction = held(service, book.wallet())
    before = book.fingerprint()

    answer = step(service, transaction, "increment", body, new_key())

    assert (answer.status, problem(answer)) == (422, "invalid-parameter")
    assert answer.json()["errors"] == [{"pointer": "/amount", "detail": "is required"}]
    assert book.fingerprint() == before


# What declines a hold declines an increment.


def blocked(book, wallet):
    book.database.run("UPDATE pay.wallet SET status = 'B' WHERE wallet_id = %s", wallet)


def closed(book, wallet):
    book.database.run("UPDATE pay.wallet SET status = 'C' WHERE wallet_id = %s", wallet)


def past_its_date(book, wallet):
    book.database.run("UPDATE pay.wallet SET valid_thru = '2020-01-31' WHERE wallet_id = %s", wallet)


def without_the_merchant(book, wallet):
    book.database.run(
        "DELETE FROM pay.program_mcc m USING pay.wallet w"
        " WHERE w.program_id = m.program_id AND w.wallet_id = %s",
        wallet,
    )


def as_it_is(_book, _wallet):
    pass


@pytest.mark.parametrize(
    "code, rules, change, amount",
    [
        ("51", {}, as_it_is, 701),
        ("61", {"txn_max": 300}, as_it_is, 301),
        ("61", {"day_max": 400}, as_it_is, 101),
        ("61", {"month_max": 400}, as_it_is, 101),
        ("65", {"day_count_max": 1}, as_it_is, 1),
        ("62", {}, blocked, 1),
        ("46", {}, closed, 1),
        ("54", {}, past_its_date, 1),
        ("57", {}, without_the_merchant, 1),
    ],
)
def test_declined_increment_leaves_the_hold_as_it_was(service, book, code, rules, change, amount):
    wallet, key = book.wallet(book.program(**rules), balance=1000), new_key()
    transaction = held(service, wallet)
    change(book, wallet)

    answer = increment(service, transaction, amount, key)
    again = increment(service, transaction, amount, key)

    told = answer.json()
    assert (answer.status, told["status"], told["response_code"]) == (201, "declined", code)
    assert told["amount"] == amount
    assert amounts(answer) == {"authorised": 300, "open": 300}
    assert (told["balance_after"], book.balance(wallet)) == (700, 700)
    assert (again.status, again.body) == (201, answer.body)
    assert again.header("Idempotent-Replayed") == "true"
    assert rows(book, wallet) == [("H", 300, 700)]
    assert capture(service, transaction).status == 201


def test_declined_increment_is_replayed_when_it_would_be_approved(service, book):
    wallet, key = book.wallet(balance=300), new_key()
    transaction = held(service, wallet)
    declined = increment(service, transaction, 100, key)
    book.top_up(wallet, 500)

    again = increment(service, transaction, 100, key)

    assert again.body == declined.body
    assert increment(service, transaction, 100).json()["status"] == "approved"


def test_increment_counts_against_the_limits_like_a_hold(service, book):
    program = book.program(day_max=500, month_max=500, day_count_max=3)
    wallet = book.wallet(program, balance=1000)
    transaction = held(service, wallet, 200)

    assert increment(service, transaction, 200).json()["response_code"] == "00"

    assert hold(service, wallet, 101).json()["response_code"] == "61"
    assert hold(service, wallet, 100).json()["response_code"] == "00"
    assert hold(service, wallet, 1).json()["response_code"] == "65"


def test_hold_comes_to_no_more_than_twelve_digits(service, book):
    most = 999_999_999_999
    wallet = book.wallet(book.program(), balance=2 * most)
    transaction = held(service, wallet, most - 10)
    before = book.fingerprint()

    assert_exceeds(book, increment(service, transaction, 11), 11, 10, before)
    assert_exceeds(book, increment(service, transaction, most), most, 10, before)
    assert amounts(increment(service, transaction, 10))["authorised"] == most


# States in which a hold takes nothing more.


def test_increment_of_a_captured_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction)
    before = book.fingerprint()

    assert_resolved(book, increment(service, transaction, 1), "captured", before)


def test_increment_of_a_voided_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    void_part(service, transaction, 100)
    void(service, transaction)
    before = book.fingerprint()

    assert_resolved(book, increment(service, transaction, 1), "voided", before)


def test_increment_of_a_refunded_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction)
    refund(service, transaction)
    before = book.fingerprint()

    assert_resolved(book, increment(service, transaction, 1), "refunded", before)


def test_increment_of_an_overdue_hold_is_409_expired(service, book):
    wallet = book.wallet()
    transaction = held(service, wallet)
    overdue(book, transaction)

    assert_overdue(book, increment(service, transaction, 1), wallet, "I")


def test_increments_at_once_take_no_more_than_there_is(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)

    answers = in_threads(30, lambda _: increment(service, transaction, 100))

    told = [answer.json()["status"] for answer in answers]
    assert (told.count("approved"), told.count("declined")) == (7, 23)
    assert book.balance(wallet) == 0
    assert amounts(capture(service, transaction)) == {"authorised": 1000, "captured": 1000}
