"""Idempotency keys of every shape, card numbers among them: all are taken, none is kept anywhere."""

import itertools
import json
import subprocess
import time

import pytest

from harness.invariants import assert_invariants
from harness.machine import wait_until
from harness.payments import SEED, luhn_number, new_key, payload, post
from harness.postgres import Database
from harness.service import PATIENT, migrate

FORMS = (
    "{pan}",
    "order-7-{pan}",
    "{pan}-7",
    "7{pan}",
    "{pan}7",
    "card:{pan}",
    "{pan}/{pan}",
    "order_{pan}_20261124",
    "{groups}",
    "order-7-{groups}-000123",
)
NUMBERS = 1000
numbers = itertools.count(1)


def forms_of(pan):
    groups = "-".join(pan[start : start + 4] for start in range(0, 16, 4))
    return [form.format(pan=pan, groups=groups) for form in FORMS], (pan, groups)


@pytest.fixture
def telling(cluster, binary):
    """A database whose server logs every statement with its parameters."""
    own = Database(cluster, f"telling_{next(numbers)}")
    own.create()
    migrate(own)
    own.run(SEED)
    own.run(f"ALTER DATABASE {own.name} SET log_min_duration_statement = 0")
    return own


@pytest.fixture
def service(start_victim, telling):
    settings = {**PATIENT, "ACCESS_LOG_SAMPLE": "1", "LOG_LEVEL": "debug"}
    return start_victim(settings, url=telling.url())


def files_with(cluster, text):
    """The server's files that hold this text: tables, indexes, write-ahead log and its own log."""
    with cluster.connect("postgres") as admin:
        admin.execute("CHECKPOINT")
    found = subprocess.run(
        ["grep", "-rlaF", "-e", text, cluster.home], capture_output=True, text=True, check=False
    )
    assert found.returncode in (0, 1), found.stderr
    return found.stdout.split()


def rows_with(database, text):
    """The tables with a row that holds this text."""
    tables = database.rows("SELECT relname FROM pg_stat_user_tables WHERE schemaname = 'pay'")
    return [
        table
        for (table,) in tables
        if database.value(f"SELECT count(*) FROM pay.{table} t WHERE strpos(t::text, %s) > 0", text)
    ]


def places_with(cluster, database, text):
    return files_with(cluster, text) + rows_with(database, text)


def told_by(service):
    return "\n".join([*service.lines, *service.errors, service.call("GET", "/metrics").text])


def test_a_card_number_in_a_key_is_taken_and_kept_nowhere(cluster, telling, service):
    pan = luhn_number()
    keys, secrets = forms_of(pan)

    first = [post(service, payload(at + 1), key) for at, key in enumerate(keys)]
    again = [post(service, payload(at + 1), key) for at, key in enumerate(keys)]
    evaluated = [post(service, payload(1, effect="evaluate"), key) for key in keys]
    wait_until(lambda: len(service.events("request")) >= 3 * len(keys), what="the access lines")

    telling.run("COMMENT ON TABLE pay.wallet IS 'marker of the search'")
    kept = [place for secret in secrets for place in places_with(cluster, telling, secret)]
    taken = sum(answer.status == 201 for answer in first)
    print(f"   keys taken {taken} of {len(keys)}, card numbers in {len(kept)} places")
    assert files_with(cluster, "marker of the search") != []
    assert files_with(cluster, "parameters: $1") != [], "the server's log tells no parameters"
    assert (taken, kept) == (len(keys), [])
    assert [(a.status, a.body, a.header("Idempotent-Replayed")) for a in again] == [
        (201, answer.body, "true") for answer in first
    ]
    assert {answer.status for answer in evaluated} == {200}
    for secret in secrets:
        assert secret not in told_by(service)
        assert not any(secret in answer.text for answer in first + again + evaluated)
    assert_invariants(telling)


def test_every_ordinary_number_is_a_key(service, telling):
    begun = time.time_ns()
    clock = [str(begun + 104_729 * at) for at in range(NUMBERS // 4)]
    snowflakes = [str((begun // 10**6 << 22) + at) for at in range(NUMBERS // 4)]
    orders = [f"order-20261124-{at:06}" for at in range(NUMBERS // 4)]
    digits = [str(10**15 * 4 + at) for at in range(NUMBERS // 4)]
    keys = clock + snowflakes + orders + digits

    answers = [post(service, payload(1 + at % 900, 1), key) for at, key in enumerate(keys)]

    refused = [(key, a.status) for key, a in zip(keys, answers) if a.status != 201]
    print(f"   keys refused {len(refused)} of {NUMBERS}: {refused[:3]}")
    assert refused == []
    assert len({json.loads(answer.body)["transaction_id"] for answer in answers}) == NUMBERS
    assert telling.value("SELECT count(*) FROM pay.simulation") == NUMBERS


def test_keys_that_differ_in_one_byte_are_other_keys(service, telling):
    longest = new_key().ljust(255, "k")
    keys = [longest, longest[:-1], longest[:-1] + "l", longest.upper(), "k", "K", "~", "!"]

    answers = [post(service, payload(at + 1), key) for at, key in enumerate(keys)]

    assert [(a.status, a.header("Idempotent-Replayed")) for a in answers] == [(201, None)] * len(
        keys
    )
    stored = {row[0] for row in telling.rows("SELECT idem_hash FROM pay.simulation")}
    assert stored == {telling.key_hash(key) for key in keys}
