"""What is open of a hold is given back at most once, all of it or in parts."""

import pytest

from harness.machine import in_threads
from harness.payments import hold, new_key, payload, post, problem, void
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
    "voids",
    "status",
    "region",
    "timestamp",
    "balance_after",
    "processing_time_ms",
    "amount",
    "currency",
    "authorised",
    "captured",
    "released",
    "expired",
    "refunded",
    "open",
]
"""The first six are those of the answer before there were parts."""


def test_void_gives_the_money_back(service, book):
    wallet = book.wallet(balance=1000)
    created = hold(service, wallet, 300)

    answer = void(service, created.json()["transaction_id"])

    assert answer.status == 200, answer
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Location") is None
    told = answer.json()
    assert list(told) == MEMBERS
    assert (told["voids"], told["status"]) == (created.json()["transaction_id"], "voided")
    assert (told["amount"], told["balance_after"]) == (300, 1000)
    assert amounts(answer) == {"authorised": 300, "released": 300}
    assert book.balance(wallet) == 1000
    assert rows(book, wallet) == [("H", 300, 700), ("V", 300, 1000)]


def test_void_gives_the_limits_back(service, book):
    wallet = book.wallet(book.program(day_count_max=1, day_max=100, month_max=100))
    created = hold(service, wallet, 100)

    void(service, created.json()["transaction_id"])

    assert hold(service, wallet, 100).json()["response_code"] == "00"


def test_voided_hold_reads_as_voided(service, book):
    created = hold(service, book.wallet())
    void(service, created.json()["transaction_id"])

    read = service.call("GET", created.header("Location"))

    assert read.json() | created.json() | {"voided": True} == read.json()


def test_second_void_is_409(service, book):
    transaction = hold(service, book.wallet()).json()["transaction_id"]
    void(service, transaction)

    answer = void(service, transaction)

    assert (answer.status, problem(answer)) == (409, "already-resolved")
    assert answer.json()["state"] == "voided"
    assert answer.header("Retry-After") is None


def test_sixty_voids_at_once_resolve_once(service, book):
    wallet = book.wallet(balance=1000)
    transaction = hold(service, wallet, 300).json()["transaction_id"]

    answers = in_threads(60, lambda _: void(service, transaction))

    statuses = [answer.status for answer in answers]
    assert (statuses.count(200), statuses.count(409)) == (1, 59), statuses
    assert book.balance(wallet) == 1000


def test_declined_hold_cannot_be_voided(service, book):
    wallet = book.wallet(balance=1)
    declined = hold(service, wallet, 100).json()["transaction_id"]

    answer = void(service, declined)

    assert (answer.status, problem(answer)) == (404, "not-found")
    assert book.balance(wallet) == 1


@pytest.mark.parametrize(
    "name", ["txn_" + "0" * 32, "txn_" + "0" * 31, "txn_" + "z" * 32, "1", "txn_"]
)
def test_unknown_hold_is_404(service, name):
    answer = void(service, name)

    assert (answer.status, problem(answer)) == (404, "not-found")


def test_void_of_a_void_is_404(service, book):
    wallet = book.wallet()
    created = hold(service, wallet).json()["transaction_id"]
    void(service, created)
    ((own,),) = book.database.rows(
        "SELECT txn_id FROM pay.transfer WHERE credit_account = %s AND kind = 'V'", wallet
    )

    assert void(service, f"txn_{own.hex}").status == 404


def test_void_without_a_key_is_401(service, book):
    wallet = book.wallet(balance=1000)
    transaction = hold(service, wallet, 300).json()["transaction_id"]

    assert void(service, transaction, key=None).status == 401
    assert book.balance(wallet) == 700


# Parts, keys and bodies.


def test_part_is_given_back_and_the_rest_stays_open(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)

    answer = void_part(service, transaction, 100)

    assert answer.status == 200
    assert answer.json()["balance_after"] == 800
    assert amounts(answer) == {"authorised": 300, "released": 100, "open": 200}
    assert amounts(void(service, transaction)) == {"authorised": 300, "released": 300}
    assert rows(book, wallet) == [("H", 300, 700), ("V", 100, 800), ("V", 200, 1000)]


