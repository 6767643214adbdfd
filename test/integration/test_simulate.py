"""One purchase in, one decision out: fields, limits, codes and their precedence."""

import pytest

from harness.payments import (
    FOOD_MX,
    evaluate,
    hold,
    new_key,
    payload,
    post,
    problem,
    purchase_query,
)
from harness.service import REGION, SIMULATE

MEMBERS = [
    "transaction_id",
    "status",
    "processing_time_ms",
    "region",
    "timestamp",
    "response_code",
    "reason",
    "advice",
    "effect",
    "amount",
    "currency",
    "balance_after",
]
CODES = {
    "00": ("approved", "none"),
    "12": ("currency_not_supported", "do_not_retry"),
    "14": ("unknown_wallet", "do_not_retry"),
    "46": ("wallet_closed", "do_not_retry"),
    "51": ("insufficient_funds", "retry_later"),
    "54": ("wallet_expired", "fix_data"),
    "57": ("merchant_not_permitted", "do_not_retry"),
    "61": ("amount_limit_exceeded", "retry_later"),
    "62": ("wallet_blocked", "retry_later"),
    "65": ("count_limit_exceeded", "retry_later"),
    "93": ("other_region", "do_not_retry"),
}


# GET


def test_get_with_a_purchase_adds_the_decision_after_the_legacy_members(service):
    answer = service.call("GET", f"{SIMULATE}?{purchase_query()}")

    assert answer.status == 200, answer
    assert list(answer.json()) == MEMBERS


def test_get_with_a_purchase_decides_it(service, book):
    wallet = book.wallet(balance=99)

    body = service.call("GET", f"{SIMULATE}?{purchase_query(wallet)}").json()

    assert (body["status"], body["response_code"], body["effect"]) == ("declined", "51", "evaluate")


def test_get_leaves_wallets_and_ledger_untouched(service, book):
    before = book.fingerprint()

    for target in (
        SIMULATE,
        f"{SIMULATE}?{purchase_query()}",
        f"{SIMULATE}?{purchase_query(999999)}",
    ):
        assert service.call("GET", target).status == 200

    assert book.fingerprint() == before


# POST


def test_hold_is_created_with_a_location_and_all_members(service, book):
    wallet = book.wallet(balance=1000)

    answer = hold(service, wallet, 250)
    body = answer.json()

    assert list(body) == MEMBERS
    assert answer.header("Content-Type") == "application/json"
    assert answer.header("Location") == f"{SIMULATE}/{body['transaction_id']}"
    assert (body["status"], body["response_code"], body["reason"], body["advice"]) == (
        "approved",
        "00",
        "approved",
        "none",
    )
    assert (body["effect"], body["amount"], body["currency"], body["balance_after"]) == (
        "hold",
        250,
        "EUR",
        750,
    )
    assert body["region"] == REGION


def test_hold_moves_the_money_once(service, book):
    wallet = book.wallet(balance=1000)

    hold(service, wallet, 250)

    assert (book.balance(wallet), book.holds(wallet)) == (750, 1)


def test_hold_is_the_default_effect(service, book):
    wallet = book.wallet()

    answer = post(service, payload(wallet, effect=None), new_key())

    assert (answer.status, answer.json()["effect"]) == (201, "hold")


def test_evaluate_answers_200_and_records_nothing(service, book):
    wallet = book.wallet(balance=1000)
    before = book.fingerprint()

    answer = evaluate(service, wallet, 250)

    assert answer.status == 200, answer
    assert list(answer.json()) == MEMBERS
    assert (answer.json()["effect"], answer.json()["response_code"]) == ("evaluate", "00")
    assert book.fingerprint() == before


def test_evaluate_of_zero_is_a_balance_inquiry(service, book):
    wallet = book.wallet(balance=1234)

    body = evaluate(service, wallet, 0).json()

    assert (body["status"], body["balance_after"]) == ("approved", 1234)


def test_evaluate_tells_the_balance_it_leaves_untouched(service, book):
    wallet = book.wallet(balance=1234)

    assert evaluate(service, wallet, 34).json()["balance_after"] == 1234


def test_declined_hold_is_201_and_moves_nothing(service, book):
    wallet = book.wallet(balance=99)

    answer = hold(service, wallet, 100)

    assert (answer.json()["status"], answer.json()["response_code"]) == ("declined", "51")
    assert (book.balance(wallet), book.holds(wallet), book.decisions(wallet)) == (99, 0, 1)


def test_recorded_decision_can_be_read_again(service, book):
    created = hold(service, book.wallet())

    read = service.call("GET", created.header("Location"))

    assert read.status == 200, read
    assert read.json() | created.json() | {"voided": False} == read.json()


def test_recorded_decline_can_be_read_again(service, book):
    created = hold(service, book.wallet(balance=1))

    read = service.call("GET", created.header("Location"))

    assert read.json() | created.json() | {"voided": False} == read.json()


@pytest.mark.parametrize(
    "name", ["txn_" + "0" * 32, "txn_1", "txn_" + "g" * 32, "txn_" + "A" * 32, "x"]
)
def test_unknown_transaction_is_404(service, name):
    answer = service.call("GET", f"{SIMULATE}/{name}")

    assert (answer.status, problem(answer)) == (404, "not-found")


# Limits: the last amount that passes, and the first that does not.


@pytest.mark.parametrize("amount, code", [(2000, "00"), (2001, "61")])
def test_transaction_limit(service, book, amount, code):
    wallet = book.wallet(book.program(txn_max=2000), balance=10_000)

    assert hold(service, wallet, amount).json()["response_code"] == code


