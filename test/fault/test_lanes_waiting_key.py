"""Another session has not said yet whether an idempotency key is taken: its own requests wait."""

from contextlib import contextmanager

import pytest

from harness.faults import post_until_created
from harness.load import Kind, hold_lines
from harness.neighbours import EAGER, Neighbours, assert_unnoticed, late_refusals
from harness.payments import new_key

pytestmark = pytest.mark.measured


@pytest.fixture
def taking(database):
    """taking(keys): a context in which another session has taken the keys and not committed."""

    @contextmanager
    def taken(keys):
        with database.connect() as other:
            other.execute("BEGIN")
            other.cursor().executemany(
                "INSERT INTO pay.simulation (txn_id, client_id, idem_hash, fingerprint, wallet_id,"
                " amount, currency, mcc, effect, code, processing_us, created_at)"
                " VALUES (gen_random_uuid(), 1, pay.idempotency_hash(%s), '', 1, 1, 'EUR', 5812, 'H', '51', 0, now())",
                [(key,) for key in keys],
            )
            yield
            other.execute("ROLLBACK")

    return taken


def test_a_key_that_waits_costs_its_own_requests(start_service, book, taking):
    service, wallet, key = start_service(EAGER), book.wallet(balance=10**6), new_key()
    neighbours = Neighbours([service], rates={"holds": 400})
    asked = Kind("waiting", service.port, hold_lines([wallet], key=key), rate=20, connections=32)

    quiet, hurt = neighbours.compare(lambda: [asked], lambda: taking([key]))

    # Twice a second one of them finds out whether the other session is done.
    found = late_refusals(quiet, hurt["waiting"], 409, percent=80)
    known = sum(
        answer.status == 409 and answer.problem() == "idempotency-in-flight"
        for answer in hurt["waiting"].answers
    )
    if known < 0.8 * hurt["waiting"].offered:
        found.append(f"answered idempotency-in-flight {known}: {hurt['waiting']}")
    assert_unnoticed(quiet, hurt, found)
    post_until_created(service, wallet, key)


def test_many_keys_that_wait_cost_their_own_requests(start_service, book, taking):
    """Each request brings another key that waits."""
    service, wallet = start_service(EAGER), book.wallet(balance=10**6)
    keys = [new_key() for _ in range(40)]
    neighbours = Neighbours([service], rates={"holds": 400})
    lines = [text for key in keys for text in hold_lines([wallet], key=key)]
    asked = Kind("waiting", service.port, lines, rate=20, connections=32)

    quiet, hurt = neighbours.compare(lambda: [asked], lambda: taking(keys))

    assert_unnoticed(quiet, hurt)
    assert set(hurt["waiting"].statuses()) <= {409, 503, 504}, str(hurt["waiting"])
