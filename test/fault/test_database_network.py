"""The wire to the database is frozen, slowed and cut."""

import pytest

from harness.faults import BUDGET_S, NO_PROBES, NOTICE_S, post_until_created
from harness.http import timed
from harness.machine import in_threads, seconds, wait_until
from harness.payments import evaluate, new_key, payload, post, problem
from harness.service import PATIENT, SIMULATE


def test_frozen_network_is_504_within_the_budget(start_victim, gate, database):
    service = start_victim(url=database.url(port=gate.port))
    gate.freeze()

    duration, answer = timed(lambda: service.call("GET", SIMULATE))
    gate.pass_all()

    assert (answer.status, problem(answer)) == (504, "deadline-exceeded"), answer
    assert answer.json()["applied"] == "no"
    assert "Idempotency-Key" not in answer.json()["detail"]
    assert duration < BUDGET_S + seconds(NOTICE_S)


def test_frozen_network_leaves_the_process_alive(start_victim, gate, database):
    service = start_victim(url=database.url(port=gate.port))
    gate.freeze()

    in_threads(8, lambda _: service.call("GET", SIMULATE))
    duration, alive = timed(lambda: service.probe("/livez"))
    gate.pass_all()

    assert alive == 200
    assert duration < seconds(NOTICE_S)


def test_hold_into_a_frozen_network_is_never_doubled(start_victim, gate, database, book):
    service = start_victim(url=database.url(port=gate.port))
    wallet, key = book.wallet(balance=1000), new_key()
    gate.freeze()

    answer = post(service, payload(wallet), key)
    gate.pass_all()
    post_until_created(service, wallet, key)

    assert (answer.status, problem(answer)) == (504, "outcome-unknown"), answer
    assert answer.json()["applied"] == "unknown"
    assert (book.balance(wallet), book.holds(wallet)) == (900, 1)


def test_frozen_network_is_replaced_and_recovers(start_victim, gate, database):
    service = start_victim({"DB_PROBE_INTERVAL_MS": "100"}, url=database.url(port=gate.port))
    gate.freeze()
    service.call("GET", SIMULATE)
    wait_until(lambda: service.metrics().value("pool_closed_total", reason="deadline") >= 1)

    gate.pass_all()

    wait_until(lambda: service.call("GET", SIMULATE).status == 200, 3, "recovery")


def test_late_answer_never_reaches_another_request(start_victim, gate, database, book):
    service = start_victim(url=database.url(port=gate.port))
    wallets = [book.wallet(balance=1000 + number) for number in range(12)]
    gate.delay(0.15)
    late = {evaluate(service, wallet, 0).status for wallet in wallets[:6]}
    gate.pass_all()

    def balance(wallet):
        answer = evaluate(service, wallet, 0)
        return answer.json()["balance_after"] if answer.status == 200 else None

    balances = [wait_until(lambda: balance(wallet)) for wallet in wallets]

    assert late <= {503, 504}
    assert balances == [1000 + number for number in range(12)]


def test_connection_reset_before_the_answer_is_hidden_for_a_read(start_victim, gate, database):
    service = start_victim({**PATIENT, **NO_PROBES}, url=database.url(port=gate.port))
    gate.close_on_data("to_client")

    assert service.call("GET", SIMULATE).status == 200


@pytest.mark.parametrize("direction", ["to_server", "to_client"])
def test_connection_reset_during_a_hold_is_an_unknown_outcome(
    start_victim, gate, database, book, direction
):
    service = start_victim({**PATIENT, **NO_PROBES}, url=database.url(port=gate.port))
    wallet, key = book.wallet(balance=1000), new_key()
    gate.close_on_data(direction)

    answer = post(service, payload(wallet), key)
    post_until_created(service, wallet, key)

    assert (answer.status, problem(answer)) == (504, "outcome-unknown"), answer
    assert (book.balance(wallet), book.holds(wallet)) == (900, 1)


def test_all_connections_reset_at_once_are_replaced(start_victim, gate, database):
    service = start_victim(PATIENT, url=database.url(port=gate.port))

    gate.reset()

    wait_until(
        lambda: service.metrics().value("pool_connections", state="idle") == 6, 3, "a full pool"
    )
    assert service.call("GET", SIMULATE).status == 200


def test_connections_closed_at_once_after_accept_do_not_spin(start_victim, gate, database):
    service = start_victim(url=database.url(port=gate.port))
    gate.refuse()
    gate.reset()
    wait_until(lambda: service.metrics().value("pool_connect_failures_total") >= 3)
    before = service.metrics()
    wait_until(
        lambda: (
            service.metrics().value("pool_connect_failures_total")
            > before.value("pool_connect_failures_total")
        ),
        10,
    )

    cpu = service.metrics().value("process_cpu_seconds_total") - before.value(
        "process_cpu_seconds_total"
    )
    gate.pass_all()

    assert cpu < seconds(0.2)
    wait_until(service.ready, 5)
