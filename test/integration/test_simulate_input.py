"""What is not a purchase: refused, with the field that is wrong, and nothing moves."""

import json

import pytest

from harness.payments import hold, luhn_number, new_key, payload, post, problem, purchase_query
from harness.service import API_KEY, SIMULATE

LEGACY_MEMBERS = ["transaction_id", "status", "processing_time_ms", "region", "timestamp"]

# Queries


@pytest.mark.parametrize(
    "parameter", ["wallet_id", "amount", "currency", "mcc", "merchant_country"]
)
def test_get_with_a_missing_parameter_is_422(service, parameter):
    answer = service.call("GET", f"{SIMULATE}?{purchase_query(**{parameter: None})}")

    assert (answer.status, problem(answer)) == (422, "invalid-parameter")


@pytest.mark.parametrize(
    "text",
    [
        purchase_query() + "&color=red",
        purchase_query() + "&amount=100",
        purchase_query() + "&amount=",
        "color=red&amount=100",
        purchase_query() + "&=",
        purchase_query(wallet_id="1"),
        purchase_query(wallet_id="wal_0"),
        purchase_query(wallet_id="wal_01"),
        purchase_query(wallet_id="wal_1x"),
        purchase_query(wallet_id="wal_" + "1" * 13),
        purchase_query(amount="-1"),
        purchase_query(amount="1.0"),
        purchase_query(amount="+1"),
        purchase_query(amount="1000000000000"),
        purchase_query(amount="99999999999999999999"),
        purchase_query(amount=""),
        purchase_query(currency="USD"),
        purchase_query(currency="eur"),
        purchase_query(mcc="581"),
        purchase_query(mcc="58120"),
        purchase_query(mcc="5a12"),
        purchase_query(merchant_country="ESP"),
        purchase_query(merchant_country="es"),
        purchase_query(merchant_country="%00"),
    ],
)
def test_get_with_a_wrong_query_is_422(service, text):
    answer = service.call("GET", f"{SIMULATE}?{text}")

    assert (answer.status, problem(answer)) == (422, "invalid-parameter")