@pytest.mark.parametrize("limit", ["day_max", "month_max"])
@pytest.mark.parametrize("amount, code", [(1000, "00"), (1001, "61")])
def test_spending_limit_of_a_period(service, book, limit, amount, code):
    wallet = book.wallet(book.program(**{limit: 3000}), balance=10_000)
    hold(service, wallet, 2000)

    assert hold(service, wallet, amount).json()["response_code"] == code


def test_count_limit_of_a_day(service, book):
    wallet = book.wallet(book.program(day_count_max=2), balance=10_000)

    codes = [hold(service, wallet).json()["response_code"] for _ in range(3)]

    assert codes == ["00", "00", "65"]


def test_declines_do_not_count_against_the_limits(service, book):
    wallet = book.wallet(book.program(day_count_max=1, txn_max=100), balance=10_000)
    hold(service, wallet, 101)

    assert hold(service, wallet, 100).json()["response_code"] == "00"


@pytest.mark.parametrize("amount, code", [(500, "00"), (501, "51")])
def test_balance_limit(service, book, amount, code):
    wallet = book.wallet(balance=500)

    assert hold(service, wallet, amount).json()["response_code"] == code


@pytest.mark.parametrize("days, code", [(0, "00"), (-1, "54")])
def test_wallet_is_valid_through_its_last_business_day(service, book, days, code):
    last = book.database.value("SELECT (now() AT TIME ZONE 'Europe/Madrid')::date + %s", days)

    assert hold(service, book.wallet(valid_thru=last)).json()["response_code"] == code


# Each code, each alone and before the next in the order of precedence.


def closed_in_another_region(book):
    return book.wallet(FOOD_MX, status="C"), {}


def closed_and_expired(book):
    return book.wallet(status="C", valid_thru="2020-01-01"), {}


def blocked_and_expired(book):
    return book.wallet(status="B", valid_thru="2020-01-01"), {}


def expired_in_another_currency(book):
    return book.wallet(valid_thru="2020-01-01"), {"currency": "MXN"}


def other_currency_at_a_forbidden_merchant(book):
    return book.wallet(), {"currency": "MXN", "merchant": {"mcc": "5411", "country": "ES"}}


def forbidden_merchant_over_the_count(book):
    return (
        book.wallet(book.program(day_count_max=1)),
        {"merchant": {"mcc": "5411", "country": "ES"}, "first": 1},
    )


def foreign_merchant(book):
    return book.wallet(), {"merchant": {"mcc": "5812", "country": "PT"}}


def over_the_count_and_the_amount(book):
    return book.wallet(book.program(day_count_max=1, txn_max=50)), {"first": 1}


def over_the_amount_and_the_balance(book):
    return book.wallet(book.program(txn_max=50), balance=60), {}


@pytest.mark.parametrize("effect, status", [("evaluate", 200), ("hold", 201)])
@pytest.mark.parametrize(
    "case, code",
    [
        (lambda _: (987_654, {}), "14"),
        (closed_in_another_region, "93"),
        (closed_and_expired, "46"),
        (blocked_and_expired, "62"),
        (expired_in_another_currency, "54"),
        (other_currency_at_a_forbidden_merchant, "12"),
        (forbidden_merchant_over_the_count, "57"),
        (foreign_merchant, "57"),
        (over_the_count_and_the_amount, "65"),
        (over_the_amount_and_the_balance, "61"),
        (lambda book: (book.wallet(balance=99), {}), "51"),
        (lambda book: (book.wallet(balance=100), {}), "00"),
    ],
    ids=[
        "14",
        "93>46",
        "46>54",
        "62>54",
        "54>12",
        "12>57",
        "57>65",
        "57-country",
        "65>61",
        "61>51",
        "51",
        "00",
    ],
)
def test_code_and_its_precedence(service, book, case, code, effect, status):
    wallet, changes = case(book)
    first = changes.pop("first", None)
    if first is not None:
        hold(service, wallet, first)

    answer = post(service, payload(wallet, 100, effect=effect, **changes), new_key())
    body = answer.json()

    assert (answer.status, body["response_code"]) == (status, code), answer
    assert (body["reason"], body["advice"]) == CODES[code]
    assert body["status"] == ("approved" if code == "00" else "declined")


# What every answer carries


def test_answers_carry_the_trace_they_were_called_in(service):
    trace = "0af7651916cd43dd8448eb211c80319c"

    answer = service.call("GET", SIMULATE, {"traceparent": f"00-{trace}-b7ad6b7169203331-01"})

    assert answer.header("X-Request-Id") == trace


@pytest.mark.parametrize(
    "value",
    [
        "00-" + "0" * 32 + "-b7ad6b7169203331-01",
        "00-xyz-b7ad6b7169203331-01",
        "garbage",
        "",
    ],
    ids=["zero", "not-hex", "garbage", "empty"],
)
def test_invalid_traceparent_starts_a_new_trace(service, value):
    identity = service.call("GET", SIMULATE, {"traceparent": value}).header("X-Request-Id")

    assert len(identity) == 32 and int(identity, 16) > 0


def test_answers_tell_where_the_time_went(service):
    timing = service.call("GET", SIMULATE).header("Server-Timing")

    assert [part.strip().split(";")[0] for part in timing.split(",")] == [
        "auth",
        "queue",
        "db",
        "total",
    ]
