"""One key, one decision: whatever is retried, raced or changed."""

import json

import pytest

from harness.faults import hold_up, is_held_up
from harness.machine import in_threads, wait_until
from harness.payments import FOOD_MX, hold, hold_bytes, new_key, payload, post, problem
from harness.service import API_KEY_PREVIOUS, PATIENT

REPLAYED = "Idempotent-Replayed"


def test_replay_is_byte_identical_and_marked(service, book):
    wallet, key = book.wallet(), new_key()
    first = hold(service, wallet, key=key)

    second = post(service, payload(wallet), key)

    assert (second.status, second.body) == (201, first.body)
    assert (first.header(REPLAYED), second.header(REPLAYED)) == (None, "true")
    assert second.header("Location") == first.header("Location")
    assert book.holds(wallet) == 1


def test_replay_of_the_same_meaning_in_other_bytes(service, book):
    wallet, key = book.wallet(), new_key()
    first = hold(service, wallet, key=key)
    reordered = dict(reversed(list(payload(wallet, effect="hold").items())))

    second = post(service, json.dumps(reordered, indent=3).encode(), key)

    assert (second.status, second.body) == (201, first.body)


def test_hundred_identical_requests_at_once_debit_once(service, book):
    wallet, key = book.wallet(balance=1000), new_key()

    answers = in_threads(100, lambda _: post(service, payload(wallet, 100), key))

    created = [answer for answer in answers if answer.status == 201]
    refused = [answer for answer in answers if answer.status == 409]
    assert len(created) + len(refused) == 100, {answer.status for answer in answers}
    assert len({answer.body for answer in created}) == 1
    assert [answer.header(REPLAYED) for answer in created].count(None) == 1
    assert {problem(answer) for answer in refused} <= {"idempotency-in-flight"}
    assert {answer.header("Retry-After") for answer in refused} <= {"1"}
    assert (book.balance(wallet), book.holds(wallet), book.decisions(wallet)) == (900, 1, 1)


def test_key_raced_through_two_processes_debits_once(service, start_service, book):
    wallet, key = book.wallet(balance=1000), new_key()
    processes = [service, start_service(PATIENT)]

    answers = in_threads(40, lambda index: post(processes[index % 2], payload(wallet, 100), key))

    assert {answer.status for answer in answers} <= {201, 409}
    assert len({answer.body for answer in answers if answer.status == 201}) == 1
    assert (book.balance(wallet), book.holds(wallet)) == (900, 1)


def test_retry_after_a_race_gives_the_one_decision(service, book):
    wallet, key = book.wallet(balance=1000), new_key()

    def until_created(_):
        return wait_until(
            lambda: (lambda a: a if a.status == 201 else None)(
                post(service, payload(wallet, 100), key)
            ),
            10,
        )

    bodies = {answer.body for answer in in_threads(20, until_created)}

    assert len(bodies) == 1
    assert book.holds(wallet) == 1


@pytest.mark.parametrize("where", ["memory", "server"])
def test_key_in_flight_is_409_until_it_is_decided(service, book, where):
    wallet, key = book.wallet(), new_key()
    with book.database.connect() as other, service.connect() as first:
        hold_up(other, where, wallet)
        first.send(hold_bytes(wallet, key))
        wait_until(lambda: is_held_up(service, book.database, where))

        duplicate = post(service, payload(wallet), key)
        other.execute("COMMIT")
        decided = first.response()

    assert (duplicate.status, problem(duplicate)) == (409, "idempotency-in-flight")
    assert duplicate.header("Retry-After") == "1"
    assert decided.status == 201, decided


@pytest.mark.parametrize(
    "change, fields",
    [
        ({"amount": 101}, ["amount"]),
        ({"wallet_id": "wal_2"}, ["wallet_id"]),
        ({"currency": "MXN"}, ["currency"]),
        ({"merchant": {"mcc": "5811", "country": "ES"}}, ["merchant.mcc"]),
        ({"merchant": {"mcc": "5812", "country": "PT"}}, ["merchant.country", "expires_in_s"]),
        ({"expires_in_s": 60}, ["expires_in_s"]),
    ],
)
def test_key_with_another_payload_is_422_and_names_the_field(service, book, change, fields):
    wallet, key = book.wallet(), new_key()
    hold(service, wallet, key=key)
    before = book.database.rows(
        "SELECT txn_id, code, amount FROM pay.simulation WHERE wallet_id = %s", wallet
    )

    answer = post(service, {**payload(wallet), **change}, key)

    assert (answer.status, problem(answer)) == (422, "idempotency-key-reused")
    assert answer.json()["mismatch"] == fields
    assert (
        book.database.rows(
            "SELECT txn_id, code, amount FROM pay.simulation WHERE wallet_id = %s", wallet
        )
        == before
    )
    assert book.holds(wallet) == 1