@pytest.mark.parametrize("text", ["", "?", "x", "&", "t=1", "t=1764000000000&_=%zz", "Amount=1"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_query_without_a_parameter_of_a_purchase_is_not_looked_at(service, method, text):
    """A cache buster, a proxy's tag: the Go service ignored it, and so a caller may send it."""
    with service.connect() as connection:
        answer = connection.request(method, f"{SIMULATE}?{text}", {"X-API-Key": API_KEY})

    assert answer.status == 200, answer
    if method == "GET":
        assert list(answer.json()) == LEGACY_MEMBERS


def test_query_may_have_empty_parameters(service):
    answer = service.call("GET", f"{SIMULATE}?&{purchase_query()}&&")

    assert answer.status == 200, answer
    assert "response_code" in answer.json()


def test_unknown_parameter_of_a_purchase_is_told_by_its_place_and_not_echoed(service):
    answer = service.call("GET", f"{SIMULATE}?{purchase_query()}&color=red")

    told = answer.json()
    assert (answer.status, problem(answer)) == (422, "invalid-parameter")
    assert [(error["pointer"], error["position"]) for error in told["errors"]] == [("", 6)]
    assert "merchant_country" in told["detail"]
    assert "color" not in answer.text and "red" not in answer.text


def test_detail_of_a_wrong_query_names_the_parameter(service):
    told = service.call("GET", f"{SIMULATE}?{purchase_query(amount='12.50')}").json()

    assert told["detail"].startswith("amount must be a whole number of minor units")
    assert "12.50" not in str(told)


# Bodies that are not a purchase.

BASE = payload(1)
MERCHANT = BASE["merchant"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"x"',
        b"{} x",
        b'{"a":1,}',
        b"{'a':1}",
        b"\xef\xbb\xbf{}",
        b'{"wallet_id":"\xff"}',
        b'{"wallet_id":"\\u0000"}',
        b'{"amount":NaN}',
        b'{"amount":01}',
        b'{"wallet_id":"\\ud800"}',
        b'{"amount":1,"amount":1}',
        json.dumps(BASE).encode().replace(b'"mcc"', b'"mcc":"5812","mcc"'),
        b'{"a":' * 40 + b"1" + b"}" * 40,
        b"\0",
        b'{"a":"\x01"}',
    ],
    ids=range(20),
)
def test_malformed_json_is_400(service, body):
    answer = post(service, body, new_key())

    assert (answer.status, problem(answer)) == (400, "invalid-json")


@pytest.mark.parametrize(
    "body, offset",
    [
        (b"", 0),
        (b"{", 1),
        (b'{"amount":1,}', 13),
        (b'{"amount" 1}', 11),
        (b'{"amount":12x}', 13),
        (b"{} {}", 4),
        (b'{"a":1,"a":1}', 10),
        (b'{"a":1\0}', 6),
        (b"[[[[[[[[[", 8),
        (b"null", 4),
        (b'{"\xc0\xaf":1}', 2),
        (b'{"a":"\xed\xa0\x80"}', 6),
    ],
    ids=range(12),
)
def test_malformed_json_is_told_with_its_place(service, body, offset):
    told = post(service, body, new_key()).json()

    assert told["offset"] == offset
    assert told["detail"].endswith(f", found at offset {offset}")


@pytest.mark.parametrize(
    "body, why",
    [
        (b'{"wallet_id\\u0000":1}', "a string holds a NUL character"),
        (b'{"wallet_id":"\\u0000"}', "a string holds a NUL character"),
        (b'{"wallet_id\0":1}', "the text holds a NUL byte"),
        (b'{"wallet_id":"\xff"}', "the text is not valid UTF-8"),
        (b'{"amount":1,"\\u0061mount":1}', "a member name occurs twice in one object"),
        (b'{"amount":1' + b"0" * 30 + b"}", "a number is out of range"),
        (b'{"amount":1} {}', "something follows the object"),
        (b"[" * 9, "the text is nested too deeply"),
    ],
    ids=range(8),
)
def test_malformed_json_is_told_why(service, body, why):
    assert post(service, body, new_key()).json()["detail"].startswith(why + ", found at offset ")


def test_time_to_live_outside_its_range_is_422(service):
    for seconds in (0, -1, 2_678_401, 2**63 - 1, 1.0, "60", None, True, [60]):
        for effect in ("hold", "evaluate"):
            body = {**BASE, "effect": effect, "expires_in_s": seconds}
            answer = post(service, body, new_key())
            assert (answer.status, problem(answer)) == (422, "invalid-parameter"), seconds
            assert [e["pointer"] for e in answer.json()["errors"]] == ["/expires_in_s"]


@pytest.mark.parametrize("asked, lives", [(1, 1), (2_678_400, 604_800), (None, 604_800)])
def test_hold_lives_as_long_as_asked_and_no_longer_than_its_program_says(
    service, book, asked, lives
):
    answer = post(service, payload(book.wallet(), expires_in_s=asked), new_key())

    assert answer.status == 201, answer
    assert lives == book.database.value(
        "SELECT extract(epoch FROM expires_at - created_at)::int FROM pay.simulation"
        " WHERE txn_id = %s",
        answer.json()["transaction_id"].removeprefix("txn_"),
    )


def test_unknown_member_is_told_without_its_name(service):
    told = post(service, {**BASE, "__proto__": 1}, new_key()).json()

    assert told["detail"].startswith("the object has members other than wallet_id")
    assert "__proto__" not in str(told)


@pytest.mark.parametrize(
    "value, instead",
    [
        ('"1250"', "a string"),
        ("12.5", "a number with a fraction or an exponent"),
        ("true", "true or false"),
        ("null", "null"),
        ("[1250]", "an array"),
        ("{}", "an object"),
    ],
)
def test_amount_of_a_wrong_type_is_told_what_it_must_be(service, value, instead):
    body = json.dumps(BASE).replace('"amount": 100', f'"amount": {value}').encode()

    told = post(service, body, new_key()).json()

    assert told["detail"] == "/amount " + told["errors"][0]["detail"]
    assert told["errors"][0]["detail"].startswith("must be a whole number of minor units")
    assert told["errors"][0]["detail"].endswith(f", not {instead}")


@pytest.mark.parametrize(
    "change, told",
    [
        ({"wallet_id": 7}, "/wallet_id must be a string, not a number"),
        ({"currency": 978}, "/currency must be a string, not a number"),
        ({"merchant": "5812"}, "/merchant must be an object, not a string"),
        ({"merchant": {**MERCHANT, "mcc": 5812}}, "/merchant/mcc must be a string, not a number"),
        ({"effect": None}, "/effect must be a string, not null"),
    ],
    ids=["wallet_id", "currency", "merchant", "mcc", "effect"],
)
def test_member_of_a_wrong_type_is_told_what_it_must_be(service, change, told):
    assert post(service, {**BASE, **change}, new_key()).json()["detail"] == told


@pytest.mark.parametrize(
    "body, pointer",
    [
        ({**BASE, "wallet_id": None}, "/wallet_id"),
        ({**BASE, "amount": None}, "/amount"),
        ({**BASE, "currency": None}, "/currency"),
        ({**BASE, "merchant": {"country": "ES"}}, "/merchant/mcc"),
        ({**BASE, "merchant": {"mcc": "5812"}}, "/merchant/country"),
        ({**BASE, "wallet_id": 1}, "/wallet_id"),
        ({**BASE, "wallet_id": "1"}, "/wallet_id"),
        ({**BASE, "wallet_id": "wal_"}, "/wallet_id"),
        ({**BASE, "wallet_id": "wal_0"}, "/wallet_id"),
        ({**BASE, "wallet_id": "WAL_1"}, "/wallet_id"),
        ({**BASE, "wallet_id": "wal_1 "}, "/wallet_id"),
        ({**BASE, "wallet_id": "wal_" + "1" * 13}, "/wallet_id"),
        ({**BASE, "amount": "100"}, "/amount"),
        ({**BASE, "amount": 1.0}, "/amount"),
        ({**BASE, "amount": 1e2}, "/amount"),
        ({**BASE, "amount": True}, "/amount"),
        ({**BASE, "amount": -1}, "/amount"),
        ({**BASE, "amount": 0}, "/amount"),
        ({**BASE, "amount": 10**12}, "/amount"),
        ({**BASE, "amount": [100]}, "/amount"),
        ({**BASE, "currency": "USD"}, "/currency"),
        ({**BASE, "currency": "eur"}, "/currency"),
        ({**BASE, "currency": "EUR "}, "/currency"),
        ({**BASE, "merchant": {**MERCHANT, "mcc": 5812}}, "/merchant/mcc"),
        ({**BASE, "merchant": {**MERCHANT, "mcc": "581"}}, "/merchant/mcc"),
        ({**BASE, "merchant": {**MERCHANT, "mcc": "58120"}}, "/merchant/mcc"),
        ({**BASE, "merchant": {**MERCHANT, "country": "es"}}, "/merchant/country"),
        ({**BASE, "merchant": {**MERCHANT, "country": "ESP"}}, "/merchant/country"),
        ({**BASE, "effect": "capture"}, "/effect"),
        ({**BASE, "effect": 1}, "/effect"),
    ],
    ids=range(30),
)
def test_wrong_field_is_422_with_its_pointer(service, body, pointer):
    body = {name: value for name, value in body.items() if value is not None}

    answer = post(service, body, new_key())

    assert (answer.status, problem(answer)) == (422, "invalid-parameter")
    assert [error["pointer"] for error in answer.json()["errors"]] == [pointer]


@pytest.mark.parametrize(
    "body",
    [
        {**BASE, "note": "x"},
        {**BASE, "merchant": {**MERCHANT, "name": "x"}},
        {**BASE, "merchant": "5812"},
        {**BASE, "merchant": []},
        {name: value for name, value in BASE.items() if name != "merchant"},
        {},
    ],
    ids=[
        "unknown",
        "unknown-in-merchant",
        "merchant-text",
        "merchant-array",
        "no-merchant",
        "empty",
    ],
)
def test_wrong_shape_is_422(service, body):
    answer = post(service, body, new_key())

    assert (answer.status, problem(answer)) == (422, "invalid-parameter")


def test_amount_beyond_64_bits_is_refused(service):
    body = json.dumps(BASE).replace('"amount": 100', '"amount": 1' + "0" * 30).encode()

    assert post(service, body, new_key()).status in (400, 422)


def test_largest_amount_is_decided(service, book):
    wallet = book.wallet()

    assert hold(service, wallet, 999_999_999_999).json()["response_code"] in ("61", "51")


def test_member_order_white_space_and_escapes_do_not_matter(service, book):
    wallet = book.wallet()
    body = (
        ' {"merchant" : {"country":"ES",\n"mcc":"\\u0035812"}, "currency":"EUR","amount":100 ,'
        f'"wallet_id":"wal_{wallet}"}}\r\n'
    ).encode()

    assert post(service, body, new_key()).status == 201


def test_forced_outcome_is_disabled(service, book):
    wallet = book.wallet()

    answer = post(service, payload(wallet, force={"code": "05"}), new_key())

    assert (answer.status, problem(answer)) == (403, "forced-outcome-disabled")
    assert book.decisions(wallet) == 0


def grouped(number, separator):
    return separator.join(number[start : start + 4] for start in range(0, len(number), 4))


@pytest.mark.parametrize("digits", [13, 16, 19])
@pytest.mark.parametrize("separator", ["", " ", "-"], ids=["plain", "spaces", "hyphens"])
def test_card_number_in_a_body_is_refused(service, digits, separator):
    answer = post(service, {**BASE, "note": grouped(luhn_number(digits), separator)}, new_key())

    assert (answer.status, problem(answer)) == (422, "pan-detected")


def test_card_number_in_a_query_is_refused(service):
    answer = service.call("GET", f"{SIMULATE}?{purchase_query(wallet_id='wal_' + luhn_number())}")

    assert (answer.status, problem(answer)) == (422, "pan-detected")


@pytest.mark.parametrize("text", ["order 7-{}", "{} 12/27", "7-{}-2026"])
def test_card_number_beside_other_numbers_in_a_body_is_refused(service, text):
    answer = post(service, {**BASE, "note": text.format(luhn_number())}, new_key())

    assert (answer.status, problem(answer)) == (422, "pan-detected")


def test_number_that_no_issuer_gives_is_no_card_number(service):
    number = luhn_number(issuer=1)

    answer = post(service, {**BASE, "note": number}, new_key())

    assert problem(answer) != "pan-detected"


def test_card_number_is_never_echoed(service):
    number = luhn_number()

    answer = service.call("GET", f"{SIMULATE}/txn_{number}")

    assert number not in answer.text


# Content negotiation


@pytest.mark.parametrize(
    "content_type, status",
    [
        ("application/json", 201),
        ("application/json; charset=utf-8", 201),
        ("Application/JSON", 201),
        ("application/json;", 201),
        ("application/json; ; charset=UTF-8;", 201),
        ("application/json; charset=utf-16", 415),
        ("application/json; charset=", 415),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/jsonx", 415),
    ],
)
def test_content_type_of_a_post(service, book, content_type, status):
    headers = {"Content-Type": content_type, "Idempotency-Key": new_key()}

    answer = service.call("POST", SIMULATE, headers, json.dumps(payload(book.wallet())).encode())

    assert answer.status == status, answer
    if status == 415:
        assert problem(answer) == "unsupported-media-type"
        assert answer.header("Accept") == "application/json"


def test_unsupported_media_type_names_the_field(service):
    answer = service.call("POST", SIMULATE, {"Idempotency-Key": new_key()}, b"{}")

    assert (answer.status, problem(answer)) == (415, "unsupported-media-type")
    assert "Content-Type" in answer.json()["detail"]


def test_content_without_a_coding_may_say_so(service, book):
    for coding in ("", "identity", "Identity"):
        answer = post(service, payload(book.wallet()), new_key(), {"Content-Encoding": coding})
        assert answer.status == 201, answer


def test_encoded_content_is_415(service):
    answer = post(service, BASE, new_key(), {"Content-Encoding": "gzip"})

    assert (answer.status, problem(answer)) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "accept, status",
    [
        ("application/json", 200),
        ("*/*", 200),
        ("text/html, application/*;q=0.5", 200),
        ("application/problem+json, application/json", 200),
        ("", 200),
        (" , ", 200),
        ("APPLICATION/JSON;Q=1", 200),
        ("application/problem+json", 200),
        ("application/json;q=0.001, */*;q=0", 200),
        ("application/*;q=0, application/json ; q=0.5", 200),
        ("application/json;version=2;q=0, */*", 200),
        ("text/html", 406),
        ("application/json;q=0", 406),
        ("application/json;q=0, */*", 406),
        ("*/*,Application/JSON; Q=0.000", 406),
        ("application/*;q=0, */*", 406),
        ("application/json;q=0, application/problem+json", 406),
    ],
)
def test_accept_of_a_get(service, accept, status):
    assert service.call("GET", SIMULATE, {"Accept": accept}).status == status
