"""What is on record: a payment with its steps, by any of its ids and by its key; a wallet, and its
transactions page by page. Nobody sees what another client did."""

import json
import threading
from urllib.parse import quote

import pytest

from harness.machine import wait_until
from harness.payments import FOOD_MX, hold, new_key, payload, post, problem, void
from harness.service import PATIENT, SIMULATE, WALLET_PATH, Service

OTHER_CLIENT = 2
LOOKS_AT = 500
"""Versions that one page looks at (pool/sql/transactions.sql)."""
VISIBLE = "".join(map(chr, range(ord("!"), ord("~") + 1)))
NOBODY = "txn_" + "0" * 31 + "1"


def step(service, transaction, name, key=None, **body):
    """A step that must have been done."""
    answer = service.call(
        "POST",
        f"{SIMULATE}/{transaction}/{name}",
        {"Content-Type": "application/json", "Idempotency-Key": key or new_key()},
        json.dumps(body).encode(),
    )
    assert answer.status in (200, 201), answer
    return answer.json()


def find(service, transaction):
    return service.call("GET", f"{SIMULATE}/{transaction}")


def by_key(service, key):
    return service.call("GET", f"{SIMULATE}/by-key/{quote(key, safe='')}")


def wallet_of(service, wallet):
    answer = service.call("GET", f"{WALLET_PATH}/wal_{wallet}")
    assert answer.status == 200, answer
    return answer.json()


def page_of(service, wallet, **parameters):
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    answer = service.call("GET", f"{WALLET_PATH}/wal_{wallet}/transactions?{query}")
    assert answer.status == 200, answer
    return answer.json()


def pages_of(service, wallet, limit=100):
    """Every page from the newest on."""
    pages = [page_of(service, wallet, limit=limit)]
    while "next_before" in pages[-1]:
        pages.append(page_of(service, wallet, limit=limit, before=pages[-1]["next_before"]))
    return pages


def transactions_of(service, wallet, limit=100):
    return [row for page in pages_of(service, wallet, limit) for row in page["transactions"]]


def id_of(uuid):
    return f"txn_{uuid.hex}"


def give_away(book, transaction):
    """The hold, and what has happened to it, is another client's from now on."""
    book.database.run(
        "UPDATE pay.simulation SET client_id = %s WHERE %s IN (txn_id, hold_id)",
        OTHER_CLIENT,
        transaction[4:],
    )


def amounts(body):
    names = ("authorised", "captured", "released", "expired", "refunded", "open")
    return tuple(body[name] for name in names)


def types(body):
    return [step["type"] for step in body["steps"]]


# a payment


def test_a_fresh_hold_reads_as_it_was_answered_and_is_open(service, book):
    wallet = book.wallet(balance=1000)
    created = hold(service, wallet, 300)

    read = service.call("GET", created.header("Location"))

    assert read.status == 200
    assert read.body.startswith(created.body.rstrip()[:-1])
    body = read.json()
    assert {name: body[name] for name in created.json()} == created.json()
    assert (body["voided"], body["wallet_id"], body["merchant"]) == (
        False,
        f"wal_{wallet}",
        {"mcc": "5812"},
    )
    assert (body["state"], amounts(body), body["steps"]) == ("open", (300, 0, 0, 0, 0, 300), [])
    assert body["expires_at"] > body["timestamp"]


def test_a_whole_life_is_shown_step_by_step(service, book):
    transaction = hold(service, book.wallet(balance=5000), 1000).json()["transaction_id"]
    done = [
        step(service, transaction, "increment", amount=200),
        step(service, transaction, "capture", amount=300),
        step(service, transaction, "void", amount=100),
        step(service, transaction, "capture", amount=700),
        step(service, transaction, "refund", amount=50),
    ]

    body = find(service, transaction).json()

    assert types(body) == ["increment", "capture", "void", "capture", "refund"]
    assert [row["id"] for row in body["steps"]] == [row["transaction_id"] for row in done]
    assert [row["amount"] for row in body["steps"]] == [200, 300, 100, 700, 50]
    assert [row["balance_after"] for row in body["steps"]] == [3800, 3800, 3900, 3900, 3950]
    assert [row["timestamp"] for row in body["steps"]] == [row["timestamp"] for row in done]
    assert (body["state"], amounts(body)) == ("open", (1200, 1000, 100, 0, 50, 100))


