"""A hold is given back at most once."""

import pytest

from harness.machine import in_threads
from harness.payments import hold, new_key, payload, post, problem, void


def test_void_gives_the_money_back(service, book):
    wallet = book.wallet(balance=1000)
    created = hold(service, wallet, 300)

    answer = void(service, created.json()["transaction_id"])

    assert answer.status == 200, answer
    assert answer.header("Content-Type") == "application/json"
    assert book.balance(wallet) == 1000


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
