"""A refund gives captured money back, at most what was captured, and no limit with it."""

import pytest

from harness.machine import in_threads
from harness.payments import hold, new_key, problem, void
from harness.service import SIMULATE
from harness.steps import (
    amounts,
    assert_exceeds,
    assert_resolved,
    capture,
    held,
    overdue,
    refund,
    rows,
    step,
    void_part,
)

MEMBERS = [
    "transaction_id",
    "refunds",
    "status",
    "region",
    "timestamp",
    "processing_time_ms",
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


def captured(service, wallet, amount=300, of=300):
    transaction = held(service, wallet, of)
    assert capture(service, transaction, amount).status == 201
    return transaction


def test_refund_of_all_gives_the_money_back(service, book):
    wallet = book.wallet(balance=1000)
    transaction = captured(service, wallet)

    answer = refund(service, transaction)

    told = answer.json()
    assert (answer.status, list(told)) == (201, MEMBERS)
    assert (told["refunds"], told["status"], told["amount"]) == (transaction, "refunded", 300)
    assert told["balance_after"] == 1000
    assert answer.header("Location") == f"{SIMULATE}/{told['transaction_id']}"
    assert amounts(answer) == {"authorised": 300, "captured": 300, "refunded": 300}
    assert book.balance(wallet) == 1000
    assert rows(book, wallet) == [("H", 300, 700), ("C", 300, 700), ("R", 300, 1000)]


@pytest.mark.parametrize("body", [None, b"{}"])
def test_refund_without_an_amount_takes_all_that_is_left(service, book, body):
    transaction = captured(service, book.wallet())
    refund(service, transaction, 100)

    answer = step(service, transaction, "refund", body, new_key())

    assert answer.json()["amount"] == 200
    assert amounts(answer)["refunded"] == 300


def test_parts_are_refunded_until_nothing_is_left(service, book):
    wallet = book.wallet(balance=1000)
    transaction = captured(service, wallet)

    told = [amounts(refund(service, transaction, part)) for part in (100, 150, 50)]

    assert [one["refunded"] for one in told] == [100, 250, 300]
    assert book.balance(wallet) == 1000
    before = book.fingerprint()
    assert_resolved(book, refund(service, transaction, 1), "refunded", before)
    assert_resolved(book, refund(service, transaction), "refunded", before)


def test_more_than_was_captured_is_422_and_names_both_numbers(service, book):
    transaction = captured(service, book.wallet(), 200)
    before = book.fingerprint()

    for asked in (201, 300, 999_999_999_999):
        assert_exceeds(book, refund(service, transaction, asked), asked, 200, before)
    refund(service, transaction, 150)
    before = book.fingerprint()
    assert_exceeds(book, refund(service, transaction, 51), 51, 50, before)


def test_refund_gives_no_limit_back(service, book):
    wallet = book.wallet(book.program(day_max=300), balance=1000)

    refund(service, captured(service, wallet))

    assert hold(service, wallet, 1).json()["response_code"] == "61"


def test_what_was_captured_in_part_is_refunded_while_the_rest_is_open(service, book):
    transaction = captured(service, book.wallet(), 200)

    answer = refund(service, transaction)
    assert amounts(answer) == {"authorised": 300, "captured": 200, "refunded": 200, "open": 100}

    assert amounts(capture(service, transaction))["captured"] == 300
    assert amounts(refund(service, transaction))["refunded"] == 300


def test_refund_of_a_hold_whose_time_is_over(service, book):
    wallet = book.wallet(balance=1000)
    transaction = captured(service, wallet)
    overdue(book, transaction)

    assert refund(service, transaction, 100).json()["balance_after"] == 800


@pytest.mark.parametrize("status", ["B", "C"])
def test_refund_does_not_ask_whether_the_wallet_may_still_spend(service, book, status):
    wallet = book.wallet(balance=1000)
    transaction = captured(service, wallet)
    book.database.run(
        'UPDATE pay.wallet SET status = %s::"char" WHERE wallet_id = %s', status, wallet
    )

    assert refund(service, transaction).json()["balance_after"] == 1000


# States with nothing to refund.


def test_refund_of_an_open_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    before = book.fingerprint()

    assert_resolved(book, refund(service, transaction), "open", before)
    assert_resolved(book, refund(service, transaction, 1), "open", before)


def test_refund_of_a_voided_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    void_part(service, transaction, 100)
    void(service, transaction)
    before = book.fingerprint()

    assert_resolved(book, refund(service, transaction, 1), "voided", before)


def test_refund_of_all_that_was_captured_while_the_rest_is_open_is_409(service, book):
    transaction = captured(service, book.wallet(), 200)
    refund(service, transaction)
    before = book.fingerprint()

    answer = refund(service, transaction, 1)

    assert (answer.status, problem(answer)) == (409, "already-resolved")
    assert answer.json()["state"] == "refunded"
    assert book.fingerprint() == before


def test_refunds_at_once_give_back_no_more_than_was_captured(service, book):
    wallet = book.wallet(balance=1000)
    transaction = captured(service, wallet)

    answers = in_threads(30, lambda _: refund(service, transaction, 70))

    statuses = [answer.status for answer in answers]
    assert statuses.count(201) == 4 and set(statuses) == {201, 422}, statuses
    assert {answer.json()["limit"] for answer in answers if answer.status == 422} == {20}
    assert book.balance(wallet) == 980