@pytest.mark.parametrize(
    "steps, state",
    [
        ([("void", {})], "voided"),
        ([("capture", {})], "captured"),
        ([("capture", {"amount": 100, "final": True})], "captured"),
        ([("capture", {}), ("refund", {})], "refunded"),
    ],
    ids=["void", "capture", "final", "refund"],
)
def test_a_closed_hold_tells_how_it_ended_and_expires_no_more(service, book, steps, state):
    transaction = hold(service, book.wallet(), 300).json()["transaction_id"]
    for name, body in steps:
        step(service, transaction, name, **body)

    read = find(service, transaction).json()

    assert (read["state"], read["open"], read["voided"]) == (state, 0, state == "voided")
    assert "expires_at" not in read


def test_what_a_capture_takes_beyond_the_hold_is_a_step_of_its_own(service, book):
    program = book.program()
    book.database.run(
        "UPDATE pay.program SET over_capture_bps = 2000 WHERE program_id = %s", program.program_id
    )
    transaction = hold(service, book.wallet(program), 1000).json()["transaction_id"]
    step(service, transaction, "capture", amount=1200)

    body = find(service, transaction).json()

    assert types(body) == ["over_capture", "capture"]
    assert (body["state"], amounts(body)) == ("captured", (1200, 1200, 0, 0, 0, 0))


def test_every_id_of_a_payment_leads_to_all_of_it(service, book):
    transaction = hold(service, book.wallet(), 300).json()["transaction_id"]
    step(service, transaction, "capture", amount=100, final=True)
    whole = find(service, transaction)

    ids = [row["id"] for row in whole.json()["steps"]]

    assert types(whole.json()) == ["capture", "void"]
    assert [find(service, name).body for name in ids] == [whole.body, whole.body]


def test_an_expiry_is_a_step_that_nobody_asked_for(start_service, book):
    service = start_service({**PATIENT, "EXPIRY_INTERVAL_MS": "20"})
    wallet = book.wallet(balance=1000)
    created = post(service, payload(wallet, 300, expires_in_s=1), new_key()).json()
    transaction = created["transaction_id"]
    step(service, transaction, "capture", amount=100)

    def expired():
        body = find(service, transaction).json()
        return body if body["open"] == 0 else None

    body = wait_until(expired, what="the expiry")

    assert (body["state"], amounts(body)) == ("captured", (300, 100, 0, 200, 0, 0))
    assert types(body) == ["capture", "expiry"]
    assert find(service, body["steps"][1]["id"]).json() == body
    newest = page_of(service, wallet, limit=1)["transactions"][0]
    assert (newest["type"], newest["hold"], newest["amount"]) == ("expiry", transaction, 200)


def test_a_declined_hold_has_no_amounts_and_no_steps(service, book):
    declined = hold(service, book.wallet(balance=1), 100)

    body = find(service, declined.json()["transaction_id"]).json()

    assert body == {
        **declined.json(),
        "voided": False,
        "wallet_id": body["wallet_id"],
        "merchant": {"mcc": "5812"},
    }


def test_a_declined_increment_leads_to_its_hold_and_is_no_step(service, book):
    transaction = hold(service, book.wallet(balance=300), 300).json()["transaction_id"]
    declined = step(service, transaction, "increment", amount=1)
    assert declined["status"] == "declined"

    read = find(service, declined["transaction_id"])

    assert read.body == find(service, transaction).body
    assert read.json()["steps"] == []


