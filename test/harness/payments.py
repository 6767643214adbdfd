"""Wallets to spend from, and the requests that spend."""

import itertools
import json
import secrets
from dataclasses import dataclass

from harness.http import request_bytes
from harness.service import API_KEY, SIMULATE

FAR = 10**12
POST_HEAD = (
    f"POST {SIMULATE} HTTP/1.1\r\nHost: x\r\nX-API-Key: {API_KEY}\r\n"
    "Content-Type: application/json\r\n"
).encode()
"""The beginning of a POST that a raw test goes on with."""
TABLES = ("wallet", "transfer", "simulation")


@dataclass(frozen=True)
class Program:
    program_id: int
    currency: str
    country: str
    mcc: str


MEAL_ES = Program(1, "EUR", "ES", "5812")
FOOD_MX = Program(3, "MXN", "MX", "5411")

SEED = """
INSERT INTO pay.program (program_id, region, country, product, currency, tz, txn_max, day_max,
                         month_max, day_count_max, clearing_account)
  SELECT *, 1000000000, 1000000000000, 1000000000000, 1000000000, -number FROM (VALUES
    (1, 'eu-south-2', 'ES', 'meal', 'EUR', 'Europe/Madrid'),
    (2, 'eu-south-2', 'ES', 'transport', 'EUR', 'Europe/Madrid'),
    (3, 'mx-central-1', 'MX', 'food', 'MXN', 'America/Mexico_City')) program (number);
INSERT INTO pay.program_mcc (program_id, mcc)
  SELECT 1, unnest('{5811,5812,5813,5814}'::int[]) UNION ALL
  SELECT 2, unnest('{4111,4112,4131}'::int[]) UNION ALL
  SELECT 3, unnest('{5411,5422,5451,5499,5912}'::int[]);
INSERT INTO pay.wallet (wallet_id, program_id, valid_thru, balance, version)
  SELECT id, CASE WHEN id <= 900 THEN 1 ELSE 3 END, '2099-12-31', 100000000, 1
    FROM generate_series(1, 1000) id;
INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind, wallet_version,
                          balance_after, created_at)
  SELECT gen_random_uuid(), -1000, id, 100000000, 'F', 1, 100000000, now()
    FROM generate_series(1, 1000) id;
"""


def new_key():
    return "key-" + secrets.token_hex(16)


def luhn_number(digits=16, issuer=4):
    """A synthetic card number, by default one that begins as Visa's do; never a literal in a file."""
    body = [issuer] + [secrets.randbelow(10) for _ in range(digits - 2)]
    total = 0
    for place, digit in enumerate(reversed(body)):
        doubled = digit * 2 if place % 2 == 0 else digit
        total += doubled - 9 if doubled > 9 else doubled
    return "".join(map(str, body)) + str(-total % 10)