def test_hundred_requests_with_one_key_and_many_wallets_debit_one(service, book):
    wallets, key = [book.wallet(balance=1000) for _ in range(10)], new_key()

    answers = in_threads(100, lambda index: post(service, payload(wallets[index % 10]), key))

    assert {answer.status for answer in answers} <= {201, 409, 422}
    assert sum(book.holds(wallet) for wallet in wallets) == 1


def test_decline_stays_declined_after_a_top_up(service, book):
    wallet, key = book.wallet(balance=50), new_key()
    declined = hold(service, wallet, 100, key)
    book.top_up(wallet, 1000)

    again = post(service, payload(wallet, 100), key)

    assert declined.json()["response_code"] == "51"
    assert (again.status, again.body, again.header(REPLAYED)) == (201, declined.body, "true")


def test_new_key_approves_after_a_top_up(service, book):
    wallet = book.wallet(balance=50)
    hold(service, wallet, 100)
    book.top_up(wallet, 1000)

    assert hold(service, wallet, 100).json()["response_code"] == "00"


def test_unknown_wallet_is_a_recorded_decision(service, book):
    key = new_key()
    first = hold(service, 876_543, key=key)

    again = post(service, payload(876_543), key)

    assert first.json()["response_code"] == "14"
    assert (again.status, again.body) == (201, first.body)


def test_both_api_keys_of_a_client_share_their_idempotency_keys(service, book):
    wallet, key = book.wallet(), new_key()
    first = hold(service, wallet, key=key)

    rotated = post(service, payload(wallet), key, api_key=API_KEY_PREVIOUS)

    assert (rotated.status, rotated.body) == (201, first.body)


def test_quoted_and_bare_key_are_the_same_key(service, book):
    wallet, key = book.wallet(), new_key()
    first = hold(service, wallet, key=key)

    quoted = post(service, payload(wallet), f'"{key}"')

    assert (quoted.status, quoted.body) == (201, first.body)


def test_longest_key_is_accepted(service, book):
    assert post(service, payload(book.wallet()), new_key().ljust(255, "k")).status == 201


def test_hold_without_a_key_is_400(service):
    answer = post(service, payload(1))

    assert (answer.status, problem(answer)) == (400, "idempotency-key-missing")


@pytest.mark.parametrize(
    "key",
    ["k" * 256, '""', '"open', "two words", "\xe9", "k\tk"],
    ids=["256", "empty-quoted", "half-quoted", "space", "not-ascii", "tab"],
)
def test_invalid_key_is_400(service, key):
    answer = post(service, payload(1), key)

    assert (answer.status, problem(answer)) == (400, "idempotency-key-invalid")


def test_two_keys_are_400(service):
    answer = post(service, payload(1), new_key(), {"idempotency-key": new_key()})

    assert (answer.status, problem(answer)) == (400, "idempotency-key-invalid")


def test_evaluate_needs_no_key_and_claims_none(service, book):
    wallet, key = book.wallet(), new_key()

    evaluated = post(service, payload(wallet, effect="evaluate"), key)
    held = post(service, payload(wallet), key)

    assert (evaluated.status, held.status, held.header(REPLAYED)) == (200, 201, None)


def test_refused_request_does_not_claim_its_key(service, book):
    wallet, key = book.wallet(), new_key()
    refused = post(service, payload(wallet, -1), key)

    corrected = post(service, payload(wallet, 100), key)

    assert (refused.status, corrected.status, corrected.header(REPLAYED)) == (422, 201, None)


def test_replay_after_a_void_is_still_the_first_answer(service, book):
    wallet, key = book.wallet(), new_key()
    first = hold(service, wallet, key=key)
    service.call("POST", first.header("Location") + "/void", {"Content-Length": "0"})

    again = post(service, payload(wallet), key)

    assert (again.status, again.body) == (201, first.body)
    assert book.holds(wallet) == 1


def test_wallet_of_another_region_is_a_recorded_decision(service, book):
    wallet, key = book.wallet(FOOD_MX), new_key()
    first = post(service, payload(wallet, program=FOOD_MX), key)

    again = post(service, payload(wallet, program=FOOD_MX), key)

    assert first.json()["response_code"] == "93"
    assert again.body == first.body