def test_a_void_by_the_version_before_is_understood(service, book):
    wallet = book.wallet(balance=1000)
    transaction = hold(service, wallet, 300).json()["transaction_id"]
    ((own,),) = book.database.rows(
        "WITH w AS (UPDATE pay.wallet SET balance = balance + 300, version = version + 1,"
        "             day_spent = 0, day_count = 0, month_spent = 0"
        "           WHERE wallet_id = %s RETURNING *)"
        " INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,"
        "                           wallet_version, balance_after, created_at, pending_id)"
        " SELECT gen_random_uuid(), -1, wallet_id, 300, 'V', version, balance, now(), %s FROM w"
        " RETURNING txn_id",
        wallet,
        transaction[4:],
    )

    body = find(service, transaction).json()

    assert (body["state"], body["voided"], types(body)) == ("voided", True, ["void"])
    assert find(service, id_of(own)).json() == body
    assert wallet_of(service, wallet)["open_holds"] == {"count": 0, "amount": 0}
    assert [row["hold"] for row in transactions_of(service, wallet) if "hold" in row] == [
        transaction
    ]


def test_a_payment_with_as_many_steps_as_there_may_be_is_shown_whole(service, book):
    transaction = hold(service, book.wallet(), 1000).json()["transaction_id"]
    for _ in range(100):
        step(service, transaction, "capture", amount=1)
    step(service, transaction, "void")

    body = find(service, transaction).json()

    assert types(body) == ["capture"] * 100 + ["void"]
    assert amounts(body) == (1000, 100, 900, 0, 0, 0)


@pytest.mark.parametrize("name", [NOBODY, "txn_", "txn_" + "z" * 32, "by-key", "1"])
def test_an_unknown_payment_is_404(service, name):
    answer = find(service, name)

    assert (answer.status, problem(answer)) == (404, "not-found")


def test_another_clients_payment_is_404_by_every_name(service, book):
    key, of_step = new_key(), new_key()
    transaction = hold(service, book.wallet(), 300, key).json()["transaction_id"]
    step(service, transaction, "capture", key=of_step, amount=100, final=True)
    ids = [row["id"] for row in find(service, transaction).json()["steps"]]

    give_away(book, transaction)

    answers = [find(service, name) for name in [transaction, *ids]]
    answers += [by_key(service, name) for name in (key, of_step)]
    assert [(answer.status, problem(answer)) for answer in answers] == [(404, "not-found")] * 5


# by key


@pytest.mark.parametrize(
    "key",
    ["void", "a/b?c#d%2F", "100%", "+", "..", "~" * 255, "%" * 255, VISIBLE],
    ids=["a route's word", "separators", "percent", "plus", "dots", "longest", "escaped", "all"],
)
def test_a_hold_is_found_by_its_key(service, book, key):
    quoted = key.replace("\\", "\\\\").replace('"', '\\"')
    key_of_hold = f'"{quoted}"'
    body = payload(book.wallet(balance=1000), 10)
    created = post(service, body, key_of_hold)
    assert created.status in (201, 422), created  # 422: an earlier run of this test

    answer = by_key(service, key)

    assert answer.status == 200, answer
    if created.status == 201:
        assert answer.body == find(service, created.json()["transaction_id"]).body


def test_the_key_of_a_step_finds_its_hold(service, book):
    key = new_key()
    transaction = hold(service, book.wallet(), 300).json()["transaction_id"]
    step(service, transaction, "capture", key=key)

    assert by_key(service, key).body == find(service, transaction).body


def test_a_key_that_was_never_used_is_404(service):
    answer = by_key(service, new_key())

    assert (answer.status, problem(answer)) == (404, "not-found")


@pytest.mark.parametrize(
    "segment",
    ["%", "%4", "%4g", "a%", "%00", "%20", "a%20b", "%7F", "%C3%A9", "%0A", "x" * 256, "%41" * 256],
)
def test_what_cannot_be_a_key_is_400(service, segment):
    answer = service.call("GET", f"{SIMULATE}/by-key/{segment}")

    assert (answer.status, problem(answer)) == (400, "idempotency-key-invalid")


