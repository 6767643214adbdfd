"""What every step of a hold refuses in the same way, and what its key is worth."""

import pytest

from harness.faults import hold_up, waits_in_memory
from harness.http import request_bytes
from harness.machine import in_threads, wait_until
from harness.payments import (
    hold,
    luhn_number,
    new_key,
    payload,
    post,
    post_bytes,
    post_headers,
    problem,
    void,
)
from harness.service import API_KEY, PATIENT, SIMULATE
from harness.steps import STEPS, amounts, capture, step

REPLAYED = "Idempotent-Replayed"
UNKNOWN_ID = "txn_" + "0" * 32
LOCK_S = 0.3
SUCCESS = {"capture": 201, "void": 200, "increment": 201, "refund": 201}
MEMBER = {
    "capture": "captures",
    "void": "voids",
    "increment": "increments",
    "refund": "refunds",
}

every_step = pytest.mark.parametrize("name", STEPS)


def open_hold(service, wallet, amount=300):
    """A hold of which every step can take or add a part of 100: a third of it is captured."""
    transaction = hold(service, wallet, amount).json()["transaction_id"]
    assert capture(service, transaction, amount // 3).status == 201
    return transaction


def step_bytes(transaction, name, body, key):
    headers = post_headers(key, {"X-API-Key": API_KEY})
    return request_bytes("POST", f"{SIMULATE}/{transaction}/{name}", headers, post_bytes(body))


# The order of the checks: key, id, head, body, Idempotency-Key.


@every_step
def test_step_without_a_valid_api_key_moves_nothing(service, book, name):
    transaction = open_hold(service, book.wallet())
    before = book.fingerprint()

    assert step(service, transaction, name, {"amount": 1}, new_key(), api_key=None).status == 401
    assert step(service, transaction, name, {"amount": 1}, new_key(), api_key="x").status == 403
    assert book.fingerprint() == before


@every_step
def test_step_that_must_not_be_answered_in_json_is_406(service, book, name):
    transaction = open_hold(service, book.wallet())
    before = book.fingerprint()

    answer = step(service, transaction, name, {"amount": 1}, new_key(), {"Accept": "text/html"})

    assert answer.status == 406
    assert book.fingerprint() == before


@every_step
def test_step_is_a_post(service, name):
    for method in ("GET", "PUT", "DELETE"):
        answer = service.call(method, f"{SIMULATE}/{UNKNOWN_ID}/{name}")

        assert (answer.status, problem(answer)) == (405, "method-not-allowed")
        assert "POST" in answer.header("Allow") and method not in answer.header("Allow")


@every_step
def test_step_of_an_unknown_hold_is_404(service, name):
    for unknown in (UNKNOWN_ID, "txn_" + "0" * 31, "txn_" + "z" * 32, "txn_" + "A" * 32, "1"):
        answer = step(service, unknown, name, {"amount": 1}, new_key())

        assert (answer.status, problem(answer)) == (404, "not-found"), unknown


@every_step
def test_step_of_a_declined_hold_is_404(service, book, name):
    declined = hold(service, book.wallet(balance=1), 100).json()["transaction_id"]

    answer = step(service, declined, name, {"amount": 1}, new_key())

    assert (answer.status, problem(answer)) == (404, "not-found")


@every_step
def test_step_of_a_step_is_404(service, book, name):
    transaction = open_hold(service, book.wallet())
    steps = [step(service, transaction, of, {"amount": 1}, new_key()).json() for of in STEPS]
    before = book.fingerprint()

    for own in steps:
        answer = step(service, own["transaction_id"], name, {"amount": 1}, new_key())
        assert (answer.status, problem(answer)) == (404, "not-found"), own

    assert book.fingerprint() == before


@every_step
def test_step_of_another_clients_hold_is_404(service, book, name):
    transaction = open_hold(service, book.wallet())
    number = transaction.removeprefix("txn_")
    book.database.run("UPDATE pay.simulation SET client_id = 77 WHERE txn_id = %s", number)
    before = book.fingerprint()

    answer = step(service, transaction, name, {"amount": 1}, new_key())

    assert (answer.status, problem(answer)) == (404, "not-found")
    unknown = step(service, UNKNOWN_ID, name, {"amount": 1}, new_key())
    assert answer.json()["detail"] == unknown.json()["detail"]
    assert book.fingerprint() == before


def assert_refused(service, book, name, status, slug, requests):
    """Each of these (body, key, headers) is, and none moves anything. The answers."""
    transaction = open_hold(service, book.wallet())
    before = book.fingerprint()
    answers = []
    for body, key, headers in requests:
        answer = step(service, transaction, name, body, key, headers)
        assert (answer.status, problem(answer)) == (status, slug), (body, key, headers)
        answers.append(answer)
    assert book.fingerprint() == before
    return answers


@every_step
def test_body_that_is_not_json_by_its_head_is_415(service, book, name):
    transaction = open_hold(service, book.wallet())
    before = book.fingerprint()

    for media_type in ("text/plain", "application/x-www-form-urlencoded", "application/jsonx"):
        headers = [("Content-Type", media_type), ("Idempotency-Key", new_key())]
        answer = service.call("POST", f"{SIMULATE}/{transaction}/{name}", headers, b'{"amount":1}')
        assert (answer.status, problem(answer)) == (415, "unsupported-media-type"), media_type

    assert book.fingerprint() == before


NO_OBJECTS = (
    b"{",
    b"[]",
    b"null",
    b"1",
    b"{} x",
    b'{"amount":01}',
    b'{"amount":1,"amount":1}',
    b'{"amount":9223372036854775808}',
    b'{"amount":1}\0',
    b'\xef\xbb\xbf{"amount":1}',
)


@every_step
def test_body_that_is_no_object_is_400(service, book, name):
    requests = [(body, new_key(), None) for body in NO_OBJECTS]

    answers = assert_refused(service, book, name, 400, "invalid-json", requests)

    assert all("offset" in answer.json() for answer in answers)


NO_AMOUNTS = (0, -1, 10**12, 2**63 - 1, 1.0, 1.5, "1", None, True, [1], {"minor": 1})


@every_step
def test_amount_outside_its_range_is_422(service, book, name):
    requests = [({"amount": amount}, new_key(), None) for amount in NO_AMOUNTS]

    answers = assert_refused(service, book, name, 422, "invalid-parameter", requests)

    for answer in answers:
        assert [error["pointer"] for error in answer.json()["errors"]] == ["/amount"], answer


@every_step
def test_unknown_member_is_422(service, book, name):
    strange = ({"currency": "EUR"}, {"force": "51"}, {"Amount": 1}, {"expires_in_s": 60}, {"": 1})
    requests = [({"amount": 1, **more}, new_key(), None) for more in strange]

    answers = assert_refused(service, book, name, 422, "invalid-parameter", requests)

    for answer in answers:
        assert answer.json()["detail"].startswith("the object has members other than amount")


@every_step
def test_card_number_is_422(service, book, name):
    transaction = open_hold(service, book.wallet())

    answer = step(service, transaction, name, {"note": luhn_number()}, new_key())

    assert (answer.status, problem(answer)) == (422, "pan-detected")


@every_step
def test_step_of_a_part_without_an_idempotency_key_is_400(service, book, name):
    requests = [({"amount": 1}, None, None)]

    assert_refused(service, book, name, 400, "idempotency-key-missing", requests)


@every_step
def test_wrong_idempotency_key_is_400(service, book, name):
    keys = ("a b", "", '"', "k" * 256, "caf\xe9")
    requests = [({"amount": 1}, key, None) for key in keys]

    assert_refused(service, book, name, 400, "idempotency-key-invalid", requests)


# What the key is worth.


@every_step
def test_replay_is_byte_identical_and_marked(service, book, name):
    wallet, key = book.wallet(), new_key()
    transaction = open_hold(service, wallet)
    first = step(service, transaction, name, {"amount": 7}, key)
    before = book.fingerprint()

    second = step(service, transaction, name, b' { "amount" : 7 } ', f'"{key}"')

    assert first.status == SUCCESS[name], first
    assert (second.status, second.body) == (first.status, first.body)
    assert (first.header(REPLAYED), second.header(REPLAYED)) == (None, "true")
    assert first.header("Location") == second.header("Location")
    assert book.fingerprint() == before


@every_step
def test_replay_is_the_same_whatever_came_after(service, book, name):
    wallet, key = book.wallet(), new_key()
    transaction = open_hold(service, wallet)
    first = step(service, transaction, name, {"amount": 7}, key)
    for later in STEPS:
        assert step(service, transaction, later, {"amount": 5}, new_key()).status == SUCCESS[later]
    assert void(service, transaction).status == 200

    second = step(service, transaction, name, {"amount": 7}, key)

    assert second.body == first.body
    assert second.json()[MEMBER[name]] == transaction


@every_step
def test_same_step_many_times_at_once_is_done_once(service, book, name):
    wallet, key = book.wallet(), new_key()
    transaction = open_hold(service, wallet)
    versions = "SELECT version FROM pay.wallet WHERE wallet_id = %s"
    before = book.database.value(versions, wallet)

    answers = in_threads(40, lambda _: step(service, transaction, name, {"amount": 7}, key))

    done = [answer for answer in answers if answer.status == SUCCESS[name]]
    refused = [answer for answer in answers if answer.status == 409]
    assert done and len(done) + len(refused) == 40, {answer.status for answer in answers}
    assert len({answer.body for answer in done}) == 1
    assert [answer.header(REPLAYED) for answer in done].count(None) == 1
    assert {problem(answer) for answer in refused} <= {"idempotency-in-flight"}
    assert book.database.value(versions, wallet) == before + 1


@every_step
def test_same_step_through_two_processes_is_done_once(service, start_service, book, name):
    wallet, key = book.wallet(), new_key()
    transaction = open_hold(service, wallet)
    processes = [service, start_service(PATIENT)]
    versions = "SELECT version FROM pay.wallet WHERE wallet_id = %s"
    before = book.database.value(versions, wallet)

    answers = in_threads(
        30, lambda index: step(processes[index % 2], transaction, name, {"amount": 7}, key)
    )

    assert {answer.status for answer in answers} <= {SUCCESS[name], 409}
    assert len({answer.body for answer in answers if answer.status == SUCCESS[name]}) == 1
    assert book.database.value(versions, wallet) == before + 1


def assert_reused(answer, field):
    assert (answer.status, problem(answer)) == (422, "idempotency-key-reused")
    assert answer.json()["mismatch"] == [field]


@every_step
def test_key_of_a_step_for_another_amount_hold_or_step_is_422(service, book, name):
    wallet, key = book.wallet(), new_key()
    transaction, other = open_hold(service, wallet), open_hold(service, wallet)
    step(service, transaction, name, {"amount": 7}, key)
    before = book.fingerprint()

    assert_reused(step(service, transaction, name, {"amount": 8}, key), "amount")
    assert_reused(step(service, other, name, {"amount": 7}, key), "path")
    for another in set(STEPS) - {name}:
        assert_reused(step(service, transaction, another, {"amount": 7}, key), "path")

    assert book.fingerprint() == before


@every_step
def test_key_of_a_hold_is_none_of_a_step_and_the_other_way_round(service, book, name):
    wallet, of_hold, of_step = book.wallet(), new_key(), new_key()
    transaction = hold(service, wallet, 300, of_hold).json()["transaction_id"]
    capture(service, transaction, 100)
    assert step(service, transaction, name, {"amount": 7}, of_step).status == SUCCESS[name]
    before = book.fingerprint()

    as_step = step(service, transaction, name, {"amount": 7}, of_hold)
    as_hold = post(service, payload(wallet, 300), of_step)

    assert (as_step.status, problem(as_step)) == (422, "idempotency-key-reused")
    assert (as_hold.status, problem(as_hold)) == (422, "idempotency-key-reused")
    assert book.fingerprint() == before


@every_step
def test_refused_step_leaves_its_key_free(service, book, name):
    transaction, key = open_hold(service, book.wallet()), new_key()

    refused = step(service, UNKNOWN_ID, name, {"amount": 7}, key)
    answer = step(service, transaction, name, {"amount": 7}, key)

    assert refused.status == 404
    assert (answer.status, answer.header(REPLAYED)) == (SUCCESS[name], None)


# A wallet that somebody else holds.


@every_step
def test_key_in_flight_is_409_until_it_is_decided(service, book, name):
    wallet, key = book.wallet(), new_key()
    transaction = open_hold(service, wallet)
    with book.database.connect() as other, service.connect() as first:
        hold_up(other, "memory", wallet)
        first.send(step_bytes(transaction, name, {"amount": 7}, key))
        wait_until(lambda: waits_in_memory(service))

        duplicate = step(service, transaction, name, {"amount": 7}, key)
        other.execute("COMMIT")
        decided = first.response()

    assert (duplicate.status, problem(duplicate)) == (409, "idempotency-in-flight")
    assert duplicate.header("Retry-After") == "1"
    assert decided.status == SUCCESS[name], decided


@every_step
def test_wallet_that_stays_locked_is_409_and_nothing_moved(start_service, book, name):
    impatient = start_service({**PATIENT, "LOCK_TIMEOUT_MS": str(int(LOCK_S * 1000))})
    wallet, key = book.wallet(), new_key()
    transaction = open_hold(impatient, wallet)
    with book.database.connect() as other:
        hold_up(other, "memory", wallet)
        before = book.fingerprint()
        busy = step(impatient, transaction, name, {"amount": 7}, key)
        after = book.fingerprint()
        other.execute("COMMIT")

    answer = step(impatient, transaction, name, {"amount": 7}, key)

    assert (busy.status, problem(busy)) == (409, "wallet-busy")
    assert (busy.json()["applied"], busy.header("Retry-After")) == ("no", "1")
    assert before == after
    assert (answer.status, answer.header(REPLAYED)) == (SUCCESS[name], None)


# The end of what a hold can have.


def test_hold_has_a_hundred_steps_and_is_voided_after_them(service, book):
    wallet = book.wallet(balance=1000)
    transaction = hold(service, wallet, 300).json()["transaction_id"]
    in_threads(10, lambda _: [capture(service, transaction, 1) for _ in range(10)])
    before = book.fingerprint()

    for name in STEPS:
        answer = step(service, transaction, name, {"amount": 1}, new_key())
        assert (answer.status, problem(answer)) == (409, "too-many-steps")
        assert answer.header("Retry-After") is None
    assert book.fingerprint() == before
    last = void(service, transaction)

    assert amounts(last) == {"authorised": 300, "captured": 100, "released": 200}
    assert book.balance(wallet) == 900


@every_step
def test_step_is_counted_and_audited(service, book, name):
    transaction, key = open_hold(service, book.wallet()), new_key()
    own = step(service, transaction, name, {"amount": 7}, key).json()["transaction_id"]
    step(service, transaction, name, {"amount": 7}, key)

    wait_until(lambda: service.events(name, payment__transaction_id=own))
    (told,) = service.events(name, payment__transaction_id=own)

    assert told[f"payment.{MEMBER[name]}"] == transaction
    assert told["payment.amount"] == 7
    assert told["api_key.id"] == "current"
    metrics = service.metrics()
    for result in ("done", "replayed"):
        assert metrics.value("payment_steps_total", step=name, result=result) >= 1