def test_part_gives_its_amount_back_to_the_limits_and_no_purchase(service, book):
    wallet = book.wallet(book.program(day_max=100, month_max=100, day_count_max=2))
    transaction = held(service, wallet, 100)

    void_part(service, transaction, 40)

    assert hold(service, wallet, 41).json()["response_code"] == "61"
    assert hold(service, wallet, 40).json()["response_code"] == "00"
    assert hold(service, wallet, 1).json()["response_code"] == "65"


def test_rest_of_a_capture_is_given_back(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)
    capture(service, transaction, 120)

    answer = void(service, transaction)

    assert answer.json()["amount"] == 180
    assert amounts(answer) == {"authorised": 300, "captured": 120, "released": 180}
    assert book.balance(wallet) == 880


@pytest.mark.parametrize("body", [None, b"", b"{}"])
def test_void_of_all_with_a_key_is_replayed(service, book, body):
    transaction, key = held(service, book.wallet()), new_key()
    first = step(service, transaction, "void", body, key)
    before = book.fingerprint()

    second = step(service, transaction, "void", None, key)

    assert (first.status, first.json()["amount"]) == (200, 300)
    assert (second.status, second.body) == (200, first.body)
    assert second.header("Idempotent-Replayed") == "true"
    assert_resolved(book, step(service, transaction, "void", body, new_key()), "voided", before)


def test_void_of_all_may_have_a_body_without_members_and_no_key(service, book):
    transaction = held(service, book.wallet())

    assert step(service, transaction, "void", {}).status == 200


def test_void_without_framing_is_one_without_a_body(service, book):
    transaction = held(service, book.wallet())

    assert service.call("POST", f"{SIMULATE}/{transaction}/void").status == 200


def test_more_than_is_open_is_422_and_names_both_numbers(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction, 100)
    before = book.fingerprint()

    for asked in (201, 300, 999_999_999_999):
        assert_exceeds(book, void_part(service, transaction, asked), asked, 200, before)


def test_void_of_an_overdue_hold_gives_back_what_nobody_has_released(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)
    overdue(book, transaction)

    answer = void(service, transaction)

    if answer.status == 409:  # the expiry was faster
        assert answer.json()["state"] == "expired"
    assert book.balance(wallet) == 1000


def test_void_of_a_captured_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction)
    before = book.fingerprint()

    assert_resolved(book, void(service, transaction), "captured", before)
    assert_resolved(book, void_part(service, transaction, 1), "captured", before)


def test_void_of_a_refunded_hold_is_409(service, book):
    transaction = held(service, book.wallet())
    capture(service, transaction)
    refund(service, transaction)
    before = book.fingerprint()

    assert_resolved(book, void(service, transaction), "refunded", before)


def test_void_never_fails_on_counters_that_were_reset(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)
    book.database.run(
        "UPDATE pay.wallet SET day_spent = 0, day_count = 0, month_spent = 0 WHERE wallet_id = %s",
        wallet,
    )

    assert void(service, transaction).status == 200
    assert book.balance(wallet) == 1000


def test_parts_at_once_give_back_no_more_than_was_open(service, book):
    wallet = book.wallet(balance=1000)
    transaction = held(service, wallet)

    answers = in_threads(30, lambda _: void_part(service, transaction, 70))

    statuses = [answer.status for answer in answers]
    assert statuses.count(200) == 4 and set(statuses) == {200, 422}, statuses
    assert book.balance(wallet) == 980


def test_holds_and_voids_of_one_wallet_at_once_keep_the_ledger_whole(service, book):
    wallet = book.wallet(balance=100_000)

    def hold_and_void(_):
        statuses = []
        for _ in range(5):
            created = post(service, payload(wallet), new_key())
            statuses.append(created.status)
            statuses.append(void(service, created.json()["transaction_id"]).status)
        return statuses

    statuses = sum(in_threads(12, hold_and_void), [])

    assert set(statuses) == {200, 201}
    assert (book.balance(wallet), book.holds(wallet)) == (100_000, 60)