@pytest.mark.parametrize("path", ["", "/", "/a/b", "/a/void"])
def test_no_key_or_two_segments_are_404(service, path):
    answer = service.call("GET", f"{SIMULATE}/by-key{path}")

    assert (answer.status, problem(answer)) == (404, "not-found")


def test_a_key_in_the_path_is_in_no_log_and_in_no_error(database, book):
    secret = "secret-" + new_key()
    own = Service(database.url(), {**PATIENT, "ACCESS_LOG_SAMPLE": "1", "LOG_LEVEL": "debug"})
    try:
        own.start()
        hold(own, book.wallet(), 300, secret)
        path = f"{SIMULATE}/by-key/{secret}"
        answers = [
            own.call("GET", path),
            own.call("GET", f"{path}-not"),
            own.call("GET", f"{path}%"),
            own.call("GET", f"{path}/void"),
            own.call("POST", path, body=b""),
            own.call("DELETE", path),
            own.call("GET", path, key=None),
            own.call("GET", path, {"Accept": "text/html"}),
        ]
        statuses = [answer.status for answer in answers]
        assert statuses == [200, 404, 400, 404, 405, 405, 401, 406]
        last = answers[-1].header("X-Request-Id")
        wait_until(lambda: own.events("request", request_id=last), what="the last access line")
    finally:
        own.stop()

    assert [answer for answer in answers if secret.encode() in answer.body] == []
    assert all(
        answer.json()["instance"] == f"{SIMULATE}/by-key/" for answer in answers if answer.status > 299
    )
    assert [line for line in own.lines + own.errors if secret in line] == []
    found = own.events("request", request_id=answers[0].header("X-Request-Id"))[0]
    assert found["http.route"] == f"{SIMULATE}/by-key/{{id}}"
    assert found["idempotency.key_hmac"] == database.key_hash(secret).hex()[:16]


# a wallet


def test_a_wallet_that_is_read_is_in_the_log_by_its_tag_only(database, book):
    wallet = book.wallet()
    own = Service(database.url(), {**PATIENT, "ACCESS_LOG_SAMPLE": "1"})
    try:
        own.start()
        held = hold(own, wallet)
        read = own.call("GET", f"{WALLET_PATH}/wal_{wallet}")
        ids = [answer.header("X-Request-Id") for answer in (held, read)]
        wait_until(lambda: own.events("request", request_id=ids[1]), what="the access line")
    finally:
        own.stop()

    lines = [own.events("request", request_id=name)[0] for name in ids]
    assert lines[0]["payment.wallet_hmac"] == lines[1]["payment.wallet_hmac"]
    assert lines[1]["http.route"] == f"{WALLET_PATH}/{{id}}"
    assert [line for line in own.lines if f"wal_{wallet}" in line or f"/{wallet}" in line] == []


def test_a_wallet_shows_balance_counters_limits_and_what_is_open(service, book):
    program = book.program(txn_max=900, day_max=5000, month_max=70_000, day_count_max=80)
    wallet = book.wallet(program, balance=10_000)
    first = hold(service, wallet, 300).json()["transaction_id"]
    hold(service, wallet, 500)
    step(service, first, "capture", amount=100)
    hold(service, wallet, 901)  # over txn_max: declined

    body = wallet_of(service, wallet)

    today = book.database.value("SELECT (now() AT TIME ZONE 'Europe/Madrid')::date::text")
    assert {name: body[name] for name in body if name != "timestamp"} == {
        "wallet_id": f"wal_{wallet}",
        "status": "active",
        "currency": "EUR",
        "balance": 9200,
        "version": 4,
        "open_holds": {"count": 2, "amount": 700},
        "day": today,
        "day_spent": 800,
        "day_count": 2,
        "month_spent": 800,
        "limits": {"txn_max": 900, "day_max": 5000, "month_max": 70_000, "day_count_max": 80},
        "region": "eu-south-2",
    }