class Book:
    """The database's programs and wallets, for tests that need their own."""

    def __init__(self, database):
        self.database = database
        self.programs = itertools.count(100)
        self.wallets = itertools.count(100_000)

    def program(
        self,
        region="eu-south-2",
        currency="EUR",
        country="ES",
        mccs=(5812,),
        tz="Europe/Madrid",
        txn_max=FAR,
        day_max=FAR,
        month_max=FAR,
        day_count_max=10**9,
        over_capture_bps=0,
        hold_ttl_s=604_800,
    ):
        number = next(self.programs)
        self.database.run(
            "INSERT INTO pay.program (program_id, region, country, product, currency, tz, txn_max,"
            " day_max, month_max, day_count_max, clearing_account, over_capture_bps, hold_ttl_s)"
            " VALUES (%s, %s, %s, 'meal', %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            number,
            region,
            country,
            currency,
            tz,
            txn_max,
            day_max,
            month_max,
            day_count_max,
            -number,
            over_capture_bps,
            hold_ttl_s,
        )
        for mcc in mccs:
            self.database.run(
                "INSERT INTO pay.program_mcc (program_id, mcc) VALUES (%s,%s)", number, mcc
            )
        return Program(number, currency, country, str(mccs[0]))

    def wallet(self, program=MEAL_ES, balance=100_000, status="A", valid_thru="2099-12-31"):
        number = next(self.wallets)
        self.database.run(
            "INSERT INTO pay.wallet (wallet_id, program_id, status, valid_thru, balance, version)"
            ' VALUES (%s,%s,%s::"char",%s,%s,%s)',
            number,
            program.program_id,
            status,
            valid_thru,
            balance,
            1 if balance else 0,
        )
        if balance:
            self._fund(number, balance, 1, balance)
        return number

    def many(self, count, balance=100_000, program=MEAL_ES):
        """So many wallets, whose numbers follow one another, in one go."""
        numbers = list(itertools.islice(self.wallets, count))
        first, last = numbers[0], numbers[-1]
        self.database.run(
            "WITH made AS (INSERT INTO pay.wallet (wallet_id, program_id, valid_thru, balance,"
            " version) SELECT id, %s, '2099-12-31', %s, 1 FROM generate_series(%s, %s) id"
            " RETURNING wallet_id, balance)"
            " INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,"
            " wallet_version, balance_after, created_at)"
            " SELECT gen_random_uuid(), -1000, wallet_id, balance, 'F', 1, balance, now() FROM made",
            program.program_id,
            balance,
            first,
            last,
        )
        return numbers

    def top_up(self, wallet, amount):
        ((version, balance),) = self.database.rows(
            "UPDATE pay.wallet SET balance = balance + %s, version = version + 1"
            " WHERE wallet_id = %s RETURNING version, balance",
            amount,
            wallet,
        )
        self._fund(wallet, amount, version, balance)

    def _fund(self, wallet, amount, version, balance):
        self.database.run(
            "INSERT INTO pay.transfer (txn_id, debit_account, credit_account, amount, kind,"
            " wallet_version, balance_after, created_at)"
            " VALUES (gen_random_uuid(), -1000, %s, %s, 'F', %s, %s, now())",
            wallet,
            amount,
            version,
            balance,
        )

    def balance(self, wallet):
        return self.database.value("SELECT balance FROM pay.wallet WHERE wallet_id = %s", wallet)

    def holds(self, wallet):
        """How many times money was held on this wallet."""
        return self.database.value(
            "SELECT count(*) FROM pay.transfer WHERE debit_account = %s AND kind = 'H'", wallet
        )

    def decisions(self, wallet):
        return self.database.value(
            "SELECT count(*) FROM pay.simulation WHERE wallet_id = %s", wallet
        )

    def fingerprint(self):
        """A hash over every row of every table that a payment could touch."""
        return self.database.rows(
            " UNION ALL ".join(
                f"SELECT '{table}', count(*), md5(string_agg(t::text, '|' ORDER BY t::text))"
                f" FROM pay.{table} t"
                for table in TABLES
            )
        )


def payload(wallet, amount=100, program=MEAL_ES, **changes):
    """The body of a POST as a dict; changes replace members, None removes one."""
    body = {
        "wallet_id": f"wal_{wallet}",
        "amount": amount,
        "currency": program.currency,
        "merchant": {"mcc": program.mcc, "country": program.country},
        **changes,
    }
    return {name: value for name, value in body.items() if value is not None}


def purchase_query(wallet=1, **changes):
    """The query string of a GET as a dict; a change of None removes a parameter."""
    parameters = {
        "wallet_id": f"wal_{wallet}",
        "amount": "100",
        "currency": "EUR",
        "mcc": "5812",
        "merchant_country": "ES",
        **changes,
    }
    return "&".join(f"{name}={value}" for name, value in parameters.items() if value is not None)


def post_bytes(body):
    return body if isinstance(body, bytes) else json.dumps(body).encode()


def post_headers(key, headers=None):
    pairs = [("Content-Type", "application/json")] + list((headers or {}).items())
    return pairs + ([("Idempotency-Key", key)] if key is not None else [])


def post(service, body, key=None, headers=None, api_key=API_KEY):
    """POST simulate; body is a dict or raw bytes, key the idempotency key."""
    return service.call("POST", SIMULATE, post_headers(key, headers), post_bytes(body), key=api_key)


def hold_bytes(wallet, key, amount=100):
    """A whole hold request as it goes over the wire."""
    return request_bytes(
        "POST",
        SIMULATE,
        post_headers(key, {"X-API-Key": API_KEY}),
        post_bytes(payload(wallet, amount)),
    )


def hold(service, wallet, amount=100, key=None):
    """A hold that must have been decided."""
    answer = post(service, payload(wallet, amount), key or new_key())
    assert answer.status == 201, answer
    return answer


def evaluate(service, wallet, amount=100, program=MEAL_ES):
    return post(service, payload(wallet, amount, program, effect="evaluate"))


def void(service, transaction_id, **options):
    return service.call(
        "POST", f"{SIMULATE}/{transaction_id}/void", {"Content-Length": "0"}, **options
    )


def problem(answer):
    """The slug of a problem answer, after its form was checked."""
    assert answer.header("Content-Type") == "application/problem+json", answer
    body = answer.json()
    assert body["status"] == answer.status
    prefix = "urn:problem:payment-latency-api:"
    assert body["type"].startswith(prefix)
    return body["type"][len(prefix) :]
