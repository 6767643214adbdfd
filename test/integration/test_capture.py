"""A capture turns what is held into what is taken: in parts, past the hold by rule, until nothing is open."""

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

TIP = 2000
"""Basis points that a restaurant may take beyond the hold."""
MEMBERS = [
    "transaction_id",
    "captures",
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


def test_capture_of_all_moves_no_balance(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)

    answer = capture(service, transaction)

    told = answer.json()
    assert (answer.status, list(told)) == (201, MEMBERS)
    assert (told["captures"], told["status"], told["amount"]) == (transaction, "captured", 300)
    assert (told["currency"], told["balance_after"]) == ("EUR", 700)
    assert answer.header("Location") == f"{SIMULATE}/{told['transaction_id']}"
    assert amounts(answer) == {"authorised": 300, "captured": 300}
    assert book.balance(wallet) == 700
    assert rows(book, wallet) == [("H", 300, 700), ("C", 300, 700)]


@pytest.mark.parametrize("body", [None, b"{}", b'{"final":true}', b'{"final":false}'])
def test_capture_without_an_amount_takes_all_that_is_open(service, book, body):
    transaction = held(service, book.wallet())
    capture(service, transaction, 100)

    answer = step(service, transaction, "capture", body, new_key())

    assert answer.json()["amount"] == 200
    assert amounts(answer) == {"authorised": 300, "captured": 300}


def test_parts_are_captured_until_nothing_is_open(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)

    told = [amounts(capture(service, transaction, part)) for part in (100, 150, 50)]

    assert [(one["captured"], one.get("open", 0)) for one in told] == [
        (100, 200),
        (250, 50),
        (300, 0),
    ]
    assert book.balance(wallet) == 700
    before = book.fingerprint()
    assert_resolved(book, capture(service, transaction, 1), "captured", before)


def test_final_capture_releases_the_rest(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)

    answer = capture(service, transaction, 120, final=True)

    assert amounts(answer) == {"authorised": 300, "captured": 120, "released": 180}
    assert (answer.json()["amount"], answer.json()["balance_after"]) == (120, 880)
    assert book.balance(wallet) == 880
    assert rows(book, wallet) == [("H", 300, 700), ("C", 120, 700), ("V", 180, 880)]


def test_final_capture_gives_the_limits_of_the_rest_back(service, book):
    wallet = book.wallet(book.program(day_max=300, month_max=300))

    capture(service, held(service, wallet), 120, final=True)

    assert hold(service, wallet, 181).json()["response_code"] == "61"
    assert hold(service, wallet, 180).json()["response_code"] == "00"


def test_final_is_part_of_what_a_key_stands_for(service, book):
    transaction, key = held(service, book.wallet()), new_key()
    step(service, transaction, "capture", {"amount": 100}, key)

    answer = step(service, transaction, "capture", {"amount": 100, "final": True}, key)

    assert (answer.status, problem(answer)) == (422, "idempotency-key-reused")
    assert answer.json()["mismatch"] == ["amount", "final"]


def test_final_that_is_no_boolean_is_422(service, book):
    transaction = held(service, book.wallet())
    before = book.fingerprint()

    for final in (0, 1, "true", None, []):
        answer = step(service, transaction, "capture", {"amount": 1, "final": final}, new_key())
        assert (answer.status, problem(answer)) == (422, "invalid-parameter")
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/final"]

    assert book.fingerprint() == before


# More than the hold.


def test_more_than_is_open_is_422_and_names_both_numbers(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction, 100)
    before = book.fingerprint()

    for asked in (201, 300, 999_999_999_999):
        assert_exceeds(book, capture(service, transaction, asked), asked, 200, before)
    assert amounts(capture(service, transaction, 200))["captured"] == 300


def test_over_capture_stays_within_its_program_s_share(service, book):
    wallet = book.wallet(book.program(over_capture_bps=TIP), balance=1000)
    transaction = held(service, wallet)
    before = book.fingerprint()

    assert_exceeds(book, capture(service, transaction, 361), 361, 360, before)
    answer = capture(service, transaction, 360)

    assert amounts(answer) == {"authorised": 360, "captured": 360}
    assert answer.json()["balance_after"] == 640
    assert rows(book, wallet) == [("H", 300, 700), ("O", 60, 640), ("C", 360, 640)]


def test_over_capture_is_used_up_by_the_first_part_that_needs_it(service, book):
    wallet = book.wallet(book.program(over_capture_bps=TIP), balance=1000)
    transaction = held(service, wallet)
    capture(service, transaction, 250)
    before = book.fingerprint()

    assert_exceeds(book, capture(service, transaction, 111), 111, 110, before)
    capture(service, transaction, 90)
    before = book.fingerprint()

    assert_resolved(book, capture(service, transaction, 20), "captured", before)
    assert book.balance(wallet) == 660


def test_over_capture_is_a_share_of_hold_and_increments_rounded_down(service, book):
    wallet = book.wallet(book.program(over_capture_bps=333), balance=1000)
    transaction = held(service, wallet, 100)
    increment(service, transaction, 50)
    before = book.fingerprint()

    assert_exceeds(book, capture(service, transaction, 155), 155, 154, before)
    assert amounts(capture(service, transaction, 154)) == {"authorised": 154, "captured": 154}


def test_over_capture_is_no_share_of_what_was_given_back(service, book):
    """A hold of which nearly all is void is no credit for a large capture."""
    wallet = book.wallet(book.program(over_capture_bps=10_000), balance=5000)
    transaction = held(service, wallet, 1000)
    void_part(service, transaction, 999)
    before = book.fingerprint()

    assert_exceeds(book, capture(service, transaction, 3), 3, 2, before)
    assert amounts(capture(service, transaction, 2)) == {
        "authorised": 1001,
        "captured": 2,
        "released": 999,
    }


def test_over_capture_takes_no_more_than_there_is(service, book):
    wallet = book.wallet(book.program(over_capture_bps=TIP), balance=310)
    transaction = held(service, wallet)
    before = book.fingerprint()

    assert_exceeds(book, capture(service, transaction, 311), 311, 310, before)
    assert capture(service, transaction, 310).json()["balance_after"] == 0


def test_over_capture_counts_amounts_and_no_purchase(service, book):
    program = book.program(over_capture_bps=TIP, day_max=460, day_count_max=2)
    wallet = book.wallet(program, balance=1000)

    capture(service, held(service, wallet), 360)

    assert hold(service, wallet, 101).json()["response_code"] == "61"
    assert hold(service, wallet, 100).json()["response_code"] == "00"


@pytest.mark.parametrize("status", ["B", "C"])
def test_capture_of_a_hold_does_not_ask_whether_the_wallet_may_still_spend(service, book, status):
    wallet = book.wallet(book.program(over_capture_bps=TIP), balance=1000)
    transaction = held(service, wallet)
    book.database.run(
        'UPDATE pay.wallet SET status = %s::"char" WHERE wallet_id = %s', status, wallet
    )

    assert capture(service, transaction, 360).status == 201


def test_replay_of_an_over_capture_is_byte_identical(service, book):
    wallet, key = book.wallet(book.program(over_capture_bps=TIP)), new_key()
    transaction = held(service, wallet)
    first = capture(service, transaction, 360, key=key)
    before = book.fingerprint()

    second = capture(service, transaction, 360, key=key)

    assert (second.status, second.body) == (201, first.body)
    assert book.fingerprint() == before


# States that have nothing to capture.


def test_capture_of_a_voided_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    void(service, transaction)
    before = book.fingerprint()

    assert_resolved(book, capture(service, transaction), "voided", before)
    assert_resolved(book, capture(service, transaction, 1), "voided", before)


def test_capture_after_the_rest_was_given_back_is_409(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction, 100)
    void_part(service, transaction, 200)
    before = book.fingerprint()

    assert_resolved(book, capture(service, transaction, 1), "captured", before)


def test_capture_of_a_refunded_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction)
    refund(service, transaction)
    before = book.fingerprint()

    assert_resolved(book, capture(service, transaction, 1), "refunded", before)


def test_capture_of_an_overdue_hold_is_409_expired(service, book):
    wallet = book.wallet()
    transaction = held(service, wallet)
    overdue(book, transaction)

    assert_overdue(book, capture(service, transaction), wallet, "C")


def test_captures_at_once_take_no_more_than_was_held(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)

    answers = in_threads(30, lambda _: capture(service, transaction, 70))

    statuses = [answer.status for answer in answers]
    assert statuses.count(201) == 4 and set(statuses) == {201, 422}, statuses
    assert {answer.json()["limit"] for answer in answers if answer.status == 422} == {20}
    assert amounts(capture(service, transaction)) == {"authorised": 300, "captured": 300}