def test_counters_of_an_earlier_day_are_not_todays(service, book):
    wallet = book.wallet()
    book.database.run(
        "UPDATE pay.wallet SET day = current_date - 40, day_spent = 5, day_count = 1,"
        " month_spent = 7 WHERE wallet_id = %s",
        wallet,
    )

    body = wallet_of(service, wallet)

    assert (body["day_spent"], body["day_count"], body["month_spent"]) == (0, 0, 0)


@pytest.mark.parametrize("letter, status", [("B", "blocked"), ("C", "closed")])
def test_a_wallet_that_is_not_active_is_shown_all_the_same(service, book, letter, status):
    assert wallet_of(service, book.wallet(status=letter))["status"] == status


def test_open_holds_are_the_askers_own(service, book):
    wallet = book.wallet(balance=1000)
    hold(service, wallet, 100)
    theirs = hold(service, wallet, 300).json()["transaction_id"]

    give_away(book, theirs)

    body = wallet_of(service, wallet)
    assert (body["balance"], body["open_holds"]) == (600, {"count": 1, "amount": 100})


def test_where_older_holds_may_be_open_the_sum_says_so(service, book):
    wallet = book.wallet(balance=100_000)
    first = hold(service, wallet, 100).json()["transaction_id"]
    crowd(book, wallet, 1200)

    body = wallet_of(service, wallet)

    assert find(service, first).json()["open"] == 100
    assert body["open_holds"] == {"count": 0, "amount": 0, "at_least": True}


@pytest.mark.parametrize("below", ["", "/transactions"])
@pytest.mark.parametrize(
    "name",
    ["wal_999999999999", "wal_0", "wal_", "wal_01", "7", "wal_7x", "wal_4111111111111111", "%20"],
)
def test_an_unknown_wallet_is_404(service, name, below):
    answer = service.call("GET", f"{WALLET_PATH}/{name}{below}")

    assert (answer.status, problem(answer)) == (404, "not-found")


@pytest.mark.parametrize("below", ["", "/transactions"])
def test_another_regions_wallet_is_404(service, book, below):
    wallet = book.wallet(FOOD_MX)

    assert service.call("GET", f"{WALLET_PATH}/wal_{wallet}{below}").status == 404


# its transactions


def ledger(book, wallet):
    """(id, version) of the wallet's rows, without its funding, newest first."""
    return [
        (id_of(txn), version)
        for txn, version in book.database.rows(
            "SELECT txn_id, wallet_version FROM pay.transfer"
            " WHERE %s IN (debit_account, credit_account) AND kind <> 'F'"
            " ORDER BY wallet_version DESC",
            wallet,
        )
    ]


def crowd(book, wallet, count):
    """That many holds of another client, voided none, as the service would have written them."""
    book.database.run(
        """
        WITH w AS (
            UPDATE pay.wallet w SET balance = balance - %(count)s, version = version + %(count)s,
                   day = (now() AT TIME ZONE p.tz)::date, day_spent = day_spent + %(count)s,
                   day_count = day_count + %(count)s, month_spent = month_spent + %(count)s
              FROM pay.program p
             WHERE p.program_id = w.program_id AND wallet_id = %(wallet)s RETURNING w.*),
        made AS (SELECT gen_random_uuid() AS id, n FROM generate_series(1, %(count)s) n),
        told AS (
            INSERT INTO pay.simulation (txn_id, client_id, fingerprint, wallet_id, amount, currency,
                                        mcc, effect, code, balance_after, processing_us, created_at)
            SELECT id, %(client)s, '', wallet_id, 1, 'EUR', 5812, 'H', '00',
                   balance + %(count)s - n, 1, now() FROM w, made)
        INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,
                                  wallet_version, balance_after, created_at)
        SELECT id, wallet_id, -1, 1, 'H', version - %(count)s + n, balance + %(count)s - n, now()
          FROM w, made""".replace("%(count)s", str(count))
        .replace("%(wallet)s", str(wallet))
        .replace("%(client)s", str(OTHER_CLIENT))
    )


def test_transactions_are_the_ledgers_newest_first(service, book):
    wallet = book.wallet(balance=5000)
    first = hold(service, wallet, 1000).json()["transaction_id"]
    captured = step(service, first, "capture", amount=400)
    hold(service, wallet, 5000)  # declined: it moved nothing
    second = hold(service, wallet, 70).json()
    void(service, second["transaction_id"])

    body = page_of(service, wallet)

    rows = body["transactions"]
    assert [row["type"] for row in rows] == ["void", "hold", "capture", "hold"]
    assert [(row["id"], row["version"]) for row in rows] == ledger(book, wallet)
    assert [row.get("hold") for row in rows] == [second["transaction_id"], None, first, None]
    assert [row["amount"] for row in rows] == [70, 70, 400, 1000]
    assert [row["balance_after"] for row in rows] == [4000, 3930, 4000, 4000]
    assert rows[2]["timestamp"] == captured["timestamp"]
    assert "next_before" not in body


@pytest.mark.parametrize("limit", [1, 2, 3, 6, 7, 100])
def test_pages_of_any_size_make_the_same_list(service, book, limit):
    wallet = book.wallet(balance=5000)
    for _ in range(3):
        void(service, hold(service, wallet, 10).json()["transaction_id"])

    pages = pages_of(service, wallet, limit)

    assert [row["id"] for page in pages for row in page["transactions"]] == [
        name for name, _ in ledger(book, wallet)
    ]
    assert all(len(page["transactions"]) == limit for page in pages[:-1])
    assert len(pages) == -(-6 // limit) if limit < 6 else len(pages) == 1


def test_a_transaction_of_the_list_is_a_place_in_it(service, book):
    wallet = book.wallet(balance=5000)
    for _ in range(4):
        hold(service, wallet, 10)
    names = [name for name, _ in ledger(book, wallet)]

    rest = page_of(service, wallet, before=names[1])["transactions"]

    assert [row["id"] for row in rest] == names[2:]


def test_fifty_are_shown_when_nobody_says_how_many(service, book):
    wallet = book.wallet(balance=5000)
    for _ in range(51):
        hold(service, wallet, 10)

    assert len(page_of(service, wallet)["transactions"]) == 50


def test_a_page_of_the_largest_size_arrives_whole(service, book):
    wallet = book.wallet(balance=5000)
    for _ in range(101):
        hold(service, wallet, 10)

    body = page_of(service, wallet, limit=100)

    assert len(body["transactions"]) == 100
    assert body["next_before"] == body["transactions"][-1]["version"]


def test_a_wallet_without_transactions_has_an_empty_page(service, book):
    assert page_of(service, book.wallet(balance=0)) == {"transactions": []}
    assert page_of(service, book.wallet(balance=100)) == {"transactions": []}


def test_transactions_of_others_are_passed_over_by_bounded_pages(service, book):
    wallet = book.wallet(balance=100_000)
    own = [hold(service, wallet, 10).json()["transaction_id"] for _ in range(3)]
    crowd(book, wallet, 2 * LOOKS_AT)
    own.append(hold(service, wallet, 10).json()["transaction_id"])

    pages = pages_of(service, wallet)

    assert [len(page["transactions"]) for page in pages] == [1, 0, 3]
    assert [row["id"] for row in pages[0]["transactions"] + pages[2]["transactions"]] == own[::-1]


def test_pages_have_no_gap_and_no_double_while_holds_are_made(service, book):
    wallet = book.wallet(balance=100_000)
    before = [hold(service, wallet, 10).json()["transaction_id"] for _ in range(20)]
    over = threading.Event()
    made = []

    def make():
        while not over.is_set():
            made.append(hold(service, wallet, 10).json()["transaction_id"])

    makers = [threading.Thread(target=make) for _ in range(4)]
    for maker in makers:
        maker.start()
    try:
        wait_until(lambda: len(made) > 20, what="some holds")
        walks = [transactions_of(service, wallet, limit=7) for _ in range(5)]
    finally:
        over.set()
        for maker in makers:
            maker.join()

    all_rows = ledger(book, wallet)
    for walk in walks:
        seen = [(row["id"], row["version"]) for row in walk]
        assert seen == all_rows[len(all_rows) - len(seen) :]
        assert {row[0] for row in seen} >= set(before)


@pytest.mark.parametrize(
    "query, pointers",
    [
        ("limit=0", ["limit"]),
        ("limit=101", ["limit"]),
        ("limit=-1", ["limit"]),
        ("limit=", ["limit"]),
        ("limit", ["limit"]),
        ("limit=1e1", ["limit"]),
        ("limit=5&limit=5", ["limit"]),
        ("before=0", ["before"]),
        ("before=", ["before"]),
        ("before=9223372036854775808", ["before"]),
        ("before=txn_1", ["before"]),
        (f"before={NOBODY}", ["before"]),
        ("before=%zz", ["before"]),
        ("after=1", [""]),
        ("limit=0&before=x&page=2", ["limit", "before", ""]),
    ],
)
def test_a_bad_query_is_422_and_names_the_parameter(service, book, query, pointers):
    answer = service.call("GET", f"{WALLET_PATH}/wal_{book.wallet()}/transactions?{query}")

    assert (answer.status, problem(answer)) == (422, "invalid-parameter")
    assert [error["pointer"] for error in answer.json()["errors"]] == pointers


def test_a_transaction_elsewhere_is_no_place_in_the_list(service, book):
    wallet = book.wallet()
    elsewhere = hold(service, book.wallet()).json()["transaction_id"]
    theirs = hold(service, wallet).json()["transaction_id"]
    declined = hold(service, wallet, 10**9).json()["transaction_id"]
    give_away(book, theirs)

    for name in (elsewhere, theirs, declined):
        answer = service.call("GET", f"{WALLET_PATH}/wal_{wallet}/transactions?before={name}")
        assert (answer.status, problem(answer)) == (422, "invalid-parameter"), name


def test_escaped_and_empty_parameters_are_understood(service, book):
    wallet = book.wallet(balance=1000)
    for _ in range(3):
        hold(service, wallet, 10)

    body = service.call("GET", f"{WALLET_PATH}/wal_{wallet}/transactions?&l%69mit=%32&").json()

    assert len(body["transactions"]) == 2


# what all have in common


@pytest.fixture
def paths(service, book):
    key = new_key()
    wallet = book.wallet(balance=100_000)
    transaction = hold(service, wallet, 100, key).json()["transaction_id"]
    for _ in range(30):
        step(service, transaction, "capture", amount=1)
    return [
        f"{SIMULATE}/{transaction}",
        f"{SIMULATE}/by-key/{key}",
        f"{WALLET_PATH}/wal_{wallet}",
        f"{WALLET_PATH}/wal_{wallet}/transactions",
    ]


def test_head_is_get_without_the_body(service, paths):
    for path in paths:
        head, get = service.call("HEAD", path), service.call("GET", path)

        assert (head.status, head.body) == (get.status, b"") == (200, b"")
        assert head.header("Content-Length") == get.header("Content-Length")
        assert get.header("Content-Type") == "application/json"
        assert get.header("Cache-Control") == "no-store"


def test_reads_are_read_only(service, paths):
    for path in paths:
        answer = service.call("POST", path, body=b"")

        assert answer.status == 405, path
        assert answer.header("Allow") == "GET, HEAD, OPTIONS"


def test_reads_need_a_key(service, paths):
    assert [service.call("GET", path, key=None).status for path in paths] == [401] * 4
    assert [service.call("GET", path, key="x" * 64).status for path in paths] == [403] * 4


def test_reads_are_measured_by_their_kind(service, paths):
    names = ("find", "find_key", "wallet", "transactions")

    def counts():
        metrics = service.metrics()
        return [metrics.value("db_query_duration_seconds_count", query=name) for name in names]

    before = counts()
    for path in paths:
        service.call("GET", path)

    assert [after - count for after, count in zip(counts(), before)] == [1, 1, 1, 1]
